"""Judgments on messages: reviews, rankings, reactions, skips, reports."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Manager
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.hot import InsertOnlyManager
from trees.models.message import Message, Revision


class CountedManager(InsertOnlyManager):
    """Judgments that count: all except those that a purge of their author set aside."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(set_aside=None)


class Judgment(models.Model):
    """One user's judgment on a message. `objects` finds those that count; `everything` also those that a purge set
    aside.
    """

    set_aside = models.ForeignKey(
        "trees.Purge", on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+", db_index=False
    )

    objects = CountedManager()
    everything = Manager()  # noqa: DJ012 (it takes this for a field)

    class Meta:
        abstract = True


def _set_aside_index(name: str) -> models.Index:
    """Return an index for undoing a purge; it holds almost no rows."""
    return models.Index(fields=["set_aside"], condition=models.Q(set_aside__isnull=False), name=name)


class ReviewManager(CountedManager):
    """Reviews that count and say something about their message: not those that only say how their author reviews."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().exclude(kind__in=(*Review.CHECKS, *Review.UNDONE.values()))


class GivenReviewManager(CountedManager):
    """Reviews that count, also checks, without those that their authors took back."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().exclude(kind__in=Review.UNDONE.values())


class ReactionManager(CountedManager):
    """Reactions that count and were not taken back."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(withdrawn_at=None)

    def of_present_text(self) -> models.QuerySet[Any]:
        """Leave out flags of an earlier text, which can be put again."""
        return self.exclude(Reaction.OF_EARLIER_TEXT)


class Complaint(Judgment):
    """A judgment that may act against a text when many people agree."""

    voided_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="A moderator decided that the message stays, or its text was changed: it weighs nothing any more.",
    )
    first_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Said of an earlier text before: when first. What moderators decided since then is remembered.",
    )

    class Meta:
        abstract = True


class Review(Judgment):
    """One user's labels for one text. An unanswered label is null or absent, never 0.

    `objects` finds what was said about messages; `by_author` also the checks, which look the same to their author but
    are no part of the data set: nothing is decided, counted about the message, or exported by them. `with_undone` has
    in addition the first answers to checks that were taken back, which only the estimate of reviewers reads.
    """

    class Kind(models.TextChoices):
        REVIEW = "review", "Review"  # requested by a task; these decide
        FREE = "free", "Free labels"
        REPORT = "report", "Report"
        GOLD = "gold", "Check on a gold message"
        REPEAT = "repeat", "Check whether the answer is the same as long ago"
        # Kept when an answer is taken back, because its author may have looked the message up before the next one.
        GOLD_UNDONE = "gold_undone", "First answer to a gold message, taken back"
        REPEAT_UNDONE = "repeat_undone", "First answer to a repeat, taken back"

    CHECKS = (Kind.GOLD, Kind.REPEAT)
    UNDONE: ClassVar[dict[str, str]] = {
        Kind.GOLD.value: Kind.GOLD_UNDONE.value,
        Kind.REPEAT.value: Kind.REPEAT_UNDONE.value,
    }
    """Kind of a check → kind of its first answer once that was taken back."""
    BY_TASK = (Kind.REVIEW, *CHECKS)

    class Mode(models.TextChoices):
        FULL = "full", "Full"
        SIMPLE = "simple", "Simple"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.REVIEW)
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.FULL)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="reviews")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="reviews")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews", db_index=False
    )
    labels = models.JSONField()
    # Kept here, so that what is learnt later changes no decision. Null if too little was known or votes not weighed.
    finds = models.FloatField(null=True, editable=False, help_text="How often the author then rejected bad texts.")
    spares = models.FloatField(null=True, editable=False, help_text="How often the author then kept good texts.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[ReviewManager] = ReviewManager()
    by_author = GivenReviewManager()
    with_undone = CountedManager()

    class Meta:
        constraints = [
            # Also prevents a second review when two answers of one user race.
            models.UniqueConstraint(
                fields=["revision", "author"], condition=models.Q(kind="review"), name="review_once_per_person"
            ),
            models.UniqueConstraint(
                fields=["revision", "author", "kind"],
                condition=models.Q(kind__in=["gold", "repeat"]),
                name="review_check_once",
            ),
        ]
        indexes = [
            # Includes the kind, so that counting a user's reviews reads no rows.
            models.Index(fields=["author", "-created_at"], include=["kind"], name="review_by_author"),
            _set_aside_index("review_set_aside"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.message_id}"

    @classmethod
    def first_answers(cls, kind: str) -> models.QuerySet[Any]:
        """Return the answers to checks of this kind that count: each person's first one about a text."""
        undone = cls.UNDONE[kind]
        before = cls.with_undone.filter(
            kind=undone, author=models.OuterRef("author"), revision=models.OuterRef("revision")
        )
        return cls.with_undone.filter(models.Q(kind=undone) | (models.Q(kind=kind) & ~models.Exists(before)))


