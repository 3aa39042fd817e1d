"""The data set as moderators see it. Everything is read-only; actions call `trees.moderation.moderator_actions`."""

from trees.admin import messages, proposals, reports, trees, webhooks, withdrawals

__all__ = ["messages", "proposals", "reports", "trees", "webhooks", "withdrawals"]
