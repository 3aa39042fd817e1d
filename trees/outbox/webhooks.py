"""Webhooks: which programs hear of what happens to messages and trees, and what is said to them.

An API client is told of its own messages and of trees whose prompt is its own; a trusted one of all. Events carry ids,
never texts: what was written is read with the key of the client, so that it can be taken back. Headers and signature
are those of Standard Webhooks (standardwebhooks.com), so receivers can check them with an existing library.
Sending is `trees.outbox.deliveries`. Each function is one transaction.
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

from oasst.accounts.models import ApiClient
from oasst.api.wire_json import dump
from oasst.core.after_commit import wake
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.http import outgoing
from oasst.core.ids import uuid7
from oasst.core.ratelimit import WEBHOOK_PINGS, spend
from trees.models import Delivery, Happening, Message, Webhook
from trees.models.webhook import new_salt

BATCH = 200  # happenings
MOST = 10  # webhooks of one client
BOTH_SECRETS = timedelta(hours=24)
KEPT = timedelta(days=30)
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
    # To programs what is hidden is deleted for now: they learn to take it off their pages without a new event.
    Kind.REMOVAL_PROPOSED: "message.deleted",
    Kind.REMOVAL_DISMISSED: "message.restored",
    Kind.MESSAGE_WITHDRAWN: "message.deleted",
    Kind.WITHDRAWAL_ENDED: "message.restored",
    Kind.TREE_MOVED: "tree.moved",
    Kind.TREE_IMPORTED: "tree.imported",
}
"""What is told. Who reviewed, reacted or complained is nobody's business but theirs."""


# --- Subscriptions ---


def find(client: ApiClient, webhook_id: UUID) -> Webhook:
    """A webhook of this client. Raises NotFound."""
    found = client.webhooks.filter(pk=webhook_id).first()
    if found is None:
        raise NotFound("This API client has no such webhook.", code="webhook_not_found")
    return found


def create(client: ApiClient, url: str, events: Iterable[str] = ()) -> Webhook:
    """From now on this address is told of these events, of all when none is named.

    Raises Invalid (`url`, `events`), Conflict `too_many_webhooks`.
    """
    outgoing.read_url(url)
    wanted = sorted(set(events))
    if unknown := set(wanted) - set(EVENTS.values()):
        raise Invalid(f"There is no event {min(unknown)}.", code="events", field="events")
    with transaction.atomic():  # not the outermost for a form of the admin
        ApiClient.objects.select_for_update(no_key=True).get(pk=client.pk)
        if client.webhooks.count() >= MOST:
            raise Conflict(f"An API client has at most {MOST} webhooks.", code="too_many_webhooks")
        return Webhook.objects.create(api_client=client, url=url, events=wanted)


def delete(webhook: Webhook) -> None:
    """It is told nothing more, and what it was told is forgotten."""
    with transaction.atomic(durable=True):
        webhook.delete()


def switch(webhook: Webhook, *, on: bool) -> None:
    """Off: nothing is told or sent. On: what happens from now on is."""
    with transaction.atomic(durable=True):
        webhook = _lock(webhook)
        if on and not webhook.enabled:
            webhook.enabled, webhook.switched_off_at, webhook.switched_off_why = True, None, ""
            webhook.failures, webhook.failing_since, webhook.retry_at = 0, None, None
            webhook.save()
        elif webhook.enabled and not on:
            switch_off(webhook, "Switched off by hand.")


def switch_off(webhook: Webhook, why: str) -> None:
    """Inside the caller's transaction, which holds the row."""
    now = timezone.now()
    webhook.enabled, webhook.switched_off_at, webhook.switched_off_why = False, now, why[:200]
    webhook.save()
    waiting = webhook.deliveries.filter(status=Delivery.Status.WAITING)
    waiting.update(status=Delivery.Status.GIVEN_UP, ended_at=now)


def gave_up() -> QuerySet[Webhook]:
    """Those that were switched off because their receiver failed."""
    return Webhook.objects.filter(enabled=False, failing_since__isnull=False)


