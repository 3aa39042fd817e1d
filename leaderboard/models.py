"""Tallies, and the boards that are sums of them. `leaderboard.rebuild` makes all of it again from the data set.

Scores change with each contribution, which is too often for an index. So `Standing` holds the counts without one,
`Place` holds a copy of the scores with the indexes that boards are read by and follows some minutes later, and `Moved`
holds the scores that differ from it until then. Boards read both, so they are always current (leaderboard.queries).
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Now

from leaderboard.points import ACTIVITIES, KINDS, TROLL_WEIGHTS, Kind
from leaderboard.time_frames import Frame

FRAMES = [(frame.value, frame.value) for frame in Frame]


class Counted(models.Model):
    """What the tallies hold of one tree, so that counting it again adds only the difference."""

    # No foreign key: the counts must be subtracted also after the tree was deleted.
    tree_id = models.UUIDField(primary_key=True)
    counts = models.JSONField(help_text="[[person, hour, language, kind, number], …]")

    def __str__(self) -> str:
        return f"counts of tree {self.tree_id}"


class Tally(models.Model):
    """How much of one kind a user did in one hour or, once that is 48 hours ago, in one day, both UTC."""

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
        constraints = [models.UniqueConstraint(fields=["person", "start", "grain", "lang", "kind"], name="tally_once")]
        indexes = [
            # For ranges of time that leave a frame or are folded into days.
            models.Index(fields=["start"], name="tally_by_start")
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.kind}"


class Horizon(models.Model):
    """The time up to which a periodic job has run: the start of a frame, or the end of the folded days."""

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
            # Integer division rounds down, as the wire does with tenths.
            total = total + F(kind.name) / Value(round(1 / factor))
        elif factor:
            total = total + F(kind.name) * Value(int(factor))
    return total


def _total(field: str, activity: str = "") -> models.GeneratedField:
    """Return a column that the database computes, so that the formula exists only once, in points.KINDS."""
    kinds = [kind for kind in KINDS.values() if not activity or kind.activity == activity]
    return models.GeneratedField(expression=_sum_of(kinds, field), output_field=models.IntegerField(), db_persist=True)


def _count() -> "models.IntegerField[int, int]":
    return models.IntegerField(db_default=0)


MEASURES = ("points", "quality", *ACTIVITIES)


class Standing(models.Model):
    """A board entry: one user in one frame and language. The empty language is the sum of all."""

    frame = models.CharField(max_length=8, choices=FRAMES)
    lang = models.CharField(max_length=32, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="standings")
    updated_at = models.DateTimeField(db_default=Now())

    # One column for each of points.COUNTERS.
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
        # No index on columns that change, so that PostgreSQL updates a row within its page and touches no index. Half
        # of each page is left free for that (migration 0002).
        constraints = [models.UniqueConstraint(fields=["frame", "lang", "person"], name="standing_once")]

    def __str__(self) -> str:
        return f"{self.person_id}, {self.frame}"


class _Scores(models.Model):
    """The scores of a user in one frame and language: one column for each of MEASURES."""

    pk = models.CompositePrimaryKey("frame", "lang", "person_id")
    frame = models.CharField(max_length=8, choices=FRAMES)
    lang = models.CharField(max_length=32, blank=True)
    # No constraint, since it would lock the user's row for each contribution. Rows of deleted users are not read.
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
    """The scores of a user when the board was last put in order (`hot.put_in_order`)."""

    class Meta:
        # Boards are read by these indexes; equal scores are ordered by id, so ties are stable.
        indexes = [
            models.Index(F("frame"), F("lang"), F(measure).desc(), F("person"), name=f"place_by_{measure}")
            for measure in MEASURES
        ]


class Moved(_Scores):
    """The scores of a user that changed since the board was put in order; they are read instead of `Place`."""

    stands = models.BooleanField(db_default=True, help_text="No: nothing of theirs is counted any more.")

    class Meta:
        verbose_name_plural = "moved"


class Risen(models.Model):
    """Somebody whose points passed the threshold of a level when the boards were put in order. Whoever tells them
    (oasst.site.notices.levels) deletes the row.
    """

    # No constraint, as in _Scores.
    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "risen"

    def __str__(self) -> str:
        return f"{self.person_id} rose"


class TrollStanding(models.Model):
    """Complaints and ratings about the texts of one author in one frame: where moderators look first."""

    frame = models.CharField(max_length=8, choices=FRAMES)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="troll_standings")
    updated_at = models.DateTimeField(db_default=Now())

    # One column for each of points.COMPLAINTS.
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
        constraints = [models.UniqueConstraint(fields=["frame", "person"], name="troll_standing_once")]
        indexes = [models.Index(F("frame"), F("score").desc(), F("person"), name="troll_standing_by_score")]

    def __str__(self) -> str:
        return f"{self.person_id}, {self.frame}"

    def mean(self, name: str) -> float | None:
        """Return the mean of all answers on one scale, from 0 to 1; None without answers."""
        number = getattr(self, f"{name}_number")
        return getattr(self, f"{name}_sum") / 1000 / number if number else None


class CachedStatistic(models.Model):
    """The last result of a statistic, for when Redis does not have it."""

    name = models.CharField(max_length=64, primary_key=True)
    data = models.JSONField()
    updated_at = models.DateTimeField()
    seconds = models.FloatField(help_text="How long it took to compute.")

    def __str__(self) -> str:
        return self.name
