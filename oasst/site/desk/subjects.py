"""What the desk decides about, and why it is there."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _


class SubjectKind(models.TextChoices):
    MESSAGE = "message", _("Message")
    TREE = "tree", _("Conversation")
    PERSON = "person", _("Person")
    CHAT = "chat", _("Chat answer")


TARGETS = {SubjectKind.MESSAGE: "trees.message", SubjectKind.TREE: "trees.messagetree"}
"""Kind of subject → how the audit log names what a decision was about, where that is not a person."""


class Source(models.TextChoices):
    """Where a reason comes from, with what the desk says of it."""

    PASSED_ON = "passed_on", _("Passed on to administrators")
    BAN_PROPOSED = "ban_proposed", _("A suspension of an administrator waits for a second one")
    PROPOSAL = "proposal", _("Many people complained")
    REPORT = "report", _("Reported")
    APPEAL = "appeal", _("Somebody appeals")
    PERSONAL_DATA = "personal_data", _("May contain personal data")
    CHAT_REPORT = "chat_report", _("Reported chat answer")
    SCORING_FAILED = "scoring_failed", _("Could not be ranked")
    FLAG = "flag", _("Flagged")
    WITHDRAWAL = "withdrawal", _("Its author wants it back")
    TROLL = "troll", _("Many complaints about the texts of one person")
    HALTED = "halted", _("Stopped by itself")
    NEAR_DUPLICATE = "near_duplicate", _("Nearly the same as another")
    LOW_GRADE = "low_grade", _("Not accepted by reviewers")


@dataclass(frozen=True, order=True)
class Subject:
    kind: str
    id: str


@dataclass(frozen=True)
class Reason:
    """Why a subject waits."""

    subject: Subject
    source: str
    severity: int
    """From 0, the worst, to 4."""
    voices: int
    """How many people say so; 0 for what no person says."""
    since: datetime
    lang: str
    """Empty if it is in no language."""


@dataclass
class Item:
    """A subject with everything that is said about it: five reports about one message are one item."""

    subject: Subject
    reasons: list[Reason] = field(default_factory=list)

    @property
    def severity(self) -> int:
        return min(reason.severity for reason in self.reasons)

    @property
    def voices(self) -> int:
        return sum(reason.voices for reason in self.reasons)

    @property
    def since(self) -> datetime:
        return min(reason.since for reason in self.reasons)

    @property
    def lang(self) -> str:
        return next((reason.lang for reason in self.reasons if reason.lang), "")


def items_of(reasons: Iterable[Reason]) -> list[Item]:
    """Return the items in the order of the desk: the worst first, then what most people say, then the oldest."""
    items: dict[Subject, Item] = {}
    for reason in reasons:
        items.setdefault(reason.subject, Item(reason.subject)).reasons.append(reason)
    return sorted(items.values(), key=lambda item: (item.severity, -item.voices, item.since, item.subject))
