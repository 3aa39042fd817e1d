"""The state of the chat: the queue from the database, the engines from their signs of life in Redis. Read-only."""

import json
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.exceptions import RedisError

from inference.models import Turn
from inference.turns import streams
from inference.turns.states import OPEN, UNSUCCESSFUL, TurnState


@dataclass(frozen=True)
class EngineStatus:
    """The last sign of life of an engine."""

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
    model_memory: int = 0
    """Bytes of its weights and cache."""
    up_seconds: int = 0

    @property
    def process(self) -> str:
        """host:pid. A process may have several engines, one for each model."""
        return self.owner.rpartition(":")[0]


@dataclass(frozen=True)
class Queue:
    waiting: int
    in_progress: int
    people: int
    """Users with a waiting turn."""
    longest_wait: float
    """Seconds."""


def queue() -> Queue:
    """Count the open turns, in one statement."""
    waits = Q(state=TurnState.PENDING)
    counts: dict[str, Any] = Turn.objects.filter(state__in=OPEN).aggregate(
        waiting=Count("pk", filter=waits),
        in_progress=Count("pk", filter=~waits),
        people=Count("user", filter=waits, distinct=True),
        since=Min("queued_at", filter=waits),
    )
    since = counts.pop("since")
    return Queue(**counts, longest_wait=(timezone.now() - since).total_seconds() if since else 0.0)


def engines() -> list[EngineStatus]:
    """Return the engines with a recent sign of life. Raise RedisError."""
    known = {field.name for field in fields(EngineStatus)}
    found = [(owner, ago, json.loads(figures)) for owner, ago, figures in streams.signs_of_life()]
    return [
        EngineStatus(owner, ago, **{name: value for name, value in figures.items() if name in known})
        for owner, ago, figures in found
    ]


def memory_of(alive: list[EngineStatus]) -> int:
    """Return the bytes of the processes with these engines."""
    return sum({engine.process: engine.memory for engine in alive}.values())


def chat_metrics() -> str:
    """Return the gauges of the whole site in the text format of Prometheus. One statement; no engines without Redis."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(f"oasst_chat_{name}", text, registry=registry).set(value)

    counts = queue()
    turns = Gauge("oasst_chat_turns", "Answers that are asked for and not ended.", ["state"], registry=registry)
    turns.labels(TurnState.PENDING).set(counts.waiting)
    turns.labels(TurnState.IN_PROGRESS).set(counts.in_progress)
    gauge("longest_wait_seconds", "How long the oldest waiting question has waited.", counts.longest_wait)
    try:
        alive = engines()
    except RedisError:
        return generate_latest(registry).decode()
    gauge("engines", "Engines that gave a sign of life lately.", len(alive))
    gauge("running", "Answers being written.", sum(engine.running for engine in alive))
    gauge("slots", "Answers that could be written at once.", sum(engine.slots for engine in alive))
    gauge("tokens_per_second", "Over the last seconds.", sum(engine.tokens_per_second for engine in alive))
    gauge("loops_rebuilt", "Model loops that died and were replaced.", sum(engine.rebuilt for engine in alive))
    gauge("memory_bytes", "Of the processes with an engine.", memory_of(alive))
    return generate_latest(registry).decode()


@dataclass(frozen=True)
class RecentAnswers:
    """Means of the last hundred answers, in seconds; None without any."""

    number: int
    wait: float | None
    first_text: float | None
    tokens_per_second: float | None


def recent_answers() -> RecentAnswers:
    recent = Turn.objects.filter(state=TurnState.COMPLETE).order_by("-ended_at")
    rows = list(recent.values_list("queued_at", "began_at", "first_text_at", "ended_at", "completion_tokens")[:100])
    rates = [made / max((ended - began).total_seconds(), 0.001) for _, began, _, ended, made in rows if began and ended]
    return RecentAnswers(
        len(rows),
        _mean([(began - queued).total_seconds() for queued, began, *_ in rows if began]),
        _mean([(first - queued).total_seconds() for queued, _, first, *_ in rows if first]),
        _mean(rates),
    )


def recent_errors() -> list[dict[str, Any]]:
    """Return `error_code`, `number` and the `last` time of each error of the last 24 hours, most frequent first."""
    since = timezone.now() - timedelta(hours=24)
    failed = Turn.objects.filter(state__in=UNSUCCESSFUL, ended_at__gt=since)
    counted = failed.values("error_code").annotate(number=Count("pk"), last=Max("ended_at"))
    return [dict(row) for row in counted.order_by("-number", "error_code")]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
