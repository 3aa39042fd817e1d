"""The chat as moderators and administrators see it.

What people said to the assistant is theirs: only a reported answer is shown, with what led to it.
"""

from inference.admin import presets_and_votes, reports, turns

__all__ = ["presets_and_votes", "reports", "turns"]
