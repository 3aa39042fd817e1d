"""Webhooks: which API clients hear of events on messages and trees, and what they are sent.

A client hears of its own messages and of trees whose prompt is its own; a trusted one hears of all. Payloads carry ids,
never texts: a client reads a text with its key, so a text can be withdrawn. Headers and signature follow Standard
Webhooks (standardwebhooks.com), so receivers can use an existing library. Sending is `trees.outbox.deliveries`. Each
function is one transaction.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from oasst.accounts.models import ApiClient, User
from oasst.api.compact_json import dump
from oasst.core.after_commit import wake
from oasst.core.audit.recording import record
from oasst.core.audit.rows import Watched, new_row, recorded_rows
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.http import outgoing
from oasst.core.ids import uuid7
from oasst.core.ratelimit import WEBHOOK_PINGS, count_use
from trees import acts
from trees.models import Delivery, Happening, Message, Webhook
from trees.models.webhook import new_salt

BATCH = 200  # outbox events
MAX_WEBHOOKS = 10  # webhooks per client
OLD_SECRET_VALID_FOR = timedelta(hours=24)
KEPT_FOR = timedelta(days=30)
PING = "ping"
Kind = Happening.Kind
EVENTS = {
    Kind.MESSAGE_POSTED: "message.posted",
    Kind.MESSAGE_ACCEPTED: "message.accepted",
    Kind.MESSAGE_REJECTED: "message.rejected",
    Kind.MESSAGE_REOPENED: "message.reopened",
    Kind.MESSAGE_EDITED: "message.edited",
    Kind.MESSAGE_DELETED: "message.deleted",
    Kind.MESSAGE_RESTORED: "message.restored",
    # For API clients hidden means deleted, so they need no new event to take it off their pages.
    Kind.REMOVAL_PROPOSED: "message.deleted",
    Kind.REMOVAL_DISMISSED: "message.restored",
    Kind.MESSAGE_HIDDEN: "message.deleted",
    Kind.MESSAGE_WITHDRAWN: "message.deleted",
    Kind.WITHDRAWAL_ENDED: "message.restored",
    Kind.TREE_MOVED: "tree.moved",
    Kind.TREE_IMPORTED: "tree.imported",
}
"""Event names. Who reviewed, reacted or complained stays private."""


# --- Subscriptions ---


def find(client: ApiClient, webhook_id: UUID) -> Webhook:
    """Return a webhook of this client. Raise NotFound."""
    webhook = client.webhooks.filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound("This API client has no such webhook.", code="webhook_not_found")
    return webhook


def create(
    client: ApiClient,
    url: str,
    events: Iterable[str] = (),
    *,
    actor: User | None = None,
    program: ApiClient | None = None,
) -> Webhook:
    """Create a webhook for these events, or for all if none is named.

    Here and below an administrator is the `actor`, or the client itself the `program`. Raise Invalid (`url`,
    `events`), Conflict `too_many_webhooks`.
    """
    outgoing.parse_url(url)
    names = sorted(set(events))
    if unknown := set(names) - set(EVENTS.values()):
        raise Invalid(f"There is no event {min(unknown)}.", code="events", field="events")
    with transaction.atomic():  # nested in the transaction of the admin's form
        ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)
        if client.webhooks.count() >= MAX_WEBHOOKS:
            raise Conflict(f"An API client has at most {MAX_WEBHOOKS} webhooks.", code="too_many_webhooks")
        webhook = Webhook.objects.create(api_client=client, url=url, events=names)
        before, after = new_row("webhook", webhook, _SHOWN)
        record(acts.CREATE_WEBHOOK, webhook, actor=actor, program=program, before=before, after=after)
        return webhook


_SHOWN = ("api_client_id", "url", "events", "enabled")


def delete(webhook: Webhook, *, actor: User | None = None, program: ApiClient | None = None, reason: str = "") -> None:
    """Delete a webhook with its deliveries."""
    with transaction.atomic(durable=True):
        after, before = new_row("webhook", webhook, _SHOWN)
        record(acts.DELETE_WEBHOOK, webhook, actor=actor, program=program, reason=reason, before=before, after=after)
        webhook.delete()


def switch(
    webhook: Webhook, *, on: bool, actor: User | None = None, program: ApiClient | None = None, reason: str = ""
) -> None:
    """Switch a webhook on or off; events that happen while it is off are never sent."""
    with transaction.atomic(durable=True):
        webhook = _lock(webhook)
        watched = {"webhook": Watched(Webhook.objects.filter(pk=webhook.pk), ("enabled", "switched_off_why"))}
        with recorded_rows(acts.SWITCH_WEBHOOK, webhook, watched, actor=actor, program=program, reason=reason):
            if on and not webhook.enabled:
                webhook.enabled, webhook.switched_off_at, webhook.switched_off_why = True, None, ""
                webhook.failures, webhook.failing_since, webhook.retry_at = 0, None, None
                webhook.save()
            elif webhook.enabled and not on:
                switch_off(webhook, "Switched off by hand.")


def switch_off(webhook: Webhook, why: str) -> None:
    """Switch off a webhook inside the caller's transaction, which has locked the row."""
    now = timezone.now()
    webhook.enabled, webhook.switched_off_at, webhook.switched_off_why = False, now, why[:200]
    webhook.save()
    waiting = webhook.deliveries.filter(status=Delivery.Status.WAITING)
    waiting.update(status=Delivery.Status.GIVEN_UP, ended_at=now)


