"""Tasks that were handed to users, their drafts, and what each language did lately."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from tasks.hot import TaskManager
from tasks.kinds import Kind
from trees.models import Message, Ranking, Review


class Task(models.Model):
    """One piece of work for one user. It stores the ids and the order of what was shown, never copies of texts."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        SKIPPED = "skipped", "Skipped"
        EXPIRED = "expired", "Expired"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tasks")
    # No index of its own: the index of the unique constraint begins with it.
    api_client = models.ForeignKey(
        "accounts.ApiClient", on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=32, choices=[(kind.value, kind.value) for kind in Kind])
    lang = models.CharField(max_length=32)
    asked_kind = models.CharField(max_length=32, blank=True, help_text="What was asked for; empty means any work.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(help_text="Until then an answer is taken.")
    finished_at = models.DateTimeField(null=True)

    # The message to judge, to answer, or whose replies to rank. Null for a first prompt.
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="tasks")
    mode = models.CharField(max_length=16, choices=Review.Mode.choices, default=Review.Mode.FULL)
    # The person must not see a difference, so no page and no API shows it.
    check_kind = models.CharField(
        max_length=8,
        blank=True,
        default="",
        db_default="",
        choices=[(kind.value, kind.label) for kind in Review.CHECKS],
        help_text="For a review that only says how the user reviews: its kind. No opening is held for it.",
    )
    check_held_until = models.DateTimeField(null=True, editable=False, help_text="Shown like the hold of an opening.")
    reply_ids = ArrayField(models.UUIDField(), default=list, help_text="Replies to rank, in the order shown.")
    revision_ids = ArrayField(models.UUIDField(), default=list, help_text="The texts that were shown for judgment.")

    # The answer.
    result_message = models.OneToOneField(Message, on_delete=models.SET_NULL, null=True, related_name="task")
    result_review = models.OneToOneField(Review, on_delete=models.SET_NULL, null=True, related_name="task")
    result_ranking = models.OneToOneField(Ranking, on_delete=models.SET_NULL, null=True, related_name="task")
    answer_digest = models.CharField(max_length=64, blank=True, help_text="Tells a repeated answer from another one.")
    skip_reason = models.CharField(max_length=512, blank=True)

    # For API clients: the client's own id for the task, given when it acknowledges.
    acknowledged_at = models.DateTimeField(null=True)
    # Null instead of empty, since the unique constraint allows any number of nulls.
    frontend_message_id = models.CharField(max_length=200, null=True)  # noqa: DJ001
    collective = models.BooleanField(default=False)

    objects = TaskManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_client", "frontend_message_id"], name="task_frontend_id_once"),
            models.CheckConstraint(
                condition=models.Q(status="open") | models.Q(finished_at__isnull=False), name="task_finished_when"
            ),
        ]
        indexes = [
            # The pending tasks of a user, read by each request for work.
            models.Index(fields=["user", "created_at"], condition=models.Q(status="open"), name="task_pending"),
            # The first prompts that are being written in a language.
            models.Index(
                fields=["kind", "lang", "created_at"], condition=models.Q(status="open"), name="task_in_progress"
            ),
            # Open tasks that expired, for clean-up.
            models.Index(fields=["expires_at"], condition=models.Q(status="open"), name="task_expiry"),
            # Recent answers by language, read by an index-only scan.
            models.Index(
                fields=["finished_at"], include=["lang", "kind"], condition=models.Q(status="done"), name="task_done"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"


class Draft(models.Model):
    """The unsent answer to a task. It remains when the task expires, so that nothing typed is lost."""

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="draft")
    body = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"draft of {self.task_id}"


class Capacity(models.Model):
    """What the people of a language did in the last weeks. `capacity.measure` writes it, each request reads it."""

    lang = models.CharField(max_length=32, primary_key=True)
    reviews = models.PositiveIntegerField()
    replies = models.PositiveIntegerField()
    rankings = models.PositiveIntegerField()
    seconds = models.JSONField(default=dict, db_default={}, help_text="Kind → how long a task of it takes.")
    checked_kinds = ArrayField(
        models.CharField(max_length=32),
        default=list,
        db_default=[],
        help_text="Kinds of review for which there are enough gold messages.",
    )
    since = models.DateTimeField(help_text="The first answer that was ever counted.")
    measured_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "capacities"

    def __str__(self) -> str:
        return f"{self.lang}: {self.reviews} reviews, {self.replies} replies, {self.rankings} rankings"
