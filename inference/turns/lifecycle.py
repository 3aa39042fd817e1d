"""Writes of a turn from the queue to its end. Each function opens its own transaction on single rows.

Every write of an engine names the owner, so an engine that lost its lease and comes back changes nothing. Leases use
the clock of the database, which all engines share. Watchers hear of the end of a turn after the commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from inference import queries
from inference.models import Chat, ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.turns import streams
from inference.turns.metrics import turns_ended, turns_failed, wait_seconds
from inference.turns.states import OPEN, TurnState

_UNHELD = Q(state=TurnState.PENDING) | Q(state=TurnState.IN_PROGRESS, lease_until__lt=Now())


@dataclass(frozen=True)
class Progress:
    """How far an answer is."""

    turn_id: str
    text: str = ""
    token_ids: Sequence[int] = ()
    prompt_tokens: int = 0
    dropped_messages: int = 0


@dataclass(frozen=True)
class Ending:
    state: TurnState
    reason: str = ""
    error_code: str = ""
    error: str = ""


def claim(*, owner: str, model: str, number: int, policy: ChatPolicy) -> list[Turn]:
    """Claim and return up to `number` turns for an engine with this model: waiting turns and those whose lease is over.
    Concurrent claims get different turns. No user has more than `policy.answers_at_once` answers in progress.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        ids = Turn.objects.lock_next(model=model, number=number, at_once=policy.answers_at_once)
        if not ids:
            return []
        Turn.objects.filter(pk__in=ids).update(
            state=TurnState.IN_PROGRESS,
            owner=owner,
            lease_until=Now() + timedelta(seconds=policy.lease_seconds),
            deadline_at=now + timedelta(seconds=policy.answer_seconds),
            fruitless_claims=F("fruitless_claims") + 1,
        )
        Turn.objects.filter(pk__in=ids, began_at=None).update(began_at=now)
    claimed = list(Turn.objects.filter(pk__in=ids).select_related("message__chat").order_by("queued_at"))
    for turn in claimed:
        if turn.began_at == now:
            wait_seconds.observe((now - turn.queued_at).total_seconds())
    return claimed


def models_waited_for() -> list[str]:
    """Return the models of the turns that an engine could claim now, the longest waiting one first. One statement."""
    claimable = Turn.objects.filter(_UNHELD, queries.AWAITED).values("model").annotate(since=Min("queued_at"))
    return [model for model, _ in claimable.order_by("since").values_list("model", "since")]


def fail_waiting(model: str, ending: Ending) -> int:
    """End the turns of a model that no engine holds, because there will be none. Return how many."""
    number = 0
    for pk in Turn.objects.filter(_UNHELD, model=model).values_list("pk", flat=True):
        with transaction.atomic(durable=True):
            rows = Turn.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            turn = rows.filter(_UNHELD, pk=pk).first()
            if turn is not None:
                _end(turn, ending, turn.text)
                number += 1
    return number


def expire_dead_owners(*, host: str) -> None:
    """End the leases of dead processes of this host. An owner is host:pid:random; a reused pid only delays this."""
    held = Turn.objects.filter(state=TurnState.IN_PROGRESS, owner__startswith=f"{host}:")
    for owner in held.values_list("owner", flat=True):
        if not Path(f"/proc/{owner.split(':')[1]}").exists():
            Turn.objects.filter(owner=owner).update(lease_until=Now() - timedelta(seconds=1))


def checkpoint(*, owner: str, progress: Iterable[Progress], policy: ChatPolicy) -> dict[str, bool]:
    """Save progress and renew leases. Return whether to stop, for each turn that the owner still holds."""
    rows = [{"id": item.turn_id, **vars(item)} for item in progress]
    stops = Turn.objects.checkpoint(owner, rows, policy.lease_seconds) if rows else {}
    return {str(turn_id): stop for turn_id, stop in stops.items()}


def finish(*, owner: str, progress: Progress, ending: Ending) -> bool:
    """Store the complete answer. Return False if the owner no longer holds the turn."""
    with transaction.atomic(durable=True):
        rows = Turn.objects.select_for_update(of=("self",), no_key=True)
        turn = rows.filter(pk=UUID(progress.turn_id), owner=owner, state=TurnState.IN_PROGRESS).first()
        if turn is None:
            return False
        turn.prompt_tokens = progress.prompt_tokens
        turn.completion_tokens = len(progress.token_ids)
        turn.dropped_messages = progress.dropped_messages
        _end(turn, ending, progress.text)
    return True