def failed_webhooks() -> QuerySet[Webhook]:
    """Return webhooks that were switched off because their receiver failed."""
    return Webhook.objects.filter(enabled=False, failing_since__isnull=False)


def new_secret(
    webhook: Webhook, *, actor: User | None = None, program: ApiClient | None = None, reason: str = ""
) -> str:
    """Set a new secret and return it. The old one also signs for a day, so that the receiver has time to change."""
    with transaction.atomic(durable=True):
        webhook = _lock(webhook)
        webhook.old_salt, webhook.old_until = webhook.salt, timezone.now() + OLD_SECRET_VALID_FOR
        webhook.salt = new_salt()
        webhook.save(update_fields=["salt", "old_salt", "old_until"])
        record(acts.RENEW_WEBHOOK, webhook, actor=actor, program=program, reason=reason)
        return secret_of(webhook)


def _lock(webhook: Webhook) -> Webhook:
    webhook.refresh_from_db(from_queryset=Webhook.objects.select_for_update(no_key=True))
    return webhook


def ping(webhook: Webhook) -> Delivery:
    """Send a test event. Raise Conflict `webhook_off`, Busy `rate_limited`."""
    if not webhook.enabled:
        raise Conflict("This webhook is switched off.", code="webhook_off")
    count_use(WEBHOOK_PINGS, webhook.api_client_id)
    with transaction.atomic(durable=True):
        delivery = _delivery(webhook, None, PING, {})
        delivery.save(force_insert=True)
        wake(settings.OUTBOX_READERS["told"])
        return delivery


# --- Secrets and signatures ---


def secret_of(webhook: Webhook) -> str:
    return f"whsec_{base64.b64encode(_key(webhook, webhook.salt)).decode()}"


def _key(webhook: Webhook, salt: str) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), f"webhook:{webhook.pk}:{salt}".encode(), hashlib.sha256)


def headers_for(webhook: Webhook, delivery: Delivery) -> dict[str, str]:
    """Return the headers of a try that starts now."""
    now = timezone.now()
    sent_at = str(int(now.timestamp()))
    signed = f"{delivery.pk}.{sent_at}.{delivery.body}".encode()
    salts = [webhook.salt]
    if webhook.old_until is not None and webhook.old_until > now:
        salts.append(webhook.old_salt)
    signatures = (hmac.digest(_key(webhook, salt), signed, hashlib.sha256) for salt in salts)
    return {
        "Content-Type": "application/json",
        "User-Agent": "oasst-webhooks/1",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": sent_at,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in signatures),
    }


# --- Events and deliveries ---


def read_outbox(*, limit: int = BATCH) -> int:
    """Write a delivery per webhook for each unread event. Return how many events were read. Safe to run twice and
    concurrently: rows are claimed.
    """
    with transaction.atomic(durable=True):
        rows = list(
            Happening.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .filter(told=False)
            .select_related("message")
            .defer("message__search", "message__text")
            .order_by("pk")[:limit]
        )
        if rows:
            Delivery.objects.bulk_create(_deliveries(rows), ignore_conflicts=True)
            Happening.objects.filter(pk__in=[row.pk for row in rows]).update(told=True)
    return len(rows)


def _deliveries(rows: list[Happening]) -> Iterable[Delivery]:
    hooks = list(Webhook.objects.filter(enabled=True).select_related("api_client"))
    # A tree has the id of its prompt.
    roots = {row.tree_id for row in rows if row.tree_id is not None}
    owners: dict[UUID | None, UUID | None]
    owners = dict(Message.objects.filter(pk__in=roots).values_list("pk", "api_client_id"))
    for row in rows:
        event = EVENTS.get(Kind(row.kind))
        if event is None or not row.data.get("hides", True):
            continue
        owner = owners.get(row.tree_id) if event.startswith("tree.") else getattr(row.message, "api_client_id", None)
        for hook in hooks:
            may_hear = hook.api_client.trusted or owner == hook.api_client_id
            if may_hear and hook.api_client.enabled and (not hook.events or event in hook.events):
                yield _delivery(hook, row, event, _data(row, hook))


def _data(row: Happening, hook: Webhook) -> dict[str, Any]:
    data: dict[str, Any] = {"message_tree_id": str(row.tree_id)}
    if row.kind == Kind.TREE_MOVED:
        return {**data, "state_before": row.data["from"], "state": row.data["to"]}
    if row.kind == Kind.TREE_IMPORTED or row.message is None:
        return data
    is_own = row.message.api_client_id == hook.api_client_id
    return {
        **data,
        "message_id": str(row.message_id),
        # Only the client itself sees its own ids of messages.
        "frontend_message_id": row.message.frontend_message_id if is_own else None,
    }


def _delivery(hook: Webhook, row: Happening | None, event: str, data: dict[str, Any]) -> Delivery:
    delivery = Delivery(pk=uuid7(), webhook=hook, happening=row, event=event)
    delivery.body = dump(
        {
            "id": delivery.pk,
            "type": event,
            "timestamp": row.at if row else delivery.created_at,
            "sequence": row.pk if row else None,
            "data": data,
        }
    )
    return delivery


def delete_old_deliveries() -> int:
    """Delete deliveries that ended long ago. Return how many."""
    deleted, _ = Delivery.objects.filter(ended_at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted
