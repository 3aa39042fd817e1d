"""The data set for moderators: read-only, with actions that call `trees.moderation.moderator_actions`."""

from trees.admin import (
    gold,
    hard_prompts,
    messages,
    near_duplicates,
    openings,
    policies,
    practice,
    proposals,
    quality,
    reports,
    snapshots,
    trees,
    webhooks,
    withdrawals,
)

__all__ = [
    "gold",
    "hard_prompts",
    "messages",
    "near_duplicates",
    "openings",
    "policies",
    "practice",
    "proposals",
    "quality",
    "reports",
    "snapshots",
    "trees",
    "webhooks",
    "withdrawals",
]
