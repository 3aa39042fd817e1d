"""One request for an answer: its position in the queue, its lease and its progress."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from inference.hot import TurnManager
from inference.models.chat import ChatMessage
from inference.turns.states import OPEN, UNSUCCESSFUL, TurnState


class Turn(models.Model):
    """The rows are the queue, so it survives every process. Redis only has the newest text.

    While an engine holds it (`owner`, `lease_until`), `text` and `token_ids` are a checkpoint, at most a second old.
    """

    message = models.OneToOneField(ChatMessage, on_delete=models.CASCADE, primary_key=True, related_name="turn")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in TurnState], default=TurnState.PENDING
    )
    model = models.CharField(max_length=200)
    sampling = models.JSONField(default=dict, help_text="See inference.engine.sampling; the seed is always set.")
    system_prompt = models.TextField(blank=True, help_text="As it was when the answer was asked for.")

    # The conversation that an API client sent, a list of {role, content}; null: the message's branch.
    prompt = models.JSONField(null=True, editable=False)

    by_program = models.BooleanField(
        default=False, db_default=False, help_text="Asked for by a program of the person, not on their pages."
    )

    queued_at = models.DateTimeField(default=timezone.now, help_text="Its place in the queue; kept when it goes back.")
    deadline_at = models.DateTimeField(help_text="When it is given up: of waiting, then of answering.")
    stop_asked_at = models.DateTimeField(null=True)
    # Renewed while an API client waits (inference.turns.callers), by the clock of the database.
    wanted_until = models.DateTimeField(null=True, help_text="Then nobody waits for it any more. Empty: until its end.")

    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    fruitless_claims = models.PositiveSmallIntegerField(default=0, help_text="Since the checkpoint last moved.")

    text = models.TextField(blank=True)
    token_ids = ArrayField(models.IntegerField(), default=list)

    began_at = models.DateTimeField(null=True, help_text="Of the first claim.")
    first_text_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    finish_reason = models.CharField(max_length=16, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=500, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    dropped_messages = models.PositiveIntegerField(default=0, help_text="That did not fit into the context.")

    objects = TurnManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state=TurnState.IN_PROGRESS, lease_until__isnull=False)
                | (~Q(state=TurnState.IN_PROGRESS) & Q(lease_until=None, owner="")),
                name="turn_held_while_in_progress",
            ),
            models.CheckConstraint(
                condition=Q(state__in=OPEN, ended_at=None) | (~Q(state__in=OPEN) & Q(ended_at__isnull=False)),
                name="turn_ended_when_finished",
            ),
        ]
        indexes = [
            # Only open turns: a handful of rows.
            models.Index(fields=["queued_at"], condition=Q(state__in=OPEN), name="turn_open"),
            models.Index(fields=["user"], condition=Q(state__in=OPEN), name="turn_open_of_person"),
            # For the recent durations of answers.
            models.Index(fields=["-ended_at"], condition=Q(state=TurnState.COMPLETE), name="turn_recent"),
            models.Index(fields=["-ended_at"], condition=Q(state__in=UNSUCCESSFUL), name="turn_troubled"),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.message_id}"

    @property
    def position(self) -> int:
        """The length of the text: the id of its last event (inference.turns.events)."""
        return len(self.text)
