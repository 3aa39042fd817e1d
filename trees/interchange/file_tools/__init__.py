"""What researchers do with files of conversations, without a database: convert, filter, clean, split, count, list
threads. Streams: each tree is read, changed and written before the next.
"""
