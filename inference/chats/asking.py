"""Ask for an answer and stop one. Each function opens its own transaction, which locks the chat's row first.

A question and its pending turn are stored together or not at all. `inference.turns.runtime` writes the answer,
`inference.turns.watch` streams it.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Length, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from inference import queries
from inference.chats import chat_settings, titles
from inference.chats.access import get_message_for, get_turn_for, lock_chat_for
from inference.chats.chat_settings import clean_instructions, system_prompt
from inference.engine.sampling import MAX_SEED
from inference.models import Chat, ChatMessage, Role, Turn
from inference.policy import ChatPolicy
from inference.registry.offer import models_for, require_offered, still_offered
from inference.turns import lifecycle, streams
from inference.turns.states import ANSWERABLE, OPEN, TurnState
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.accounts.site_settings.reading import current
from oasst.core import ratelimit
from oasst.core.errors import Busy, Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_text

MIN_RETRY_AFTER, MAX_RETRY_AFTER = 5, 60


class _Options(NamedTuple):
    """The checked options of a new turn."""

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
    """Store a message and a turn for its answer. To edit a message, pass the parent of the edited one.

    Raise NotAllowed, NotFound, Invalid, Conflict (`not_answerable`, `chat_full`) or Busy (`queue_full`,
    `too_many_turns`, `rate_limited`), and then stores nothing.
    """
    options = _checked(user, chosen, model)
    with transaction.atomic(durable=True):
        chat = lock_chat_for(user, chat_id)
        message = _post(chat, text, parent_id, policy)
        return _ask(chat, message, options, policy)


def start_chat(*, user: User, text: str, policy: ChatPolicy) -> Turn:
    """Create a chat with the settings of the latest one, and its first question. Raise like `start_turn`."""
    chat = Chat(user=user, **chat_settings.initial_values(user))
    options = _checked(user, chat_settings.settings_of(chat), still_offered(user, chat.model))
    with transaction.atomic(durable=True):
        chat.save(force_insert=True)
        return _ask(chat, _post(chat, text, None, policy), options, policy)


def start_blind_chat(
    *, user: User, text: str, policy: ChatPolicy, sides: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[Turn]:
    """Create a blind chat whose first question gets an answer for each side, a model and its settings: all or none.

    The chat has the instructions of the latest one, as `start_chat`. Belongs into the caller's transaction, which makes
    the battle. Raise like `start_turn`.
    """
    options = [_checked(user, chosen, model) for model, chosen in sides]
    chat = Chat(user=user, blind=True, **chat_settings.initial_values(user))
    chat.model, chat.sampling = "", {}
    chat.save(force_insert=True)
    question = _post(chat, text, None, policy)
    return [_ask(chat, question, one, policy) for one in options]


def post_message(*, user: User, chat_id: UUID, text: str, policy: ChatPolicy, parent_id: UUID | None) -> ChatMessage:
    """Store a message without asking for an answer."""
    require_contributor(user)
    ratelimit.count_use(ratelimit.CHAT_MESSAGES, user.pk)
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
    """Ask for a first or another answer to a message of the user.

    `instructions` (any of `INSTRUCTIONS`) replace all those of the chat for this answer. Raise like `start_turn`.
    """
    message = get_message_for(user, message_id)
    if message.role != Role.PROMPTER:
        raise Invalid("Only a message of yours can be answered.", code="not_a_prompt", field="parent_id")
    own_instructions = clean_instructions(instructions, policy) if instructions else {}
    options = _checked(user, chosen, model, by_program=by_program)
    with transaction.atomic(durable=True):
        chat = lock_chat_for(user, message.chat_id)
        if chat.messages.count() > policy.messages_in_chat:
            raise _full()
        _refuse_drafts(message)
        own_prompt = system_prompt(Chat(**own_instructions)) if own_instructions else None
        return _ask(chat, message, options, policy, own_prompt=own_prompt)


def _refuse_drafts(question: ChatMessage) -> None:
    """Raise Conflict `drafts_off` for a question that has an answer, or waits for one, if one must do."""
    if current().chat_drafts:
        return
    if Turn.objects.filter(message__parent=question, state__in=[*ANSWERABLE, *OPEN]).exists():
        raise Conflict(
            _("Each question is answered once on this site at the moment. Ask again in other words."),
            code="drafts_off",
        )


def complete(
    *,
    user: User,
    messages: list[dict[str, str]],
    policy: ChatPolicy,
    chosen: Mapping[str, Any] | None = None,
    model: str = "",
) -> Turn:
    """Ask for an answer to the valid messages of an API client, a list of {role, content} with the question last.

    The turn stays in the queue while its caller waits (`inference.turns.callers`). Raise like `start_turn`.
    """
    options = _checked(user, chosen, model, by_program=True)
    with transaction.atomic(durable=True):
        chat = Chat.objects.create(user=user, ephemeral=True, deleted_at=timezone.now())
        question = ChatMessage.objects.create(chat=chat, role=Role.PROMPTER)
        return _ask(chat, question, options, policy, messages=messages)


def stop_turn(*, user: User, message_id: UUID) -> None:
    """Stop an answer and keep the text written so far. A finished answer stays as it is."""
    turn = get_turn_for(user, message_id)
    ratelimit.count_use(ratelimit.CHAT_STOPS, user.pk)
    lifecycle.stop(turn.pk)


def turn_options(user: User, chat: Chat) -> dict[str, Any]:
    """Return the model and settings for the next answer of the user's chat, as arguments of `start_turn`."""
    return {"model": still_offered(user, chat.model), "chosen": chat_settings.settings_of(chat)}