def new_secret(webhook: Webhook) -> str:
    """Another secret; the one before signs along for a day, so that the receiver can change without a gap."""
    with transaction.atomic(durable=True):
        webhook = _lock(webhook)
        webhook.old_salt, webhook.old_until = webhook.salt, timezone.now() + BOTH_SECRETS
        webhook.salt = new_salt()
        webhook.save(update_fields=["salt", "old_salt", "old_until"])
        return secret_of(webhook)


def _lock(webhook: Webhook) -> Webhook:
    webhook.refresh_from_db(from_queryset=Webhook.objects.select_for_update(no_key=True))
    return webhook


def ping(webhook: Webhook) -> Delivery:
    """Send an event that means nothing. Raises Conflict `webhook_off`, Busy `rate_limited`."""
    if not webhook.enabled:
        raise Conflict("This webhook is switched off.", code="webhook_off")
    spend(WEBHOOK_PINGS, webhook.api_client_id)
    with transaction.atomic(durable=True):
        made = _delivery(webhook, None, PING, {})
        made.save(force_insert=True)
        wake(settings.OUTBOX_READERS["told"])
        return made


# --- Secrets and signatures ---


def secret_of(webhook: Webhook) -> str:
    return f"whsec_{base64.b64encode(_key(webhook, webhook.salt)).decode()}"


def _key(webhook: Webhook, salt: str) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), f"webhook:{webhook.pk}:{salt}".encode(), hashlib.sha256)


def headers_for(webhook: Webhook, delivery: Delivery) -> dict[str, str]:
    """Of one try, which begins now."""
    now = timezone.now()
    sent_at = str(int(now.timestamp()))
    signed = f"{delivery.pk}.{sent_at}.{delivery.body}".encode()
    salts = [webhook.salt]
    if webhook.old_until is not None and webhook.old_until > now:
        salts.append(webhook.old_salt)
    marks = (hmac.digest(_key(webhook, salt), signed, hashlib.sha256) for salt in salts)
    return {
        "Content-Type": "application/json",
        "User-Agent": "oasst-webhooks/1",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": sent_at,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in marks),
    }


# --- What happened ---


def read_outbox(*, limit: int = BATCH) -> int:
    """Write a delivery for each webhook that wants to hear of what happened and was not told yet; returns how many
    facts were read. Safe to run twice and at once: rows are claimed.
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
    # The id of a tree is that of its prompt.
    roots = {row.tree_id for row in rows if row.tree_id is not None}
    owners: dict[UUID | None, UUID | None]
    owners = dict(Message.objects.filter(pk__in=roots).values_list("pk", "api_client_id"))
    for row in rows:
        event = EVENTS.get(Kind(row.kind))
        if event is None or not row.data.get("hides", True):
            continue
        owner = owners.get(row.tree_id) if event.startswith("tree.") else getattr(row.message, "api_client_id", None)
        for hook in hooks:
            hears = hook.api_client.trusted or owner == hook.api_client_id
            if hears and hook.api_client.enabled and (not hook.events or event in hook.events):
                yield _delivery(hook, row, event, _data(row, hook))


def _data(row: Happening, hook: Webhook) -> dict[str, Any]:
    found: dict[str, Any] = {"message_tree_id": str(row.tree_id)}
    if row.kind == Kind.TREE_MOVED:
        return {**found, "state_before": row.data["from"], "state": row.data["to"]}
    if row.kind == Kind.TREE_IMPORTED or row.message is None:
        return found
    own = row.message.api_client_id == hook.api_client_id
    return {
        **found,
        "message_id": str(row.message_id),
        # What a client calls its messages is its own business.
        "frontend_message_id": row.message.frontend_message_id if own else None,
    }


def _delivery(hook: Webhook, row: Happening | None, event: str, data: dict[str, Any]) -> Delivery:
    made = Delivery(pk=uuid7(), webhook=hook, happening=row, event=event)
    made.body = dump(
        {
            "id": made.pk,
            "type": event,
            "timestamp": row.at if row else made.created_at,
            "sequence": row.pk if row else None,
            "data": data,
        }
    )
    return made


def forget() -> int:
    """Drop deliveries that ended long ago. Returns how many."""
    deleted, _ = Delivery.objects.filter(ended_at__lt=timezone.now() - KEPT).delete()
    return deleted
