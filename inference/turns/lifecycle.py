"""The life of a turn from the queue to its end. Outer writers: each function is one transaction on single rows.

An engine may only write what it holds: every write names the owner, so that one that was thought dead and comes back
changes nothing. Leases are by the clock of the database, which all engines share. Whoever ends a turn rings for those
who watch it, after the commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from inference.models import Chat, ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.turns import streams
from inference.turns.metrics import turns_ended, turns_failed, wait_seconds
from inference.turns.states import OPEN, TurnState


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
    """Take up to `number` turns for an engine that runs `model`: new ones, and those whose engine gave no sign for the
    length of a lease. Others that claim at the same moment get different ones. Nobody has more than
    `policy.answers_at_once` answers under way: the rest of what they asked stays in the queue.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        ids = Turn.objects.lock_first(model=model, number=number, at_once=policy.answers_at_once)
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


def forget_dead(*, host: str) -> None:
    """Turns of processes of this host that are no more need not wait for the end of their lease.

    An owner is called host:pid:random. Where the number was given to another process, the lease decides.
    """
    for owner in Turn.objects.filter(state=TurnState.IN_PROGRESS, owner__startswith=f"{host}:").values_list(
        "owner", flat=True
    ):
        if not Path(f"/proc/{owner.split(':')[1]}").exists():
            Turn.objects.filter(owner=owner).update(lease_until=Now() - timedelta(seconds=1))


def checkpoint(*, owner: str, progress: Iterable[Progress], policy: ChatPolicy) -> dict[str, bool]:
    """Save how far answers are and give a sign of life for them. Whether to stop each that is still the owner's."""
    rows = [
        {
            "id": one.turn_id,
            "text": one.text,
            "token_ids": list(one.token_ids),
            "prompt_tokens": one.prompt_tokens,
            "dropped_messages": one.dropped_messages,
        }
        for one in progress
    ]
    if not rows:
        return {}
    stop_or_not = Turn.objects.checkpoint(owner, rows, policy.lease_seconds)
    return {str(turn_id): stop for turn_id, stop in stop_or_not.items()}


def finish(*, owner: str, progress: Progress, ending: Ending) -> bool:
    """Write the answer and its end. False when the turn is no longer the owner's."""
    with transaction.atomic(durable=True):
        turn = (
            Turn.objects.select_for_update(of=("self",), no_key=True)
            .filter(pk=UUID(progress.turn_id), owner=owner, state=TurnState.IN_PROGRESS)
            .first()
        )
        if turn is None:
            return False
        turn.prompt_tokens = progress.prompt_tokens
        turn.completion_tokens = len(progress.token_ids)
        turn.dropped_messages = progress.dropped_messages
        _end(turn, ending, progress.text)
    return True


def release(*, owner: str, turn_ids: Iterable[str]) -> None:
    """Give turns back to the queue, at their old place, with what was saved of them."""
    Turn.objects.filter(pk__in=list(turn_ids), owner=owner, state=TurnState.IN_PROGRESS).update(
        state=TurnState.PENDING, owner="", lease_until=None, fruitless_claims=0
    )
    streams.ring()


def stop(turn_id: UUID) -> None:
    """End a turn that waits; ask the engine of one that is being answered to end it. Ended ones stay as they are."""
    with transaction.atomic(durable=True):
        turn = Turn.objects.select_for_update(of=("self",), no_key=True).get(pk=turn_id)
        if turn.state == TurnState.PENDING:
            _end(turn, Ending(TurnState.STOPPED, "cancelled"), turn.text)
        elif turn.state == TurnState.IN_PROGRESS and turn.stop_asked_at is None:
            turn.stop_asked_at = timezone.now()
            turn.save(update_fields=["stop_asked_at"])
            transaction.on_commit(lambda: streams.ring(f"stop {turn_id}"))


def still_wanted(turn_ids: Iterable[UUID], policy: ChatPolicy) -> set[UUID]:
    """Their callers still wait, on lines of this process. Which of them have not ended yet."""
    return Turn.objects.still_wanted(turn_ids, policy.wanted_seconds)


def cancel_waiting(*, chat: Chat, except_below: UUID) -> None:
    """The person asks for something else in this chat: answers that have not begun are not wanted any more.

    Others below the same message are: they are drafts of one another. Belongs into the caller's transaction.
    """
    turns = Turn.objects.filter(message__chat=chat, state=TurnState.PENDING, began_at=None)
    for turn in (
        turns.exclude(message__parent_id=except_below)
        .select_for_update(of=("self",), no_key=True, skip_locked=True)  # an engine is just taking it
        .order_by("pk")
    ):
        _end(turn, Ending(TurnState.CANCELLED, "cancelled"), "")


def end_overdue(policy: ChatPolicy) -> int:
    """End what waited or took too long, what engine after engine died at and what nobody waits for any more. Anybody
    may call it at any time.

    Turns that a living engine holds are left to it; it ends them itself.
    """
    now = timezone.now()
    unheld = Q(state=TurnState.PENDING) | Q(state=TurnState.IN_PROGRESS, lease_until__lt=Now())
    unwanted = Q(wanted_until__lt=Now())
    due = Q(deadline_at__lt=now) | Q(fruitless_claims__gte=policy.fruitless_claims) | unwanted
    number = 0
    for pk in Turn.objects.filter(unheld, due).values_list("pk", flat=True):
        with transaction.atomic(durable=True):
            rows: QuerySet[Any] = Turn.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            turn = rows.filter(unheld, due, pk=pk).annotate(is_unwanted=unwanted).first()
            if turn is None:
                continue
            number += 1
            if turn.is_unwanted:
                _end(turn, Ending(TurnState.STOPPED, "cancelled"), turn.text)
            elif turn.fruitless_claims >= policy.fruitless_claims:
                _end(turn, Ending(TurnState.FAILED, "failed", "engine", "The model failed at this answer."), turn.text)
            elif turn.began_at is None:
                _end(turn, _waited_too_long(policy), "")
            else:
                _end(turn, TOO_LATE, turn.text)
    return number


TOO_LATE = Ending(TurnState.TIMED_OUT, "deadline", "timeout", "This took too long and was given up.")


def _waited_too_long(policy: ChatPolicy) -> Ending:
    said = f"This waited {policy.queue_seconds} seconds in the queue and was given up before its turn came. Ask again."
    return Ending(TurnState.TIMED_OUT, "deadline", "queue_timeout", said)


def _end(turn: Turn, ending: Ending, text: str) -> None:
    """The row is locked. The text moves to the message; the checkpoint has done its service."""
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
