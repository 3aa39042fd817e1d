"""The data set for moderators: read-only, with actions that call `trees.moderation.moderator_actions`."""

from trees.admin import messages, proposals, reports, trees, webhooks, withdrawals

__all__ = ["messages", "proposals", "reports", "trees", "webhooks", "withdrawals"]
