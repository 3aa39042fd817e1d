"""What people do with chats. Outer writers: each function is one transaction that locks the chat's row first.

Asking stores the message and a waiting answer together, or nothing. The answer is written elsewhere
(inference.turns.runtime); `watch.watch_turn` shows it while it comes.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Length, Now
from django.utils import timezone

from inference import queries
from inference.chats import chat_settings, titles
from inference.chats.access import get_chat_for, get_message_for, get_turn_for
from inference.engine.sampling import LARGEST_SEED, BadSetting, sampling
from inference.models import Chat, ChatMessage, ChatReport, DraftChoice, OfferedModel, Role, Turn, Vote
from inference.policy import ChatPolicy
from inference.turns import lifecycle, streams
from inference.turns.states import ANSWERABLE, OPEN, TurnState
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.ratelimit import (
    CHAT_CHANGES,
    CHAT_MESSAGES,
    CHAT_REPORTS,
    CHAT_STOPS,
    CHAT_TURNS,
    CHAT_TURNS_OF_PROGRAMS,
    CHAT_VOTES,
    NEW_CHATS,
    NEW_CHATS_OF_PROGRAMS,
    RateLimit,
    refuse_spent,
    spend,
)
from oasst.core.text.validation import clean_line, clean_remark, clean_text

INSTRUCTIONS = ("system_prompt", "user_profile", "response_instructions")
MOST_AT_ONCE = 100
REPORT_LENGTH = 2000
MOST_DRAFTS = 20
_SOONEST, _LATEST = 5, 60
_STARTED = timezone.now()


class _Picked(NamedTuple):
    """How an answer is asked for."""

    model: str
    sampling: dict[str, Any]
    by_program: bool


def create_chat(*, user: User, policy: ChatPolicy, **instructions: str) -> Chat:
    require_contributor(user)
    told = _instructions(instructions, policy)
    spend(NEW_CHATS, user.pk)
    return Chat.objects.create(user=user, **told)


def create_chats(*, user: User, wanted: Sequence[Mapping[str, Any]], policy: ChatPolicy) -> list[Chat]:
    """Several chats at once for a program, each with any of title, hidden and allow_data_use; all of them or none."""
    require_contributor(user)
    _refuse_many(wanted, "chats")
    chats = [Chat(user=user, **_changes(one, policy)) for one in wanted]
    spend(NEW_CHATS_OF_PROGRAMS, user.pk, times=len(chats))
    return Chat.objects.bulk_create(chats)


def empty_chat(*, user: User) -> Chat:
    """The person's chat in which nothing was said yet, or a new one: so that looking around leaves no heap of them."""
    require_contributor(user)
    waiting = Chat.objects.filter(user=user, deleted_at=None, hidden=False, messages=None).first()
    if waiting is None:
        spend(NEW_CHATS, user.pk)
        waiting = Chat.objects.create(user=user, **chat_settings.start_values(user))
    return waiting


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
        chat = _lock_chat(user, chat_id)
        message = _post(chat, text, parent_id, policy)
        return _ask(chat, message, picked, policy)


def begin_chat(*, user: User, text: str, policy: ChatPolicy) -> Turn:
    """A new chat with its first question: both, or nothing. It is set as the latest one. Raises as `start_turn`."""
    values = chat_settings.start_values(user)
    chat = Chat(user=user, **values)
    picked = _checked(user, chat_settings.settings_of(chat), _still_offered(chat.model))
    with transaction.atomic(durable=True):
        chat.save(force_insert=True)
        return _ask(chat, _post(chat, text, None, policy), picked, policy)


def post_message(*, user: User, chat_id: UUID, text: str, policy: ChatPolicy, parent_id: UUID | None) -> ChatMessage:
    """Say something without asking for an answer yet."""
    require_contributor(user)
    spend(CHAT_MESSAGES, user.pk)
    with transaction.atomic(durable=True):
        return _post(_lock_chat(user, chat_id), text, parent_id, policy)


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
    told = _instructions(instructions, policy) if instructions else {}
    picked = _checked(user, chosen, model, by_program=by_program)
    with transaction.atomic(durable=True):
        chat = _lock_chat(user, message.chat_id)
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


def change_chat(
    *, user: User, chat_id: UUID, wanted: Mapping[str, Any], policy: ChatPolicy, active_tail: UUID | None = None
) -> None:
    """Any of title, hidden and allow_data_use, and the end of the branch that is looked at: all of it or nothing."""
    values = _changes(wanted, policy)
    if active_tail is not None:
        values["active_tail_id"] = _require_in_chat(user, chat_id, active_tail)
    _change(user, chat_id, **values)


def hide_all(*, user: User) -> None:
    spend(CHAT_CHANGES, user.pk)
    Chat.objects.filter(user=user, deleted_at=None, hidden=False).update(hidden=True)


def rename(*, user: User, chat_id: UUID, title: str, policy: ChatPolicy) -> None:
    _change(user, chat_id, **_changes({"title": title}, policy))


def hide(*, user: User, chat_id: UUID, hidden: bool) -> None:
    _change(user, chat_id, hidden=hidden)


