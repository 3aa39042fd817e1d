"""The chat as moderators and administrators see it.

What people said to the assistant is theirs: only a reported answer is shown, with what led to it.
"""

from inference.admin import kept, reports, turns

__all__ = ["kept", "reports", "turns"]
