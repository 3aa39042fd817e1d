"""Asking for an answer, and stopping it. Outer writers: one transaction each, which locks the chat's row first.

A question and its waiting answer are stored together, or nothing is. `inference.turns.runtime` writes the answer,
`inference.turns.watch` shows it while it comes.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Length, Now
from django.utils import timezone

from inference import queries
from inference.chats import chat_settings, titles
from inference.chats.access import get_message_for, get_turn_for, lock_chat_for
from inference.chats.chat_settings import cleaned_instructions, system_prompt
from inference.chats.offered_models import models_on_offer, require_offered, still_offered
from inference.engine.sampling import LARGEST_SEED
from inference.models import Chat, ChatMessage, Role, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle, streams
from inference.turns.states import ANSWERABLE, TurnState
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.ratelimit import (
    CHAT_MESSAGES,
    CHAT_STOPS,
    CHAT_TURNS,
    CHAT_TURNS_OF_PROGRAMS,
    RateLimit,
    refuse_spent,
    spend,
)
from oasst.core.text.validation import clean_text

_SOONEST, _LATEST = 5, 60


class _Picked(NamedTuple):
    """How an answer is asked for."""

    model: str
    sampling: dict[str, Any]
    by_program: bool


def start_turn(
    *,
    user: User,
    chat_id: UUID,
    text: str,
    policy: ChatPolicy,
    parent_id: UUID | None = None,
    chosen: Mapping[str, Any] | None = None,
    model: str = "",
) -> Turn:
    """Say something and ask for the answer. Editing a message is this too: with the parent of the edited one.

    Raises NotAllowed, NotFound, Invalid, Conflict (`not_answerable`, `chat_full`), Busy (`queue_full`,
    `too_many_turns`, `rate_limited`); then nothing was stored.
    """
    picked = _checked(user, chosen, model)
    with transaction.atomic(durable=True):
        chat = lock_chat_for(user, chat_id)
        message = _post(chat, text, parent_id, policy)
        return _ask(chat, message, picked, policy)


def begin_chat(*, user: User, text: str, policy: ChatPolicy) -> Turn:
    """A new chat with its first question: both, or nothing. It is set as the latest one. Raises as `start_turn`."""
    values = chat_settings.start_values(user)
    chat = Chat(user=user, **values)
    picked = _checked(user, chat_settings.settings_of(chat), still_offered(chat.model))
    with transaction.atomic(durable=True):
        chat.save(force_insert=True)
        return _ask(chat, _post(chat, text, None, policy), picked, policy)


def post_message(*, user: User, chat_id: UUID, text: str, policy: ChatPolicy, parent_id: UUID | None) -> ChatMessage:
    """Say something without asking for an answer yet."""
    require_contributor(user)
    spend(CHAT_MESSAGES, user.pk)
    with transaction.atomic(durable=True):
        return _post(lock_chat_for(user, chat_id), text, parent_id, policy)


def answer_again(
    *,
    user: User,
    message_id: UUID,
    policy: ChatPolicy,
    chosen: Mapping[str, Any] | None = None,
    model: str = "",
    instructions: Mapping[str, str] | None = None,
    by_program: bool = False,
) -> Turn:
    """Ask for an answer to a message of the person, the first one or one more beside those that are there.

    `instructions` (any of `INSTRUCTIONS`) stand in for all those of the chat, for this answer. Raises as `start_turn`.
    """
    message = get_message_for(user, message_id)
    if message.role != Role.PROMPTER:
        raise Invalid("Only a message of yours can be answered.", code="not_a_prompt", field="parent_id")
    told = cleaned_instructions(instructions, policy) if instructions else {}
    picked = _checked(user, chosen, model, by_program=by_program)
    with transaction.atomic(durable=True):
        chat = lock_chat_for(user, message.chat_id)
        if chat.messages.count() > policy.messages_in_chat:
            raise _full()
        return _ask(chat, message, picked, policy, told=system_prompt(Chat(**told)) if told else None)


def complete(
    *,
    user: User,
    messages: list[dict[str, str]],
    policy: ChatPolicy,
    chosen: Mapping[str, Any] | None = None,
    model: str = "",
) -> Turn:
    """Ask for an answer to a conversation that a program keeps: a list of {role, content} that ends with the question.

    It stands in the queue like any other, for as long as its caller waits (`inference.turns.callers`). Raises as
    `start_turn`; whether the messages are sound was asked before.
    """
    picked = _checked(user, chosen, model, by_program=True)
    with transaction.atomic(durable=True):
        chat = Chat.objects.create(user=user, ephemeral=True, deleted_at=timezone.now())
        question = ChatMessage.objects.create(chat=chat, role=Role.PROMPTER)
        return _ask(chat, question, picked, policy, given=messages)


def stop_turn(*, user: User, message_id: UUID) -> None:
    """End an answer; what was written of it stays. One that has ended already is left as it is."""
    turn = get_turn_for(user, message_id)
    spend(CHAT_STOPS, user.pk)
    lifecycle.stop(turn.pk)


def settings_for(chat: Chat) -> dict[str, Any]:
    """The model and the settings that this chat's next answer is asked for with, as `start_turn` takes them."""
    return {"model": still_offered(chat.model), "chosen": chat_settings.settings_of(chat)}


