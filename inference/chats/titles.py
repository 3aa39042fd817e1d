"""Titles of chats: the first line at once, later a few words of the model. A title that a person gave stays.

Titles have no rows of their own: the chats that want one are found in the data, so that neither a crash nor a busy hour
loses them. They are written in idle moments, one at a time, and never while a person waits.
"""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from inference.engine.base import Chunk, Deliver, Engine, EngineError, Finish, Message, Refused, Request
from inference.engine.sampling import Sampling
from inference.models import Chat, ChatMessage, Turn
from inference.turns.states import TurnState
from oasst.core.markdown.rendering import plain_line

PREFIX = "title:"
WANTED_FOR = timedelta(hours=1)
"""After the first answer; a chat that got no title until then keeps its first line."""
_FIRST_LINE = 60
_QUESTION = "Give a short title, at most six words and without quotes, to a conversation that begins like this:\n\n"


def first_line(text: str) -> str:
    """The first line of a message that says something, without Markdown, cut at a word where it is long."""
    return plain_line(text, _FIRST_LINE)


class Titles:
    """The titles that one engine writes."""

    def __init__(self, engine: Engine, deliver: Deliver) -> None:
        self._engine = engine
        self._deliver = deliver
        self._texts: dict[UUID, str] = {}
        self._tried: set[UUID] = set()

    def write_next(self) -> None:
        """Begin one, if a chat wants one and the engine has nothing better to do."""
        load = self._engine.load()
        if self._texts or load.running * 2 > load.slots:
            return
        question = wanted(self._engine.model, self._tried)
        if question is None:
            return
        self._tried.add(question.chat_id)  # one that comes to nothing is not asked for again
        asked = Request(
            f"{PREFIX}{question.chat_id}",
            [Message("user", _QUESTION + question.content[:1000])],
            Sampling(max_tokens=16, temperature=0, stop=("\n",)),
        )
        try:
            self._engine.add(asked, self._deliver)
            self._texts[question.chat_id] = ""
        except (Refused, EngineError):
            return

    def take(self, chunk: Chunk) -> None:
        """A piece of a title."""
        chat_id = UUID(chunk.request_id.removeprefix(PREFIX))
        text = self._texts.pop(chat_id, "") + chunk.text
        if chunk.finish is None:
            self._texts[chat_id] = text
        elif chunk.finish in (Finish.END, Finish.STOP, Finish.LENGTH):
            store(chat_id, text)


def wanted(model: str, tried: set[UUID]) -> ChatMessage | None:
    """The first question of the chat whose title is due, the oldest first; None when none is or somebody waits."""
    if Turn.objects.filter(state=TurnState.PENDING).exists():
        return None
    answered = Turn.objects.filter(
        state=TurnState.COMPLETE,
        ended_at__gt=timezone.now() - WANTED_FOR,
        model=model,
        message__parent__parent=None,
        message__chat__titled_by=Chat.TitledBy.FIRST_LINE,
        message__chat__deleted_at=None,
    )
    turn = answered.exclude(message__chat__in=tried).select_related("message__parent").order_by("ended_at").first()
    return turn.message.parent if turn else None


def store(chat_id: UUID, text: str) -> None:
    title = plain_line(text.replace("\0", ""), 100).strip(" \"'*#.:“”")
    if title:
        waiting = Chat.objects.filter(pk=chat_id, titled_by=Chat.TitledBy.FIRST_LINE)
        waiting.update(title=title, titled_by=Chat.TitledBy.MODEL)
