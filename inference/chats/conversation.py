"""A chat as its page shows it: one branch of it, a window long, each message with what can be done about it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils.safestring import SafeString

from inference import queries
from inference.models import Chat, ChatMessage, ChatReport, Role, Turn, Vote
from inference.turns.states import ANSWERABLE, OPEN, TurnState
from oasst.core.markdown import rendering, streaming

WINDOW = 60
"""Messages on one page. Those before are one click away."""


@dataclass(frozen=True)
class Branches:
    """The messages beside one, which answer the same."""

    number: int
    """1 is the oldest."""
    size: int
    previous: UUID | None
    next: UUID | None


@dataclass(frozen=True)
class Said:
    """One message, ready to be shown."""

    message: ChatMessage
    turn: Turn | None
    branches: Branches
    score: int
    reported: bool

    @property
    def html(self) -> SafeString:
        return rendering.render(self.message.content)

    @property
    def html_so_far(self) -> SafeString:
        """Of an answer that comes."""
        return streaming.render_unfinished(self.turn.text) if self.turn is not None else SafeString()

    @property
    def is_open(self) -> bool:
        """It is being answered, or waits to be."""
        return self.turn is not None and self.turn.state in OPEN

    @property
    def can_be_replied_to(self) -> bool:
        return self.turn is not None and TurnState(self.turn.state) in ANSWERABLE

    @property
    def place(self) -> int:
        """How far the answer is that stands on the page: the events behind it are still to come."""
        return len(self.turn.text) if self.turn is not None else 0


@dataclass(frozen=True)
class Conversation:
    said: Sequence[Said]
    earlier: UUID | None
    """The message above the first one here, where there is one."""
    is_end: bool
    """Nothing on this branch comes after it."""
    waiting: queries.Place | None

    @property
    def last(self) -> Said | None:
        return self.said[-1] if self.said else None

    @property
    def open(self) -> Said | None:
        return self.last if self.last is not None and self.last.is_open else None

    @property
    def parent_id(self) -> UUID | None:
        """What the next question replies to: the last answer that is one. A question that got none is left beside."""
        return next((one.message.pk for one in reversed(self.said) if one.can_be_replied_to), None)


def conversation_of(chat: Chat, upto: UUID | None = None) -> Conversation:
    """The branch that the person looked at last, to its end; or the thread that ends with `upto`."""
    tail = upto if upto is not None else _tail_of(chat)
    if tail is None:
        return Conversation([], None, True, None)
    ids = ChatMessage.objects.thread_ids(tail, WINDOW)
    found = {one.pk: one for one in _messages(chat, ids)}
    thread = [found[one] for one in ids if one in found]
    beside = _beside(chat, thread)
    said = [_said(one, beside[one.parent_id]) for one in thread]
    last = said[-1] if said else None
    pending = last is not None and last.turn is not None and last.turn.state == TurnState.PENDING
    return Conversation(
        said,
        thread[0].parent_id if thread else None,
        upto is None,
        queries.find_place(last.message.pk) if pending and last is not None else None,
    )


def _tail_of(chat: Chat) -> UUID | None:
    if chat.active_tail_id is not None:
        return ChatMessage.objects.newest_below(chat.active_tail_id)
    newest = chat.messages.order_by("-created_at", "-id").values_list("pk", flat=True).first()
    return newest


def _messages(chat: Chat, ids: Sequence[UUID]) -> Iterable[ChatMessage]:
    vote = Vote.objects.filter(message=OuterRef("pk"), user=chat.user_id)
    report = ChatReport.objects.filter(message=OuterRef("pk"), user=chat.user_id)
    found = ChatMessage.objects.filter(chat=chat, pk__in=ids).select_related("turn").defer("turn__token_ids")
    return found.annotate(score=Subquery(vote.values("score")), reported=Exists(report))


def _beside(chat: Chat, thread: Sequence[ChatMessage]) -> dict[UUID | None, list[UUID]]:
    """The ids of the messages below each parent, oldest first."""
    parents = [one.parent_id for one in thread if one.parent_id is not None]
    below = Q(parent__in=parents)
    if len(parents) < len(thread):
        below |= Q(parent=None)
    rows = ChatMessage.objects.filter(below, chat=chat).order_by("created_at", "id")
    beside: dict[UUID | None, list[UUID]] = defaultdict(list)
    for message_id, parent_id in rows.values_list("id", "parent_id"):
        beside[parent_id].append(message_id)
    return beside


def _said(message: ChatMessage, ids: list[UUID]) -> Said:
    here = ids.index(message.pk)
    branches = Branches(
        here + 1,
        len(ids),
        ids[here - 1] if here else None,
        ids[here + 1] if here + 1 < len(ids) else None,
    )
    turn = message.turn if message.role == Role.ASSISTANT else None
    return Said(message, turn, branches, getattr(message, "score", None) or 0, getattr(message, "reported", False))
