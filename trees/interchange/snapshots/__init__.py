"""Snapshots: the data set frozen under a name, written as a folder that is the same bytes whenever it is written.

`freezing` stores the trees, `folder` writes them, `verification` and `comparison` read what was written.
"""