class Ranking(Judgment):
    """One user's order of the replies to one message, best first."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    parent = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="rankings", db_index=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rankings", db_index=False
    )
    ordered_ids = ArrayField(models.UUIDField())
    revision_ids = ArrayField(models.UUIDField(), help_text="The texts that were ranked, in the same order.")
    not_rankable = models.BooleanField(default=False, help_text="Every reply is wrong; the order means nothing.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            # Three rankings come from three users.
            models.UniqueConstraint(fields=["parent", "author"], name="ranking_once_per_person"),
        ]
        indexes = [
            models.Index(fields=["author", "-created_at"], name="ranking_by_author"),
            _set_aside_index("ranking_set_aside"),
        ]

    def __str__(self) -> str:
        return f"ranking below {self.parent_id}"


class Reaction(Complaint):
    """One emoji of one user on one message."""

    THUMB_UP, THUMB_DOWN, RED_FLAG = "+1", "-1", "red_flag"
    OF_EARLIER_TEXT = models.Q(emoji=RED_FLAG, voided_at__isnull=False, overruled=False)

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="reactions", db_index=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reactions")
    emoji = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    overruled = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="A moderator decided against this flag of the present text. Put again, it weighs nothing.",
    )
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Taken back; kept because a moderator decided about it."
    )

    objects: ClassVar[ReactionManager] = ReactionManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None) | models.Q(voided_at__isnull=False),
                name="reaction_withdrawn_weighs_nothing",
            ),
            models.UniqueConstraint(fields=["message", "author", "emoji"], name="reaction_once"),
            models.UniqueConstraint(
                fields=["message", "author"],
                condition=models.Q(emoji__in=["+1", "-1"]),
                name="reaction_thumb_up_or_down",
            ),
        ]
        indexes = [
            _set_aside_index("reaction_set_aside"),
            # Moderators count the flags of messages.
            models.Index(
                fields=["message"],
                condition=models.Q(emoji="red_flag", withdrawn_at=None, set_aside=None),
                name="reaction_flags",
            ),
        ]

    def __str__(self) -> str:
        return self.emoji

    @property
    def known_since(self) -> datetime:
        """Return when the complaint was first made: later decisions about the message count for or against it."""
        return self.first_at or self.created_at


class Skip(Complaint):
    """A user does not want this work on this message and is not asked again."""

    class Kind(models.TextChoices):
        REPLY = "reply", "Replying"
        REVIEW = "review", "Reviewing"
        RANKING = "ranking", "Ranking"

    class Reason(models.TextChoices):
        NOT_MY_SUBJECT = "not_my_subject", "I do not know enough about this"
        TOO_LONG = "too_long", "It takes more time than I have"
        UNPLEASANT = "unpleasant", "I would rather not read or write this"
        UNCLEAR = "unclear", "I do not understand what is meant"
        WRONG_LANGUAGE = "wrong_language", "It is in another language"
        BROKEN = "broken", "Something is wrong with this message"
        OTHER = "other", "Another reason"

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="skips", db_index=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="skips")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    reason = models.CharField(max_length=32, choices=Reason.choices, blank=True)
    note = models.CharField(max_length=512, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "author", "kind"], name="skip_once")]
        indexes = [_set_aside_index("skip_set_aside")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


class Report(Judgment):
    """A user reports that something is wrong with a message; a moderator answers."""

    class Category(models.TextChoices):
        SPAM = "spam", "Junk or advertising"
        HATE = "hate", "Hate or harassment"
        SEXUAL = "sexual", "Sexual content"
        VIOLENCE = "violence", "Violence or self-harm"
        PERSONAL_DATA = "personal_data", "Personal data"
        COPIED = "copied", "Copied from somewhere"
        OTHER = "other", "Something else"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        UPHELD = "upheld", "Upheld"
        DISMISSED = "dismissed", "Dismissed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="reports")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports")
    category = models.CharField(max_length=32, choices=Category.choices, default=Category.OTHER)
    text = models.TextField(blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    handled_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=1024, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            # A second report of the same user adds to the open first one.
            models.UniqueConstraint(
                fields=["message", "reporter"], condition=models.Q(status="open"), name="report_open_once"
            ),
        ]
        indexes = [
            # The moderators' queue, oldest first.
            models.Index(fields=["created_at"], condition=models.Q(status="open"), name="report_queue"),
            _set_aside_index("report_set_aside"),
        ]

    def __str__(self) -> str:
        return f"{self.get_category_display()}, {self.created_at:%Y-%m-%d %H:%M}"
