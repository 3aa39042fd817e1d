"""What people prefer among answers of the chat, as records to learn from. Reads only; decision 156.

Only chats that may be used to improve the assistant, of people who agreed to the terms and whose accounts are open.
Reported answers and answers that did not end well are left out. Sources, strongest first:

    battle         decided without knowing whose the answers are, checks left out
    draft          one answer was chosen over others to the same question
    vote           a thumb up and a thumb down on two answers to the same question
    regeneration   another answer was asked for, and the person went on with that one: a weak sign

Pure reads in batches: each batch of chats costs the same few statements, and memory holds one batch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise, product
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from inference.models import Battle, Chat, ChatMessage, ChatReport, DraftChoice, Role, Vote
from inference.turns.states import TurnState

BATCH = 200
"""Chats read at once."""
LONGEST = 40
"""Messages of a thread; those before are left out."""

Thread = list[dict[str, str]]
"""`role` (user or assistant) and `content` of each message, the question last."""


@dataclass(frozen=True)
class Preferred:
    """Two answers to one question, the better one first; or one answer that is good or bad."""

    chat_id: UUID
    user_id: UUID
    at: datetime
    source: str
    thread: Thread
    chosen: str
    chosen_model: str
    rejected: str = ""
    rejected_model: str = ""
    good: bool | None = None
    """Of a single answer; None for a pair."""


@dataclass
class _Talk:
    """One chat with all that its person said about its answers."""

    chat: Chat
    messages: dict[UUID, ChatMessage]
    """Questions, and answers that may be used."""
    votes: dict[UUID, Vote]
    choices: list[tuple[DraftChoice, set[UUID]]] = field(default_factory=list)
    battle: Battle | None = None

    def pair(self, chosen_id: UUID, rejected_id: UUID, source: str, at: datetime) -> Preferred | None:
        """Return the pair, or None if it is none: an answer is not usable, or both say the same."""
        chosen, rejected = self.messages.get(chosen_id), self.messages.get(rejected_id)
        if chosen is None or rejected is None or chosen.content.strip() == rejected.content.strip():
            return None
        return Preferred(
            self.chat.pk,
            self.chat.user_id,
            at,
            source,
            self.thread_to(chosen),
            chosen.content,
            chosen.turn.model,
            rejected.content,
            rejected.turn.model,
        )

    def thread_to(self, answer: ChatMessage) -> Thread:
        """Return what was said before it; nothing if that may not be used."""
        found: Thread = []
        message = self.messages.get(answer.parent_id) if answer.parent_id else None
        while message is not None and len(found) < LONGEST:
            role = "user" if message.role == Role.PROMPTER else "assistant"
            found.append({"role": role, "content": message.content})
            parent_id = message.parent_id
            message = self.messages.get(parent_id) if parent_id else None
            if message is None and parent_id:
                return []  # it follows an answer that is left out
        return found[::-1]


def preferred(until: datetime) -> Iterator[Preferred]:
    """Yield what was said before `until`, chat by chat in the order of their ids, the same every time."""
    for chats in _batches(until):
        for talk in _talks(chats):
            for source in _SOURCES:
                yield from (one for one in source(talk) if one.at < until and one.thread)


def _of_battles(talk: _Talk) -> Iterator[Preferred]:
    battle = talk.battle
    if battle is None or battle.is_check or battle.judged_at is None:
        return
    sides = {
        Battle.Outcome.LEFT: (battle.left_id, battle.right_id),
        Battle.Outcome.RIGHT: (battle.right_id, battle.left_id),
    }
    if (order := sides.get(Battle.Outcome(battle.outcome))) and (pair := talk.pair(*order, "battle", battle.judged_at)):
        yield pair


def _of_choices(talk: _Talk) -> Iterator[Preferred]:
    for choice, rejected in talk.choices:
        for other in sorted(rejected):
            if pair := talk.pair(choice.chosen_id, other, "draft", choice.chosen_at):
                yield pair


def _of_votes(talk: _Talk) -> Iterator[Preferred]:
    """Yield each answer with a thumb, then the pairs of one that was liked and one that was not."""
    by_question: defaultdict[UUID | None, dict[int, list[Vote]]] = defaultdict(lambda: {1: [], -1: []})
    for vote in talk.votes.values():
        answer = talk.messages.get(vote.message_id)
        if answer is None:
            continue
        by_question[answer.parent_id][vote.score].append(vote)
        yield Preferred(
            talk.chat.pk,
            talk.chat.user_id,
            vote.voted_at,
            "vote",
            talk.thread_to(answer),
            answer.content,
            answer.turn.model,
            good=vote.score > 0,
        )
    for liked in by_question.values():
        for up, down in product(liked[1], liked[-1]):
            if pair := talk.pair(up.message_id, down.message_id, "vote", max(up.voted_at, down.voted_at)):
                yield pair


def _of_regenerations(talk: _Talk) -> Iterator[Preferred]:
    """Yield an answer that was followed up, with the one right before it that was not, where no thumb says else."""
    followed = {one.parent_id for one in talk.messages.values() if one.role == Role.PROMPTER}
    judged = {choice.chosen_id for choice, _ in talk.choices} | talk.votes.keys()
    answers: defaultdict[UUID | None, list[ChatMessage]] = defaultdict(list)
    for one in talk.messages.values():
        if one.role == Role.ASSISTANT:
            answers[one.parent_id].append(one)
    for drafts in answers.values():
        if talk.battle is not None and drafts[0].pk in (talk.battle.left_id, talk.battle.right_id):
            continue
        for before, after in pairwise(drafts):
            is_sign = after.pk in followed and before.pk not in followed and not {before.pk, after.pk} & judged
            if is_sign and (pair := talk.pair(after.pk, before.pk, "regeneration", after.created_at)):
                yield pair


_SOURCES: tuple[Callable[[_Talk], Iterator[Preferred]], ...] = (
    _of_battles,
    _of_choices,
    _of_votes,
    _of_regenerations,
)


def _batches(until: datetime) -> Iterator[list[Chat]]:
    chats: QuerySet[Chat] = Chat.objects.filter(
        allow_data_use=True,
        blind=False,
        ephemeral=False,
        hidden=False,
        deleted_at=None,
        created_at__lt=until,
        user__is_active=True,
        user__enabled=True,
        user__deleted_at=None,
    ).exclude(user__terms_version="")
    answers = ChatMessage.objects.filter(chat=OuterRef("pk"), role=Role.ASSISTANT)
    others = ChatMessage.objects.filter(parent=OuterRef("parent"), role=Role.ASSISTANT).exclude(pk=OuterRef("pk"))
    says_something = (
        Q(battle__isnull=False)
        | Q(Exists(answers.filter(votes__isnull=False)))
        | Q(Exists(answers.filter(choices_for__isnull=False)))
        | Q(Exists(answers.filter(Exists(others))))
    )
    chats = chats.filter(says_something).order_by("pk")
    last: UUID | None = None
    while found := list((chats if last is None else chats.filter(pk__gt=last)).select_related("battle")[:BATCH]):
        yield found
        last = found[-1].pk


def _talks(chats: list[Chat]) -> Iterator[_Talk]:
    """Yield the chats of a batch with their messages, thumbs and choices: four statements."""
    ids = [chat.pk for chat in chats]
    reported = ChatReport.objects.filter(message=OuterRef("pk"))
    usable = Q(role=Role.PROMPTER) | (Q(turn__state=TurnState.COMPLETE, turn__by_program=False) & ~Exists(reported))
    rows = (
        ChatMessage.objects.filter(usable, chat__in=ids).select_related("turn").defer("turn__token_ids", "turn__text")
    )
    messages: defaultdict[UUID, dict[UUID, ChatMessage]] = defaultdict(dict)
    for row in rows.order_by("created_at", "pk"):
        messages[row.chat_id][row.pk] = row
    votes: defaultdict[UUID, dict[UUID, Vote]] = defaultdict(dict)
    for vote in Vote.objects.filter(message__chat__in=ids).select_related("message").order_by("pk"):
        votes[vote.message.chat_id][vote.message_id] = vote
    choices: defaultdict[UUID, list[Any]] = defaultdict(list)
    found = DraftChoice.objects.filter(chosen__chat__in=ids).select_related("chosen").prefetch_related("rejected")
    for choice in found.order_by("pk"):
        choices[choice.chosen.chat_id].append((choice, {one.pk for one in choice.rejected.all()}))
    for chat in chats:
        talk = _Talk(chat, messages[chat.pk], votes[chat.pk], choices[chat.pk], getattr(chat, "battle", None))
        yield talk
