"""Send webhook deliveries, with retries until the receiver accepts or time is up.

A delivery is a row until it ends, so no lost queue or killed worker loses one; at worst it is sent twice under the same
id. Each receiver has its own thread, and a failing one gets a single try at a time with growing pauses, so it does not
delay others.
"""

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from oasst.core.http import outgoing
from trees.models import Delivery, Webhook
from trees.outbox import webhooks

log = structlog.get_logger(__name__)

RECEIVERS_AT_ONCE = 16
PER_RECEIVER = 8  # concurrent deliveries to a healthy receiver
LEASE = timedelta(minutes=2)  # then a try of a killed worker counts as not made
RETRY_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720, 1440, 1440))
"""Pauses between the tries of one delivery; after the last it is given up."""
SHORTEST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(hours=1)
"""Pause of a failing receiver, whatever waits for it; it doubles each time."""
FAILING_FOR = timedelta(days=3)  # then the webhook is switched off
ROUND, LOOK_AGAIN = 30, 0.5  # seconds
_RUNNING = "trees.deliveries.running"  # in Redis, shared with the former release: not the name of this module
GONE = 410


@dataclass(frozen=True)
class DeliveryAttempt:
    """One try of a delivery."""

    delivery: Delivery
    webhook: Webhook
    began: datetime
    headers: dict[str, str]


def run(seconds: float = ROUND) -> int:
    """Send due deliveries until none is left or the time is over. Return the number of tries.

    A mark in Redis lets only one run at a time, since a run occupies a worker thread while receivers answer. Losing the
    mark is harmless: rows are claimed.
    """
    if not cache.add(_RUNNING, True, timeout=seconds + 2 * outgoing.TOTAL_SECONDS + 5):
        return 0
    try:
        return _run(time.monotonic() + seconds)
    finally:
        cache.delete(_RUNNING)


def _run(end: float) -> int:
    tries = 0
    pending: dict[Future[int], DeliveryAttempt] = {}
    with ThreadPoolExecutor(RECEIVERS_AT_ONCE * PER_RECEIVER) as pool:
        while True:
            busy = {attempt.webhook.pk for attempt in pending.values()}
            for attempt in _claim(busy) if time.monotonic() < end else ():
                pending[pool.submit(_send, attempt)] = attempt
                tries += 1
            if not pending:
                return tries
            # A short wait: deliveries that became due must not wait for slow receivers.
            done, _ = wait(pending, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
            for future in done:
                _store_result(pending.pop(future), future)


def _send(attempt: DeliveryAttempt) -> int:
    return outgoing.post(attempt.webhook.url, attempt.delivery.body.encode(), attempt.headers)


def _claim(busy: Collection[UUID]) -> list[DeliveryAttempt]:
    """Claim the next deliveries. Receivers with pending tries are left out."""
    now = timezone.now()
    due = Delivery.objects.filter(webhook=OuterRef("pk"), status=Delivery.Status.WAITING, due_at__lte=now)
    rested = Q(retry_at=None) | Q(retry_at__lte=now)
    hooks = Webhook.objects.filter(rested, Exists(due), enabled=True).exclude(pk__in=busy)
    attempts: list[DeliveryAttempt] = []
    # Random order: otherwise slow receivers at the front would occupy all threads.
    for hook in hooks.order_by("?")[: RECEIVERS_AT_ONCE - len(busy)]:
        with transaction.atomic(durable=True):
            rows = hook.deliveries.select_for_update(skip_locked=True, of=("self",), no_key=True)
            waiting = rows.filter(status=Delivery.Status.WAITING, due_at__lte=now).order_by("due_at", "pk")
            claimed = list(waiting[: 1 if hook.failures else PER_RECEIVER])
            Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
                due_at=now + LEASE, attempts=F("attempts") + 1
            )
        attempts += [DeliveryAttempt(d, hook, now, webhooks.headers_for(hook, d)) for d in claimed]
    return attempts


def _store_result(attempt: DeliveryAttempt, response: "Future[int]") -> None:
    status, error = None, ""
    try:
        status = response.result()
        if not 200 <= status < 300:
            error = f"The receiver answered {status}."
    except outgoing.NoResponse as reason:
        error = str(reason)[:200]
    with transaction.atomic(durable=True):
        hook = Webhook.objects.select_for_update(no_key=True).filter(pk=attempt.webhook.pk).first()
        delivery = Delivery.objects.select_for_update(no_key=True).filter(pk=attempt.delivery.pk).first()
        if hook is None or delivery is None or delivery.status == Delivery.Status.DELIVERED:
            return
        delivery.answer_status, delivery.error = status, error
        if error:
            _failed(hook, delivery, attempt.began, gone=status == GONE)
        else:
            _succeeded(hook, delivery)


def _succeeded(hook: Webhook, delivery: Delivery) -> None:
    delivery.status, delivery.ended_at = Delivery.Status.DELIVERED, timezone.now()
    delivery.save()
    if hook.failures:
        hook.failures, hook.failing_since, hook.retry_at = 0, None, None
        hook.save(update_fields=["failures", "failing_since", "retry_at"])


def _failed(hook: Webhook, delivery: Delivery, began: datetime, *, gone: bool) -> None:
    now = timezone.now()
    if delivery.attempts > len(RETRY_PAUSES):
        delivery.status, delivery.ended_at = Delivery.Status.GIVEN_UP, now
    else:
        delivery.due_at = now + RETRY_PAUSES[delivery.attempts - 1]
    delivery.save()
    if hook.retry_at is None or hook.retry_at <= began:  # otherwise a concurrent try has counted this failure
        hook.failures += 1
        hook.failing_since = hook.failing_since or now
        hook.retry_at = now + min(SHORTEST_REST * 2 ** min(hook.failures - 1, 20), LONGEST_REST)
        hook.save(update_fields=["failures", "failing_since", "retry_at"])
    if not hook.enabled:
        return
    if gone:
        webhooks.switch_off(hook, "The receiver said that it is gone for good.")
    elif hook.failing_since is not None and hook.failing_since <= now - FAILING_FOR:
        webhooks.switch_off(hook, f"No success for {FAILING_FOR.days} days. Last: {delivery.error}")
        log.warning("webhook_switched_off", webhook=str(hook.pk), error=delivery.error)
