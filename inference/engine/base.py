"""What an engine is: it takes requests and gives back text, piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from inference.engine.sampling import Sampling


class EngineError(Exception):
    """The engine could not do it; nobody's input is to blame."""


class Full(EngineError):
    """As many requests are being answered as fit. Try again when one of them has ended."""


class Refused(Exception):
    """This request can not be answered as it is. `code` is for machines, the message for the person."""

    def __init__(self, message: str, *, code: str = "invalid", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field


class Finish(StrEnum):
    """Why an answer ended."""

    END = "eos_token"
    LENGTH = "length"
    STOP = "stop_sequence"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Prefix:
    """The part of the answer that exists already: the engine goes on behind it."""

    text: str = ""
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Request:
    id: str
    messages: Sequence[Message]
    """The conversation, oldest first, with the message to answer last."""
    sampling: Sampling = field(default_factory=Sampling)
    prefix: Prefix = field(default_factory=Prefix)


@dataclass(frozen=True)
class Chunk:
    """A piece of an answer. The last one of a request has `finish`; its text is part of the answer too."""

    request_id: str
    text: str = ""
    token_ids: tuple[int, ...] = ()
    """What the model wrote since the chunk before. Text may lag behind: a half character or a possible stop
    string is held back until it is decided.
    """
    finish: Finish | None = None
    error: str = ""
    again: bool = False
    """With `Finish.FAILED`: the engine could not be reached, and the same request may go well later."""
    prompt_tokens: int = 0
    """Known from the first chunk on. So is how many messages did not fit into the context and were left out."""
    dropped_messages: int = 0


Deliver = Callable[[Chunk], None]
"""Called from a thread of the engine; must return at once."""


@dataclass(frozen=True)
class Load:
    """How busy an engine is."""

    running: int
    slots: int
    tokens_per_second: float = 0.0
    rebuilt: int = 0
    """How often the engine had to start its model loop again."""


class Engine(Protocol):
    """Safe to call from any thread. No call waits for the model."""

    model: str

    def add(self, request: Request, deliver: Deliver) -> None:
        """Begin to answer. Raises `Refused` or `Full`; otherwise `deliver` gets one chunk with `finish`, last."""

    def cancel(self, request_id: str) -> None:
        """End a request now with `Finish.CANCELLED`. Unknown or ended ones are ignored."""

    def load(self) -> Load: ...

    def close(self) -> None:
        """Stop the model within seconds. Requests that run get no further chunk."""
