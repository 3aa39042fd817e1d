"""The tables of the data set, one module per subject."""

from trees.models.happening import Happening
from trees.models.judgment import Ranking, Reaction, Report, Review, Skip
from trees.models.message import Message, Revision, Role
from trees.models.moderation import Deletion, Proposal, Purge, PurgeStep, Withdrawal
from trees.models.opening import Opening
from trees.models.reviewer import ReviewerRecord
from trees.models.tree import MessageTree, TreeTransition
from trees.models.webhook import Delivery, Webhook

__all__ = [
    "Deletion",
    "Delivery",
    "Happening",
    "Message",
    "MessageTree",
    "Opening",
    "Proposal",
    "Purge",
    "PurgeStep",
    "Ranking",
    "Reaction",
    "Report",
    "Review",
    "ReviewerRecord",
    "Revision",
    "Role",
    "Skip",
    "TreeTransition",
    "Webhook",
    "Withdrawal",
]
