"""Webhooks of API clients, and what they were sent."""

import secrets
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.models.happening import Happening


def new_salt() -> str:
    return secrets.token_hex(16)


class Webhook(models.Model):
    """An address of an API client that receives events on messages and trees.

    Its secret is derived from a salt and the SECRET_KEY, so a copy of this table cannot sign anything.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    api_client = models.ForeignKey("accounts.ApiClient", on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    events = ArrayField(models.CharField(max_length=32), default=list, help_text="Of which events; empty means all.")
    enabled = models.BooleanField(default=True)
    switched_off_at = models.DateTimeField(null=True)
    switched_off_why = models.CharField(max_length=200, blank=True)
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    # Also signs for a while after a new secret was made.
    old_salt = models.CharField(max_length=32, blank=True, editable=False)
    old_until = models.DateTimeField(null=True)
    # The health of its receiver: a failing one gets a single try at a time.
    failures = models.PositiveIntegerField(default=0, help_text="Tries that failed since the last that went well.")
    failing_since = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True, help_text="Until then nothing is sent to it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event for one webhook. Its id stays the same across tries, so that receivers can drop repeats."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        GIVEN_UP = "given_up", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    # Null for a ping.
    happening = models.ForeignKey(Happening, on_delete=models.CASCADE, null=True, related_name="+")
    event = models.CharField(max_length=32)
    body = models.TextField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    answer_status = models.PositiveIntegerField(null=True, help_text="The HTTP status of the last answer.")
    error = models.CharField(max_length=200, blank=True, help_text="Why the last try failed.")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["webhook", "happening"], name="delivery_once")]
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            # Waiting deliveries, of each webhook the oldest first.
            models.Index(fields=["webhook", "due_at"], condition=models.Q(status="waiting"), name="delivery_waiting"),
            # Old deliveries are deleted.
            models.Index(fields=["ended_at"], condition=models.Q(ended_at__isnull=False), name="delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"

    @property
    def next_try_at(self) -> datetime | None:
        return self.due_at if self.ended_at is None else None
