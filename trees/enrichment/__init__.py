"""What machines read of messages: a queue of unread texts, readers, and their results (`MessageReading`).

Nothing here stands in the way of a message. A text that is stored is marked as unread by the database; jobs do the rest
later, and a reader that is slow, wrong or gone only delays its own results.
"""
