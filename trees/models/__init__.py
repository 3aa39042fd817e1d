"""The tables of the data set, one module per subject."""

from trees.models.donation import Donation, HardPrompt
from trees.models.gold import GoldMessage
from trees.models.happening import Happening
from trees.models.judgment import Ranking, Reaction, Report, Review, Skip
from trees.models.message import Message, Revision, Role
from trees.models.moderation import Deletion, Proposal, Purge, PurgeStep, Withdrawal
from trees.models.opening import Opening
from trees.models.policy import PolicyRun, PolicyVersion
from trees.models.practice import Practice, PracticeText
from trees.models.quality import QualityModel, QualityScore
from trees.models.reading import MessageReading, ReadingKind
from trees.models.reviewer import ReviewerRecord, ReviewerSkill
from trees.models.similarity import (
    DIMENSIONS,
    MessageEmbedding,
    NearDuplicate,
    PromptTopic,
    TextSketch,
    Topic,
    WaitingComparison,
)
from trees.models.snapshot import Snapshot, SnapshotChats, SnapshotTree
from trees.models.tree import MessageTree, TreeTransition
from trees.models.webhook import Delivery, Webhook

__all__ = [
    "DIMENSIONS",
    "Deletion",
    "Delivery",
    "Donation",
    "GoldMessage",
    "Happening",
    "HardPrompt",
    "Message",
    "MessageEmbedding",
    "MessageReading",
    "MessageTree",
    "NearDuplicate",
    "Opening",
    "PolicyRun",
    "PolicyVersion",
    "Practice",
    "PracticeText",
    "PromptTopic",
    "Proposal",
    "Purge",
    "PurgeStep",
    "QualityModel",
    "QualityScore",
    "Ranking",
    "Reaction",
    "ReadingKind",
    "Report",
    "Review",
    "ReviewerRecord",
    "ReviewerSkill",
    "Revision",
    "Role",
    "Skip",
    "Snapshot",
    "SnapshotChats",
    "SnapshotTree",
    "TextSketch",
    "Topic",
    "TreeTransition",
    "WaitingComparison",
    "Webhook",
    "Withdrawal",
]
