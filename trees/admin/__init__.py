"""The data set as moderators see it. Everything is read-only; actions call `trees.moderation`."""

from trees.admin import messages, reports, trees, webhooks

__all__ = ["messages", "reports", "trees", "webhooks"]
