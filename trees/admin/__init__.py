"""The data set for moderators: read-only, with actions that call `trees.moderation.moderator_actions`."""

from trees.admin import messages, near_duplicates, proposals, reports, snapshots, trees, webhooks, withdrawals

__all__ = ["messages", "near_duplicates", "proposals", "reports", "snapshots", "trees", "webhooks", "withdrawals"]
