"""What was trained, how it was judged, and what the site answers with: the registry of models."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from oasst.core.ids import uuid7


class ServedModel(models.Model):
    """A model that the site knows. Its row stays when the site offers it no more, so that a model keeps its age."""

    class Origin(models.TextChoices):
        SETTINGS = "settings", "Named in the settings"
        FETCHED = "fetched", "Fetched"
        TRAINED = "trained", "Trained here"

    class Stage(models.TextChoices):
        """Who may choose it."""

        NOBODY = "nobody", "Nobody"
        STAFF = "staff", "Moderators and administrators"
        SHARE = "share", "A share of the users"
        ALL = "all", "Everybody"

    name = models.CharField(max_length=200, primary_key=True)
    since = models.DateTimeField(default=timezone.now, help_text="Of the first start with it.")
    origin = models.CharField(
        max_length=16, choices=Origin.choices, default=Origin.SETTINGS, db_default=Origin.SETTINGS
    )
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.NOBODY, db_default=Stage.NOBODY)
    share = models.PositiveSmallIntegerField(default=5, db_default=5, help_text="Percent of the users at that stage.")
    # Of the models for everybody, the one with the newest time is the default.
    staged_at = models.DateTimeField(null=True, blank=True, help_text="When it came to this stage.")
    changed_at = models.DateTimeField(null=True, blank=True, help_text="When its stage was last set or taken back.")
    # What it had before the last change, for going back. Empty after that.
    previous_stage = models.CharField(max_length=16, choices=Stage.choices, blank=True, default="", db_default="")
    previous_share = models.PositiveSmallIntegerField(null=True, blank=True)
    previous_staged_at = models.DateTimeField(null=True, blank=True)
    folder = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="Below OASST_HOME, or absolute."
    )
    digest = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="Of its weights.")
    license = models.CharField(max_length=100, blank=True, default="", db_default="")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children", help_text="Trained from it."
    )
    run = models.OneToOneField(
        "TrainingRun", on_delete=models.PROTECT, null=True, blank=True, related_name="served", help_text="That made it."
    )

    class Meta:
        # From when it only had the names of offered models. A release that still reads that may run beside this one.
        db_table = "inference_offeredmodel"
        constraints = [
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=100), name="model_share_is_percent"),
        ]

    def __str__(self) -> str:
        return self.name


class TrainingRun(models.Model):
    """One training. The rows are the queue of `./manage.py run_trainer`, which holds a row by a lease."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of all that decides the weights: same key, same model."
    )
    method = models.CharField(max_length=16, help_text="See inference.training.config.")
    config = models.JSONField(default=dict, help_text="All settings, defaults included.")
    base = models.CharField(max_length=200, help_text="The model it starts from.")
    base_digest = models.CharField(max_length=64)
    base_folder = models.CharField(max_length=500, db_default="", help_text="Below OASST_HOME, or absolute.")
    snapshot = models.CharField(max_length=64, help_text="Its name.")
    snapshot_digest = models.CharField(max_length=64, help_text="SHA-256 of its manifest.")
    code_version = models.CharField(max_length=64, blank=True)
    host = models.CharField(max_length=64, blank=True)

    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    # Empty if it was asked for on the command line.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fruitless_claims = models.PositiveSmallIntegerField(default=0, help_text="Since the last step.")

    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0, help_text="In all; 0 while unknown.")
    figures = models.JSONField(default=dict, help_text="The last ones.")
    funnels = models.JSONField(default=dict, help_text="What became of the rows of the snapshot.")
    seconds = models.FloatField(default=0, help_text="Of computing.")
    peak_bytes = models.PositiveBigIntegerField(default=0, help_text="Of memory.")
    folder = models.CharField(max_length=500, blank=True, help_text="Of the model, below OASST_HOME.")
    model_digest = models.CharField(max_length=64, blank=True, help_text="Of its weights.")
    error_code = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=1000, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_until=None, owner="")),
                name="training_held_while_running",
            ),
        ]
        indexes = [
            models.Index(fields=["asked_at"], condition=Q(state__in=("waiting", "running")), name="training_open"),
            models.Index(fields=["key"], name="training_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.method} of {self.base} on {self.snapshot}"


class TrainingPoint(models.Model):
    """The figures of one step of a run, for its curves. A resumed run writes the steps since its checkpoint again."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="points", db_index=False)
    step = models.PositiveIntegerField()
    figures = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="training_point_once")]

    def __str__(self) -> str:
        return f"{self.step} of {self.run_id}"


class Evaluation(models.Model):
    """A model compared with another one on the held-out part of a snapshot, and what the gate said."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=64, editable=False, help_text="SHA-256 of all that decides the report.")
    model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="evaluations")
    against = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    snapshot = models.CharField(max_length=64)
    snapshot_digest = models.CharField(max_length=64)
    report = models.JSONField(default=dict)
    gate = models.JSONField(default=dict, help_text="Its rules at that time.")
    passed = models.BooleanField(null=True, help_text="Empty: no gate was asked.")
    reasons = models.JSONField(default=list, help_text="Sentences: why it did not pass, or what it passed.")
    page = models.CharField(max_length=500, blank=True, help_text="The report as HTML, below OASST_HOME.")
    seconds = models.FloatField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["key"], name="evaluation_by_key")]

    def __str__(self) -> str:
        return f"{self.model_id} against {self.against_id or 'nothing'}"