def _checked(user: User, chosen: Mapping[str, Any] | None, model: str, *, by_program: bool = False) -> _Options:
    """Check what was asked for and draw a seed if none was given."""
    require_contributor(user)
    offered = models_for(user)
    if not offered:
        raise Conflict("Chat is switched off on this site.", code="chat_off")
    if model:
        require_offered(user, model)
    seed = (chosen or {}).get("seed")
    settings = {**(chosen or {}), "seed": secrets.randbelow(MAX_SEED) if seed is None else seed}
    sampling = chat_settings.clean_sampling(settings)
    ratelimit.refuse_if_used_up(_rate(by_program), user.pk)  # a user above the limit must not lock the queue
    return _Options(model or offered[0], sampling, by_program)


def _rate(by_program: bool) -> ratelimit.RateLimit:
    return ratelimit.CHAT_TURNS_OF_CLIENTS if by_program else ratelimit.CHAT_TURNS


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
    options: _Options,
    policy: ChatPolicy,
    *,
    own_prompt: str | None = None,
    messages: list[dict[str, str]] | None = None,
) -> Turn:
    lifecycle.cancel_waiting(chat=chat, except_below=prompt.pk)
    advisory_lock("chat queue")  # counting and adding must be one step, or the limits are not exact
    _refuse_when_full(chat.user_id, policy, options.by_program)
    ratelimit.count_use(_rate(options.by_program), chat.user_id)  # refused requests are not counted
    answer = ChatMessage.objects.create(chat=chat, parent=prompt, role=Role.ASSISTANT)
    now = timezone.now()
    turn = Turn.objects.create(
        message=answer,
        user_id=chat.user_id,
        model=options.model,
        sampling=options.sampling,
        by_program=options.by_program,
        system_prompt=system_prompt(chat) if own_prompt is None else own_prompt,
        prompt=messages,
        queued_at=now,
        deadline_at=now + timedelta(seconds=policy.queue_seconds),
        wanted_until=None if messages is None else Now() + timedelta(seconds=policy.wanted_seconds),
    )
    chat.active_tail = answer
    chat.save(update_fields=["active_tail"])
    transaction.on_commit(streams.publish_command)
    return turn


def _refuse_when_full(user_id: UUID, policy: ChatPolicy, by_program: bool) -> None:
    """Raise Busy if the queue is full or the user has too many waiting turns.

    A user may have no more waiting turns than the queue has free positions (a dynamic threshold, as network switches
    share their memory): one user gets half of the queue, two get a third each, and newcomers always find a position.
    Turns of an API client (`by_program`) do not count on the user's own pages.
    """
    own = Count("pk", filter=Q(user_id=user_id) if by_program else Q(user_id=user_id, by_program=False))
    pending = Turn.objects.filter(queries.AWAITED, state=TurnState.PENDING)
    waiting, theirs = pending.aggregate(all=Count("pk"), own=own).values()
    if theirs < policy.queue_limit - waiting:
        return
    if waiting >= policy.queue_limit:
        raise Busy(
            "Too many people are waiting for an answer right now.",
            code="queue_full",
            retry_after=_retry_after(queries.expected_wait(1)),
            queue_length=waiting,
        )
    raise Busy(
        f"{theirs} questions of yours are waiting already; the rest of the queue is for others. Wait for one of the "
        "answers, or stop it.",
        code="too_many_turns",
        retry_after=_retry_after(queries.expected_wait_of_user(user_id)),
    )


def _retry_after(seconds: int) -> int:
    """Return the Retry-After seconds for an expected wait. Frequent retries help nobody."""
    return min(max(seconds, MIN_RETRY_AFTER), MAX_RETRY_AFTER)


def _full() -> Conflict:
    return Conflict("This chat is full. Please begin a new one.", code="chat_full")