def allow_data_use(*, user: User, chat_id: UUID, allowed: bool) -> None:
    _change(user, chat_id, allow_data_use=allowed)


def set_instructions(*, user: User, chat_id: UUID, policy: ChatPolicy, **instructions: str) -> None:
    """Any of `INSTRUCTIONS`; they hold for answers that are asked for from now on."""
    _change(user, chat_id, **_instructions(instructions, policy))


def choose(
    *,
    user: User,
    chat_id: UUID,
    policy: ChatPolicy,
    model: str,
    chosen: Mapping[str, Any],
    allow_data_use: bool,
    **instructions: str,
) -> None:
    """How answers are asked for from now on, all of it at once."""
    if model not in models_on_offer():
        raise Invalid(f"There is no model called {model[:100]!r} here.", code="unknown_model", field="model")
    values = _instructions(instructions, policy)
    settled = chat_settings.checked_settings(chosen)
    _change(user, chat_id, model=model, sampling=settled, allow_data_use=allow_data_use, **values)


def apply_preset(*, user: User, chat_id: UUID, key: str) -> None:
    _change(user, chat_id, sampling=chat_settings.get_preset_for(user, key))


def look_at(*, user: User, chat_id: UUID, message_id: UUID) -> None:
    """Remember the end of the branch that the person looks at."""
    _change(user, chat_id, active_tail_id=_require_in_chat(user, chat_id, message_id))


def delete_chat(*, user: User, chat_id: UUID) -> None:
    """Out of sight at once, and what is being written for it ends. `undelete_chat` takes it back."""
    _change(user, chat_id, deleted_at=timezone.now())
    _stop_turns_of([chat_id])


def delete_chats(*, user: User, chat_ids: Sequence[UUID]) -> None:
    """As `delete_chat`, all of them or none. Raises NotFound where one is not there."""
    _refuse_many(chat_ids, "chat_ids")
    spend(CHAT_CHANGES, user.pk)
    with transaction.atomic(durable=True):
        own = Chat.objects.select_for_update(no_key=True).filter(user=user, deleted_at=None, pk__in=chat_ids)
        if len(own.order_by("pk").values_list("pk")) < len(set(chat_ids)):
            raise NotFound("One of these chats is not there. None was deleted.", code="chat_not_found")
        Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    _stop_turns_of(chat_ids)


def delete_all_chats(*, user: User) -> None:
    """Of somebody who goes."""
    chat_ids = list(Chat.objects.filter(user=user, deleted_at=None).values_list("pk", flat=True))
    Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    _stop_turns_of(chat_ids)


def undelete_chat(*, user: User, chat_id: UUID) -> None:
    spend(CHAT_CHANGES, user.pk)
    if not Chat.objects.filter(pk=chat_id, user=user, ephemeral=False).update(deleted_at=None):
        raise NotFound("There is no such chat.", code="chat_not_found")


def vote(*, user: User, message_id: UUID, score: int) -> None:
    """Thumb up (1), down (-1) or none (0) for an answer."""
    answer = _get_answer_for(user, message_id)
    if score not in (-1, 0, 1):
        raise Invalid("A vote is 1, -1 or 0.", code="bad_score", field="score")
    spend(CHAT_VOTES, user.pk)
    if score == 0:
        Vote.objects.filter(message=answer, user=user).delete()
    else:
        values = {"score": score, "voted_at": timezone.now()}
        Vote.objects.update_or_create(message=answer, user=user, defaults=values)


def choose_draft(*, user: User, message_id: UUID, rejected_ids: Sequence[UUID]) -> DraftChoice:
    """Say that this answer is better than those others to the same message. What the person says last counts."""
    chosen = _get_answer_for(user, message_id)
    wanted = set(rejected_ids)
    if not 0 < len(wanted) <= MOST_DRAFTS or chosen.pk in wanted:
        raise Invalid(
            f"Please name the 1 to {MOST_DRAFTS} other answers.", code="bad_drafts", field="inferior_message_ids"
        )
    answers = ChatMessage.objects.filter(role=Role.ASSISTANT, turn__state__in=ANSWERABLE)
    rejected = list(answers.filter(parent=chosen.parent_id, pk__in=wanted))
    if len(rejected) < len(wanted) or TurnState(chosen.turn.state) not in ANSWERABLE:
        raise Invalid(
            "Only complete answers to the same message can be compared.",
            code="bad_drafts",
            field="inferior_message_ids",
        )
    spend(CHAT_VOTES, user.pk)
    with transaction.atomic(durable=True):
        _lock_chat(user, chosen.chat_id)
        DraftChoice.objects.filter(user=user, chosen__in=rejected).delete()
        values = {"chosen_at": timezone.now()}
        choice, _ = DraftChoice.objects.update_or_create(user=user, chosen=chosen, defaults=values)
        choice.rejected.set(rejected)
    return choice


def report(*, user: User, message_id: UUID, kind: str, reason: str) -> ChatReport:
    answer = _get_answer_for(user, message_id)
    if kind not in ChatReport.Kind.values:
        raise Invalid(f"A report is one of {', '.join(ChatReport.Kind.values)}.", code="bad_kind", field="report_type")
    reason = clean_text(reason, limit=REPORT_LENGTH, field="reason")
    spend(CHAT_REPORTS, user.pk)
    return ChatReport.objects.create(message=answer, user=user, kind=kind, reason=reason)


