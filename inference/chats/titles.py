"""Titles of chats: first the first line of the question, later a few words by the model. A user's own title stays.

Chats without a title are found by query, so a crash loses none. The model writes titles one at a time and only while no
turn waits.
"""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from inference.engine.base import Chunk, ChunkCallback, Engine, EngineError, Finish, Message, Refused, Request
from inference.engine.sampling import Sampling
from inference.models import Chat, ChatMessage, Turn
from inference.turns.states import TurnState
from oasst.core.markdown.rendering import plain_line

REQUEST_ID_PREFIX = "title:"
TITLE_WINDOW = timedelta(hours=1)
"""After the first answer. Later the chat keeps its first line as title."""
_FIRST_LINE = 60
_QUESTION = "Give a short title, at most six words and without quotes, to a conversation that begins like this:\n\n"


def first_line(text: str) -> str:
    """Return the first line with text, without Markdown, cut at a word if it is long."""
    return plain_line(text, _FIRST_LINE)


class Titles:
    """Writes titles with one engine."""

    def __init__(self, engine: Engine, deliver: ChunkCallback) -> None:
        self._engine = engine
        self._deliver = deliver
        self._texts: dict[UUID, str] = {}
        self._tried: set[UUID] = set()

    def write_next(self) -> None:
        """Start the next title if the engine is at most half busy."""
        load = self._engine.load()
        if self._texts or load.running * 2 > load.slots:
            return
        question = next_untitled(self._engine.model, self._tried)
        if question is None:
            return
        self._tried.add(question.chat_id)  # a title that fails is not tried again
        request = Request(
            f"{REQUEST_ID_PREFIX}{question.chat_id}",
            [Message("user", _QUESTION + question.content[:1000])],
            Sampling(max_tokens=16, temperature=0, stop=("\n",)),
        )
        try:
            self._engine.add(request, self._deliver)
            self._texts[question.chat_id] = ""
        except (Refused, EngineError):
            return

    def take(self, chunk: Chunk) -> None:
        """Take a chunk of a title and store the title when it is complete."""
        chat_id = UUID(chunk.request_id.removeprefix(REQUEST_ID_PREFIX))
        text = self._texts.pop(chat_id, "") + chunk.text
        if chunk.finish is None:
            self._texts[chat_id] = text
        elif chunk.finish in (Finish.END, Finish.STOP, Finish.LENGTH):
            store_title(chat_id, text)


def next_untitled(model: str, tried: set[UUID]) -> ChatMessage | None:
    """Return the first question of the next chat to title, oldest answer first; None while a turn waits."""
    if Turn.objects.filter(state=TurnState.PENDING).exists():
        return None
    untitled = Turn.objects.filter(
        state=TurnState.COMPLETE,
        ended_at__gt=timezone.now() - TITLE_WINDOW,
        model=model,
        message__parent__parent=None,
        message__chat__titled_by=Chat.TitledBy.FIRST_LINE,
        message__chat__deleted_at=None,
    )
    turn = untitled.exclude(message__chat__in=tried).select_related("message__parent").order_by("ended_at").first()
    return turn.message.parent if turn else None


def store_title(chat_id: UUID, text: str) -> None:
    title = plain_line(text.replace("\0", ""), 100).strip(" \"'*#.:“”")
    if title:
        untitled = Chat.objects.filter(pk=chat_id, titled_by=Chat.TitledBy.FIRST_LINE)
        untitled.update(title=title, titled_by=Chat.TitledBy.MODEL)
