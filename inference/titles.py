"""Titles of chats: the first line at once, later a few words of the model. A title that a person gave stays."""

from inference.engine.base import Chunk, Deliver, Engine, EngineError, Message, Refused, Request
from inference.engine.sampling import Sampling
from inference.models import Chat, ChatMessage

PREFIX = "title:"
_FIRST_LINE = 60
_QUESTION = "Give a short title, at most six words and without quotes, to a conversation that begins like this:\n\n"
_texts: dict[str, str] = {}


def first_line(text: str) -> str:
    """The first line of a message, cut at a word where it is long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if len(line) <= _FIRST_LINE:
        return line
    cut = line[:_FIRST_LINE].rpartition(" ")[0] or line[: _FIRST_LINE - 1]
    return f"{cut.rstrip(' ,.;:')}…"


def ask(engine: Engine, chat: Chat, answer: ChatMessage, deliver: Deliver) -> None:
    """Let the model write a title after the first answer. Nothing is promised: without one the first line stays."""
    if chat.titled_by != Chat.TitledBy.FIRST_LINE or answer.parent is None or answer.parent.parent_id is not None:
        return
    question = Message("user", _QUESTION + answer.parent.content[:1000])
    request = Request(f"{PREFIX}{chat.pk}", [question], Sampling(max_tokens=16, temperature=0, stop=("\n",)))
    try:
        engine.add(request, deliver)
    except (Refused, EngineError):
        return


def take(chunk: Chunk) -> None:
    """A piece of a title."""
    text = _texts.pop(chunk.request_id, "") + chunk.text
    if chunk.finish is None:
        _texts[chunk.request_id] = text
        return
    title = " ".join(text.replace("\0", "").split()).strip(" \"'*#.:“”")[:100]
    if title and not chunk.error:
        waiting = Chat.objects.filter(pk=chunk.request_id.removeprefix(PREFIX), titled_by=Chat.TitledBy.FIRST_LINE)
        waiting.update(title=title, titled_by=Chat.TitledBy.MODEL)