def release(*, owner: str, turn_ids: Iterable[str]) -> None:
    """Return turns to their position in the queue, with their checkpoint."""
    Turn.objects.filter(pk__in=list(turn_ids), owner=owner, state=TurnState.IN_PROGRESS).update(
        state=TurnState.PENDING, owner="", lease_until=None, fruitless_claims=0
    )
    streams.publish_command()


def stop(turn_id: UUID) -> None:
    """End a waiting turn, or ask the engine to stop one in progress. A finished turn stays as it is."""
    with transaction.atomic(durable=True):
        turn = Turn.objects.select_for_update(of=("self",), no_key=True).get(pk=turn_id)
        if turn.state == TurnState.PENDING:
            _end(turn, Ending(TurnState.STOPPED, "cancelled"), turn.text)
        elif turn.state == TurnState.IN_PROGRESS and turn.stop_asked_at is None:
            turn.stop_asked_at = timezone.now()
            turn.save(update_fields=["stop_asked_at"])
            transaction.on_commit(lambda: streams.publish_command(f"stop {turn_id}"))


def cancel_waiting(*, chat: Chat, except_below: UUID) -> None:
    """Cancel answers of the chat that have not begun, because the user asks for another one.

    Answers below the same message stay: they are drafts of one another. Needs the caller's transaction.
    """
    turns = Turn.objects.filter(message__chat=chat, state=TurnState.PENDING, began_at=None)
    others = turns.exclude(message__parent_id=except_below).order_by("pk")
    for turn in others.select_for_update(of=("self",), no_key=True, skip_locked=True):  # a locked one is being claimed
        _end(turn, Ending(TurnState.CANCELLED, "cancelled"), "")


def end_overdue(policy: ChatPolicy) -> int:
    """End turns that took too long, broke several engines or lost their caller, unless a living engine holds them."""
    now = timezone.now()
    unwanted = Q(wanted_until__lt=Now())
    due = Q(deadline_at__lt=now) | Q(fruitless_claims__gte=policy.fruitless_claims) | unwanted
    number = 0
    for pk in Turn.objects.filter(_UNHELD, due).values_list("pk", flat=True):
        with transaction.atomic(durable=True):
            rows: QuerySet[Any] = Turn.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            turn = rows.filter(_UNHELD, due, pk=pk).annotate(is_unwanted=unwanted).first()
            if turn is None:
                continue
            number += 1
            if turn.is_unwanted:
                _end(turn, Ending(TurnState.STOPPED, "cancelled"), turn.text)
            elif turn.fruitless_claims >= policy.fruitless_claims:
                _end(turn, Ending(TurnState.FAILED, "failed", "engine", "The model failed at this answer."), turn.text)
            elif turn.began_at is None:
                text = f"This waited {policy.queue_seconds} seconds in the queue and was given up before its turn came."
                _end(turn, Ending(TurnState.TIMED_OUT, "deadline", "queue_timeout", f"{text} Ask again."), "")
            else:
                _end(turn, TOO_LATE, turn.text)
    return number


TOO_LATE = Ending(TurnState.TIMED_OUT, "deadline", "timeout", "This took too long and was given up.")


def _end(turn: Turn, ending: Ending, text: str) -> None:
    """End a locked turn: move the text to the message and clear the checkpoint."""
    if turn.state not in OPEN:
        raise ValueError(f"Turn {turn.pk} has ended already.")
    now = timezone.now()
    turn.state = ending.state
    turn.finish_reason, turn.error_code, turn.error = ending.reason, ending.error_code, ending.error[:500]
    turn.completion_tokens = turn.completion_tokens or len(turn.token_ids)
    turn.owner, turn.lease_until, turn.ended_at = "", None, now
    if text and turn.first_text_at is None:  # a short answer ends before its first checkpoint
        turn.first_text_at = now
    turn.text, turn.token_ids = "", []
    turn.save()
    ChatMessage.objects.filter(pk=turn.pk).update(content=text)
    Chat.objects.filter(messages=turn.pk).update(modified_at=now)
    turns_ended.labels(ending.state).inc()
    if ending.error_code:
        turns_failed.labels(ending.error_code).inc()
    transaction.on_commit(lambda: streams.end(turn.pk))