def _checked(user: User, chosen: Mapping[str, Any] | None, model: str, *, by_program: bool = False) -> _Picked:
    """What will be stored: a seed is drawn where none was given."""
    require_contributor(user)
    offered = models_on_offer()
    if not offered:
        raise Conflict("Chat is switched off on this site.", code="chat_off")
    if model:
        require_offered(model)
    seed = (chosen or {}).get("seed")
    given = {**(chosen or {}), "seed": secrets.randbelow(LARGEST_SEED) if seed is None else seed}
    settled = chat_settings.checked_sampling(given)
    refuse_spent(_rate(by_program), user.pk)  # before the queue is locked for who comes too often
    return _Picked(model or offered[0], settled, by_program)


def _rate(by_program: bool) -> RateLimit:
    return CHAT_TURNS_OF_PROGRAMS if by_program else CHAT_TURNS


def _post(chat: Chat, text: str, parent_id: UUID | None, policy: ChatPolicy) -> ChatMessage:
    text = clean_text(text, limit=policy.message_length, field="content")
    number, size = chat.messages.aggregate(number=Count("pk"), size=Sum(Length("content"), default=0)).values()
    if number >= policy.messages_in_chat or size + len(text) > policy.characters_in_chat:
        raise _full()
    if parent_id is not None:
        parent = chat.messages.select_related("turn").filter(pk=parent_id).first()
        if parent is None:
            raise NotFound("The message to reply to is not in this chat.", code="message_not_found", field="parent_id")
        if parent.role != Role.ASSISTANT or TurnState(parent.turn.state) not in ANSWERABLE:
            raise Conflict(
                "Only an answer that is complete can be replied to.", code="not_answerable", field="parent_id"
            )
    if number == 0 and chat.titled_by == Chat.TitledBy.FIRST_LINE:
        chat.title = titles.first_line(text)[: policy.title_length]
    chat.modified_at = timezone.now()
    chat.save(update_fields=["title", "modified_at"])
    return ChatMessage.objects.create(chat=chat, parent_id=parent_id, role=Role.PROMPTER, content=text)


def _ask(
    chat: Chat,
    prompt: ChatMessage,
    picked: _Picked,
    policy: ChatPolicy,
    *,
    told: str | None = None,
    given: list[dict[str, str]] | None = None,
) -> Turn:
    lifecycle.cancel_waiting(chat=chat, except_below=prompt.pk)
    advisory_lock("chat queue")  # counting and adding are one step, so that the limits are exact
    _refuse_when_full(chat.user_id, policy, picked.by_program)
    spend(_rate(picked.by_program), chat.user_id)  # only now: what is refused is not counted
    answer = ChatMessage.objects.create(chat=chat, parent=prompt, role=Role.ASSISTANT)
    now = timezone.now()
    turn = Turn.objects.create(
        message=answer,
        user_id=chat.user_id,
        model=picked.model,
        sampling=picked.sampling,
        by_program=picked.by_program,
        system_prompt=system_prompt(chat) if told is None else told,
        prompt=given,
        queued_at=now,
        deadline_at=now + timedelta(seconds=policy.queue_seconds),
        wanted_until=None if given is None else Now() + timedelta(seconds=policy.wanted_seconds),
    )
    chat.active_tail = answer
    chat.save(update_fields=["active_tail"])
    transaction.on_commit(streams.ring)
    return turn


def _refuse_when_full(user_id: UUID, policy: ChatPolicy, by_program: bool) -> None:
    """The queue has an end, and one person's batch never is all of it.

    Nobody may wait with more turns than there are free places (a dynamic threshold, as switches share their memory):
    one person alone gets half of the queue, two get a third each, and there is room for whoever comes next. What a
    program asked for a person (`by_program`) does not shut them out of their own pages.
    """
    own = Count("pk", filter=Q(user_id=user_id) if by_program else Q(user_id=user_id, by_program=False))
    in_line = Turn.objects.filter(queries.WANTED, state=TurnState.PENDING)
    waiting, theirs = in_line.aggregate(all=Count("pk"), own=own).values()
    if theirs < policy.queue_limit - waiting:
        return
    if waiting >= policy.queue_limit:
        raise Busy(
            "Too many people are waiting for an answer right now.",
            code="queue_full",
            retry_after=_soon(queries.expected_wait(1)),
            queue_length=waiting,
        )
    raise Busy(
        f"{theirs} questions of yours are waiting already; the rest of the queue is for others. Wait for one of the "
        "answers, or stop it.",
        code="too_many_turns",
        retry_after=_soon(queries.expected_wait_of(user_id)),
    )


def _soon(seconds: int) -> int:
    """When to ask again: what was expected may come a little later, and who asks each second is not served sooner."""
    return min(max(seconds, _SOONEST), _LATEST)


def _full() -> Conflict:
    return Conflict("This chat is full. Please begin a new one.", code="chat_full")
