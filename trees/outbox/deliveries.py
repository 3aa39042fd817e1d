"""Sending what webhooks are told, again and again until the receiver took it or time is up.

A delivery is a row until it ended, so neither an empty queue nor a killed worker loses one; at worst it is sent twice
under the same id. Each receiver is waited for in a thread of its own, and one that fails gets a single try at a time,
less and less often: a dead one delays nobody else.
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
EACH = 8  # deliveries at once to a receiver that does well
LEASE = timedelta(minutes=2)  # after that a try whose worker was killed counts as not made
PAUSES = tuple(timedelta(minutes=one) for one in (1, 5, 30, 120, 360, 720, 1440, 1440))
"""Between the tries of one delivery; after the last it is given up."""
SHORTEST_REST, LONGEST_REST = timedelta(seconds=30), timedelta(hours=1)
"""How long a receiver that fails is left alone, whatever waits for it: twice as long each time."""
FAILING_FOR = timedelta(days=3)
"""Then it is switched off."""
ROUND, LOOK_AGAIN = 30, 0.5  # seconds
_RUNNING = "trees.deliveries.running"  # in Redis, also for the release before: not the name of this module
GONE = 410


@dataclass(frozen=True)
class Parcel:
    """One try."""

    delivery: Delivery
    webhook: Webhook
    began: datetime
    headers: dict[str, str]


def run(seconds: float = ROUND) -> int:
    """Send what is due until nothing is or the time is over; returns how many tries were made.

    One at a time, by a mark in Redis, because it may keep a worker thread for as long as a receiver takes to answer. A
    lost mark does no harm: rows are claimed.
    """
    if not cache.add(_RUNNING, True, timeout=seconds + 2 * outgoing.SECONDS + 5):
        return 0
    try:
        return _run(time.monotonic() + seconds)
    finally:
        cache.delete(_RUNNING)


def _run(end: float) -> int:
    tries = 0
    flying: dict[Future[int], Parcel] = {}
    with ThreadPoolExecutor(RECEIVERS_AT_ONCE * EACH) as pool:
        while True:
            busy = {parcel.webhook.pk for parcel in flying.values()}
            for parcel in _claim(busy) if time.monotonic() < end else ():
                flying[pool.submit(_send, parcel)] = parcel
                tries += 1
            if not flying:
                return tries
            # Not for long: what became due meanwhile goes to others than those who let us wait.
            done, _ = wait(flying, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
            for one in done:
                _note(flying.pop(one), one)


def _send(parcel: Parcel) -> int:
    return outgoing.post(parcel.webhook.url, parcel.delivery.body.encode(), parcel.headers)


def _claim(busy: Collection[UUID]) -> list[Parcel]:
    """What to send next, marked as begun. Receivers that are being waited for are left out."""
    now = timezone.now()
    due = Delivery.objects.filter(webhook=OuterRef("pk"), status=Delivery.Status.WAITING, due_at__lte=now)
    rested = Q(retry_at=None) | Q(retry_at__lte=now)
    hooks = Webhook.objects.filter(rested, Exists(due), enabled=True).exclude(pk__in=busy)
    parcels: list[Parcel] = []
    # By lot: in a fixed order, those in front who take long to answer would keep all the threads for themselves.
    for hook in hooks.order_by("?")[: RECEIVERS_AT_ONCE - len(busy)]:
        with transaction.atomic(durable=True):
            rows = hook.deliveries.select_for_update(skip_locked=True, of=("self",), no_key=True)
            waiting = rows.filter(status=Delivery.Status.WAITING, due_at__lte=now).order_by("due_at", "pk")
            found = list(waiting[: 1 if hook.failures else EACH])
            Delivery.objects.filter(pk__in=[one.pk for one in found]).update(
                due_at=now + LEASE, attempts=F("attempts") + 1
            )
        parcels += [Parcel(one, hook, now, webhooks.headers_for(hook, one)) for one in found]
    return parcels


def _note(parcel: Parcel, sent: "Future[int]") -> None:
    """Write down what became of a try."""
    status, error = None, ""
    try:
        status = sent.result()
        if not 200 <= status < 300:
            error = f"The receiver answered {status}."
    except outgoing.NoAnswer as reason:
        error = str(reason)[:200]
    with transaction.atomic(durable=True):
        hook = Webhook.objects.select_for_update(no_key=True).filter(pk=parcel.webhook.pk).first()
        delivery = Delivery.objects.select_for_update(no_key=True).filter(pk=parcel.delivery.pk).first()
        if hook is None or delivery is None or delivery.status == Delivery.Status.DELIVERED:
            return
        delivery.answer_status, delivery.error = status, error
        if error:
            _failed(hook, delivery, parcel.began, gone=status == GONE)
        else:
            _went_well(hook, delivery)


def _went_well(hook: Webhook, delivery: Delivery) -> None:
    delivery.status, delivery.ended_at = Delivery.Status.DELIVERED, timezone.now()
    delivery.save()
    if hook.failures:
        hook.failures, hook.failing_since, hook.retry_at = 0, None, None
        hook.save(update_fields=["failures", "failing_since", "retry_at"])


def _failed(hook: Webhook, delivery: Delivery, began: datetime, *, gone: bool) -> None:
    now = timezone.now()
    if delivery.attempts > len(PAUSES):
        delivery.status, delivery.ended_at = Delivery.Status.GIVEN_UP, now
    else:
        delivery.due_at = now + PAUSES[delivery.attempts - 1]
    delivery.save()
    if hook.retry_at is None or hook.retry_at <= began:  # else it was noted by a try that began with this one
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
