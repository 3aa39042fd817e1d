"""How the chat is doing: the queue from the database, the engines by what they say of themselves. Never writes."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError

from inference.models import Turn
from inference.turns import streams
from inference.turns.states import OPEN, TROUBLED, TurnState


@dataclass(frozen=True)
class EngineSign:
    """An engine as it was when it gave its last sign of life."""

    owner: str
    """host:pid:random"""
    seconds_ago: float
    model: str = ""
    running: int = 0
    slots: int = 0
    tokens_per_second: float = 0.0
    rebuilt: int = 0
    memory: int = 0
    """Bytes of its whole process."""
    up_seconds: int = 0


@dataclass(frozen=True)
class Queue:
    waiting: int
    in_progress: int
    people: int
    """Who wait."""
    longest_wait: float
    """Seconds."""


def queue() -> Queue:
    """One statement on the rows that are open."""
    waits = Q(state=TurnState.PENDING)
    found: dict[str, Any] = Turn.objects.filter(state__in=OPEN).aggregate(
        waiting=Count("pk", filter=waits),
        in_progress=Count("pk", filter=~waits),
        people=Count("user", filter=waits, distinct=True),
        since=Min("queued_at", filter=waits),
    )
    since = found.pop("since")
    return Queue(**found, longest_wait=(timezone.now() - since).total_seconds() if since else 0.0)


def engines() -> list[EngineSign]:
    """Those that gave a sign of life lately. Raises RedisError."""
    return [EngineSign(owner, ago, **json.loads(said)) for owner, ago, said in streams.signs()]


def chat_metrics() -> str:
    """What any process can tell of all of them, in the text format of Prometheus. One statement; without Redis the
    engines are left out.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(f"oasst_chat_{name}", text, registry=registry).set(value)

    found = queue()
    turns = Gauge("oasst_chat_turns", "Answers that are asked for and not ended.", ["state"], registry=registry)
    turns.labels(TurnState.PENDING).set(found.waiting)
    turns.labels(TurnState.IN_PROGRESS).set(found.in_progress)
    gauge("longest_wait_seconds", "How long the oldest waiting question has waited.", found.longest_wait)
    try:
        alive = engines()
    except RedisError:
        return generate_latest(registry).decode()
    gauge("engines", "Engines that gave a sign of life lately.", len(alive))
    gauge("running", "Answers being written.", sum(one.running for one in alive))
    gauge("slots", "Answers that could be written at once.", sum(one.slots for one in alive))
    gauge("tokens_per_second", "Over the last seconds.", sum(one.tokens_per_second for one in alive))
    gauge("loops_rebuilt", "Model loops that died and were replaced.", sum(one.rebuilt for one in alive))
    gauge("memory_bytes", "Of the processes with an engine.", sum(one.memory for one in alive))
    return generate_latest(registry).decode()


@dataclass(frozen=True)
class Lately:
    """The last hundred answers: means, in seconds; None where there was none."""

    number: int
    wait: float | None
    first_text: float | None
    tokens_per_second: float | None


def lately() -> Lately:
    recent = Turn.objects.filter(state=TurnState.COMPLETE).order_by("-ended_at")
    times = recent.values_list("queued_at", "began_at", "first_text_at", "ended_at", "completion_tokens")[:100]
    rows = list(times)
    return Lately(
        len(rows),
        _mean([(began - queued).total_seconds() for queued, began, *_ in rows if began]),
        _mean([(first - queued).total_seconds() for queued, _, first, *_ in rows if first]),
        _mean(
            [made / max((ended - began).total_seconds(), 0.001) for _, began, _, ended, made in rows if began and ended]
        ),
    )


def troubles() -> list[dict[str, Any]]:
    """Of the last 24 hours: how often (`number`) which error (`error_code`, `last` when), the most frequent first."""
    since = timezone.now() - timedelta(hours=24)
    failed = Turn.objects.filter(state__in=TROUBLED, ended_at__gt=since)
    counted = failed.values("error_code").annotate(number=Count("pk"), last=Max("ended_at"))
    return [dict(one) for one in counted.order_by("-number", "error_code")]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