def models_on_offer() -> list[str]:
    """The names that answers can be asked of; none where chat is off."""
    return [] if settings.OASST_CHAT_MODEL == "none" else [settings.OASST_CHAT_MODEL]


def note_offer() -> None:
    """Keep when each model was offered first. For the start of whatever offers them."""
    for name in models_on_offer():
        OfferedModel.objects.get_or_create(name=name)


def offered_since(name: str) -> datetime:
    """When the site first started with this model; the start of this process where nobody noted it."""
    noted = OfferedModel.objects.filter(name=name).values_list("since", flat=True).first()
    return noted or _STARTED


def settings_for(chat: Chat) -> dict[str, Any]:
    """The model and the settings that this chat's next answer is asked for with, as `start_turn` takes them."""
    return {"model": _still_offered(chat.model), "chosen": chat_settings.settings_of(chat)}


def _still_offered(model: str) -> str:
    return model if model in models_on_offer() else ""


def _checked(user: User, chosen: Mapping[str, Any] | None, model: str, *, by_program: bool = False) -> _Picked:
    """What will be stored: a seed is drawn where none was given."""
    require_contributor(user)
    offered = models_on_offer()
    if not offered:
        raise Conflict("Chat is switched off on this site.", code="chat_off")
    if model and model not in offered:
        raise Invalid(f"There is no model called {model[:100]!r} here.", code="unknown_model", field="model")
    seed = (chosen or {}).get("seed")
    given = {**(chosen or {}), "seed": secrets.randbelow(LARGEST_SEED) if seed is None else seed}
    try:
        settled = sampling(given).as_json()
    except BadSetting as error:
        raise Invalid(error.message, code="bad_setting", field=error.field) from error
    refuse_spent(_rate(by_program), user.pk)  # before the queue is locked for who comes too often
    return _Picked(model or offered[0], settled, by_program)


def _rate(by_program: bool) -> RateLimit:
    return CHAT_TURNS_OF_PROGRAMS if by_program else CHAT_TURNS


def _lock_chat(user: User, chat_id: UUID) -> Chat:
    own = Chat.objects.select_for_update(of=("self",), no_key=True)
    chat = own.filter(pk=chat_id, user=user, deleted_at=None).first()
    if chat is None:
        raise NotFound("There is no such chat.", code="chat_not_found")
    return chat


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


def system_prompt(chat: Chat) -> str:
    """What the model is told before the conversation: the system prompt, then what the person said about themselves."""
    parts = [chat.system_prompt]
    if chat.user_profile:
        parts.append(
            "About the person you talk with (use it only where the question is about it, and do not mention it "
            f"otherwise): {chat.user_profile}"
        )
    if chat.response_instructions:
        parts.append(f"How the person wants you to answer: {chat.response_instructions}")
    return "\n\n".join(part for part in parts if part)


def _instructions(given: Mapping[str, str], policy: ChatPolicy) -> dict[str, str]:
    unknown = set(given) - set(INSTRUCTIONS)
    if unknown:
        raise TypeError(f"unknown instructions: {unknown}")
    return {name: clean_remark(text, limit=policy.instructions_length, field=name) for name, text in given.items()}


def _changes(wanted: Mapping[str, Any], policy: ChatPolicy) -> dict[str, Any]:
    """The columns for any of title, hidden and allow_data_use; None leaves one as it is."""
    values = {name: wanted[name] for name in ("hidden", "allow_data_use") if wanted.get(name) is not None}
    if wanted.get("title") is not None:
        title = clean_line(wanted["title"], limit=policy.title_length, field="title")
        values |= {"title": title, "titled_by": Chat.TitledBy.PERSON}
    return values


def _require_in_chat(user: User, chat_id: UUID, message_id: UUID) -> UUID:
    if get_message_for(user, message_id).chat_id != chat_id:
        raise NotFound("There is no such message in this chat.", code="message_not_found")
    return message_id


def _refuse_many(given: Sequence[Any], field: str) -> None:
    if not 0 < len(given) <= MOST_AT_ONCE:
        raise Invalid(f"Please give 1 to {MOST_AT_ONCE} at once.", code="too_many", field=field)


def _full() -> Conflict:
    return Conflict("This chat is full. Please begin a new one.", code="chat_full")


def _stop_turns_of(chat_ids: Sequence[UUID]) -> None:
    for turn_id in Turn.objects.filter(message__chat__in=chat_ids, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)


def _change(user: User, chat_id: UUID, **values: Any) -> None:
    get_chat_for(user, chat_id)
    spend(CHAT_CHANGES, user.pk)
    Chat.objects.filter(pk=chat_id, user=user).update(**values)


def _get_answer_for(user: User, message_id: UUID) -> ChatMessage:
    message = get_message_for(user, message_id)
    if message.role != Role.ASSISTANT:
        raise Invalid("This can only be said about an answer.", code="not_an_answer")
    return message
