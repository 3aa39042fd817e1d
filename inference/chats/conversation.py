"""A chat for its page: the last messages of one branch, each with its siblings, vote and report."""

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
"""Messages on one page."""


@dataclass(frozen=True)
class Siblings:
    """The position of a message among its siblings."""

    number: int
    """1 is the oldest."""
    size: int
    previous: UUID | None
    next: UUID | None


@dataclass(frozen=True)
class DisplayedMessage:
    """One message for the page."""

    message: ChatMessage
    turn: Turn | None
    siblings: Siblings
    score: int
    reported: bool

    @property
    def html(self) -> SafeString:
        return rendering.render(self.message.content)

    @property
    def html_so_far(self) -> SafeString:
        """The checkpoint of an unfinished answer."""
        return streaming.render_unfinished(self.turn.text) if self.turn is not None else SafeString()

    @property
    def is_open(self) -> bool:
        """Whether the answer waits or is being written."""
        return self.turn is not None and self.turn.state in OPEN

    @property
    def can_be_replied_to(self) -> bool:
        return self.turn is not None and TurnState(self.turn.state) in ANSWERABLE

    @property
    def position(self) -> int:
        """The length of the text on the page: the position after which events are still to come."""
        return len(self.turn.text) if self.turn is not None else 0


@dataclass(frozen=True)
class Conversation:
    shown_messages: Sequence[DisplayedMessage]
    earlier: UUID | None
    """The message above the first one on the page, if any."""
    is_end: bool
    """Whether the page shows the end of the branch."""
    waiting: queries.QueuePosition | None

    @property
    def last(self) -> DisplayedMessage | None:
        return self.shown_messages[-1] if self.shown_messages else None

    @property
    def open(self) -> DisplayedMessage | None:
        return self.last if self.last is not None and self.last.is_open else None

    @property
    def parent_id(self) -> UUID | None:
        """Return the last complete answer, to which the next question replies."""
        return next((item.message.pk for item in reversed(self.shown_messages) if item.can_be_replied_to), None)


def conversation_of(chat: Chat, upto: UUID | None = None) -> Conversation:
    """Return the branch that the user looked at last, or the thread that ends with `upto`."""
    tail = upto if upto is not None else tail_of(chat)
    if tail is None:
        return Conversation([], None, True, None)
    ids = ChatMessage.objects.thread_ids(tail, WINDOW)
    messages = {message.pk: message for message in _messages(chat, ids)}
    thread = [messages[message_id] for message_id in ids if message_id in messages]
    siblings = _siblings(chat, thread)
    items = [_item(message, siblings[message.parent_id]) for message in thread]
    turn = items[-1].turn if items else None
    pending = turn is not None and turn.state == TurnState.PENDING
    earlier = thread[0].parent_id if thread else None
    return Conversation(items, earlier, upto is None, queries.find_queue_position(thread[-1].pk) if pending else None)


def tail_of(chat: Chat) -> UUID | None:
    """Return the last message of the branch that the user looked at last; None in an empty chat."""
    if chat.active_tail_id is not None:
        return ChatMessage.objects.newest_descendant(chat.active_tail_id)
    return chat.messages.order_by("-created_at", "-id").values_list("pk", flat=True).first()


def _messages(chat: Chat, ids: Sequence[UUID]) -> Iterable[ChatMessage]:
    vote = Vote.objects.filter(message=OuterRef("pk"), user=chat.user_id)
    report = ChatReport.objects.filter(message=OuterRef("pk"), user=chat.user_id)
    messages = ChatMessage.objects.filter(chat=chat, pk__in=ids).select_related("turn").defer("turn__token_ids")
    return messages.annotate(score=Subquery(vote.values("score")), reported=Exists(report))


def _siblings(chat: Chat, thread: Sequence[ChatMessage]) -> dict[UUID | None, list[UUID]]:
    """Return the ids of the messages below each parent of the thread, oldest first."""
    parents = [message.parent_id for message in thread if message.parent_id is not None]
    below = Q(parent__in=parents)
    if len(parents) < len(thread):
        below |= Q(parent=None)
    rows = ChatMessage.objects.filter(below, chat=chat).order_by("created_at", "id")
    siblings: dict[UUID | None, list[UUID]] = defaultdict(list)
    for message_id, parent_id in rows.values_list("id", "parent_id"):
        siblings[parent_id].append(message_id)
    return siblings


def _item(message: ChatMessage, siblings: list[UUID]) -> DisplayedMessage:
    index = siblings.index(message.pk)
    previous = siblings[index - 1] if index else None
    following = siblings[index + 1] if index + 1 < len(siblings) else None
    position = Siblings(index + 1, len(siblings), previous, following)
    turn = message.turn if message.role == Role.ASSISTANT else None
    return DisplayedMessage(
        message, turn, position, getattr(message, "score", None) or 0, getattr(message, "reported", False)
    )
