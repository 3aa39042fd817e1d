"""Tallies and the boards that are sums of them. All of it can be made again from the data set (leaderboard.rebuild).

What changes with each piece of work is no good for an index: `Standing` counts and is rewritten in place, `Place` is
what boards are read along and follows some minutes later, `Moved` has the scores of those whose place is behind, so a
board is never old (leaderboard.queries).
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Now

from leaderboard.points import ACTIVITIES, KINDS, TROLL_WEIGHTS, Kind
from leaderboard.time_frames import Frame

FRAMES = [(frame.value, frame.value) for frame in Frame]


class Counted(models.Model):
    """What of one tree stands in the tallies, so that counting it again adds only the difference."""

    # No foreign key: what was counted has to be taken away also when the tree itself is gone.
    tree_id = models.UUIDField(primary_key=True)
    counts = models.JSONField(help_text="[[person, hour, language, kind, number], …]")

    def __str__(self) -> str:
        return f"counts of tree {self.tree_id}"


class Tally(models.Model):
    """How much of one kind a person did in one hour, or after 48 hours in one day, both UTC."""

    class Grain(models.TextChoices):
        HOUR = "hour", "Hour"
        DAY = "day", "Day"

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tallies")
    start = models.DateTimeField()
    grain = models.CharField(max_length=4, choices=Grain.choices)
    lang = models.CharField(max_length=32)
    kind = models.CharField(max_length=32)
    number = models.IntegerField()

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(fields=["person", "start", "grain", "lang", "kind"], name="tally_once"),
        ]
        indexes = [
            # What leaves a frame, and what is folded, is a stretch of time.
            models.Index(fields=["start"], name="tally_by_start"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"


class Horizon(models.Model):
    """Up to where time has been worked off: where a frame begins now, and which days are folded."""

    FOLDED = "folded"

    name = models.CharField(max_length=8, primary_key=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} since {self.since}"


def _sum_of(kinds: "list[Kind]", field: str) -> models.Expression:
    total: models.Expression = Value(0)
    for kind in kinds:
        factor = getattr(kind, field)
        if 0 < factor < 1:
            # Whole numbers are divided rounding down, which is what the wire does with tenths.
            total = total + F(kind.name) / Value(round(1 / factor))
        elif factor:
            total = total + F(kind.name) * Value(int(factor))
    return total


def _total(field: str, activity: str = "") -> models.GeneratedField:
    """A column that the database computes, so that a board is an index and the formula stands once, in kinds."""
    kinds = [kind for kind in KINDS.values() if not activity or kind.activity == activity]
    return models.GeneratedField(expression=_sum_of(kinds, field), output_field=models.IntegerField(), db_persist=True)


def _count() -> "models.IntegerField[int, int]":
    return models.IntegerField(db_default=0)


MEASURES = ("points", "quality", *ACTIVITIES)


class Standing(models.Model):
    """One person on the boards of one frame and language; the empty language is all of them together."""

    frame = models.CharField(max_length=8, choices=FRAMES)
    lang = models.CharField(max_length=32, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="standings")
    updated_at = models.DateTimeField(db_default=Now())

    # One column for each of kinds.COUNTERS.
    prompts = _count()
    replies_assistant = _count()
    replies_prompter = _count()
    labels_simple = _count()
    labels_full = _count()
    rankings_total = _count()
    accepted_prompts = _count()
    accepted_replies_assistant = _count()
    accepted_replies_prompter = _count()
    reply_ranked_1 = _count()
    reply_ranked_2 = _count()
    reply_ranked_3 = _count()
    rejected = _count()
    reviews_agreed = _count()
    reviews_disagreed = _count()
    rankings_agreed = _count()
    rankings_disagreed = _count()
    provisional = _count()

    points = _total("points")
    quality = _total("quality")
    writing = _total("points", "writing")
    reviewing = _total("points", "reviewing")
    ranking = _total("points", "ranking")

    class Meta:
        # No index on what changes: PostgreSQL then rewrites the row within its page, and tells no index of it. Half of
        # each page is left free for that (migration 0002).
        constraints = [
            models.UniqueConstraint(fields=["frame", "lang", "person"], name="standing_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id}, {self.frame}"


class _Scores(models.Model):
    """The scores of a person on the board of one frame and language: one column for each of MEASURES."""

    pk = models.CompositePrimaryKey("frame", "lang", "person_id")
    frame = models.CharField(max_length=8, choices=FRAMES)
    lang = models.CharField(max_length=32, blank=True)
    # A constraint would lock a person's row for each piece of work. Who is gone is not read.
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    points = models.IntegerField()
    quality = models.IntegerField()
    writing = models.IntegerField()
    reviewing = models.IntegerField()
    ranking = models.IntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.person_id}, {self.frame}"


class Place(_Scores):
    """Where a person stood on a board when it was last put in order (`hot.put_in_order`)."""

    class Meta:
        # A board is read along its index; equal scores stand in the order of the ids, so ties are stable.
        indexes = [
            models.Index(F("frame"), F("lang"), F(measure).desc(), F("person"), name=f"place_by_{measure}")
            for measure in MEASURES
        ]


class Moved(_Scores):
    """The scores of who has moved since the board was put in order: until then their place is not read."""

    stands = models.BooleanField(db_default=True, help_text="No: nothing of theirs is counted any more.")

    class Meta:
        verbose_name_plural = "moved"


class TrollStanding(models.Model):
    """What others said about the texts of one person in one frame: where moderators look first."""

    frame = models.CharField(max_length=8, choices=FRAMES)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="troll_standings")
    updated_at = models.DateTimeField(db_default=Now())

    # One column for each of kinds.COMPLAINTS.
    red_flags = _count()
    upvotes = _count()
    downvotes = _count()
    spam_prompts = _count()
    spam = _count()
    lang_mismatch = _count()
    not_appropriate = _count()
    pii = _count()
    hate_speech = _count()
    sexual_content = _count()
    political_content = _count()
    quality_sum = _count()
    quality_number = _count()
    humor_sum = _count()
    humor_number = _count()
    toxicity_sum = _count()
    toxicity_number = _count()
    violence_sum = _count()
    violence_number = _count()
    helpfulness_sum = _count()
    helpfulness_number = _count()

    score = models.GeneratedField(
        expression=sum((F(name) * Value(weight) for name, weight in TROLL_WEIGHTS.items()), start=Value(0)),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["frame", "person"], name="troll_standing_once"),
        ]
        indexes = [
            models.Index(F("frame"), F("score").desc(), F("person"), name="troll_standing_by_score"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id}, {self.frame}"

    def mean(self, name: str) -> float | None:
        """The mean of one scale over all who answered it, from 0 to 1."""
        number = getattr(self, f"{name}_number")
        return getattr(self, f"{name}_sum") / 1000 / number if number else None


class CachedStatistic(models.Model):
    """The last result of a statistic: what is served when Redis is empty."""

    name = models.CharField(max_length=64, primary_key=True)
    data = models.JSONField()
    updated_at = models.DateTimeField()
    seconds = models.FloatField(help_text="How long it took to compute.")

    def __str__(self) -> str:
        return self.name
