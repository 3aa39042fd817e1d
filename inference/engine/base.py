"""The engine protocol: an engine takes requests and returns their text in pieces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from inference.engine.sampling import Sampling


class EngineError(Exception):
    """The engine failed, not because of the input."""


class EngineFull(EngineError):
    """All slots are in use. Try again when a request has ended."""


class Refused(Exception):
    """The request cannot be answered. `code` is for machines, the message for the user."""

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
    """The part of the answer that exists already. The engine continues after it."""

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
    """A piece of an answer. The last one has `finish`, and may have text too."""

    request_id: str
    text: str = ""
    token_ids: tuple[int, ...] = ()
    """Token ids since the last chunk. Text may lag behind: half characters and possible stop texts are held back."""
    finish: Finish | None = None
    error: str = ""
    may_retry: bool = False
    """With `Finish.FAILED`: the engine was unreachable, so the request may be tried again."""
    prompt_tokens: int = 0
    """Set from the first chunk on, like the number of messages that did not fit into the context."""
    dropped_messages: int = 0


ChunkCallback = Callable[[Chunk], None]
"""Called from a thread of the engine; must return at once."""


@dataclass(frozen=True)
class Load:
    """How busy an engine is."""

    running: int
    slots: int
    tokens_per_second: float = 0.0
    rebuilt: int = 0
    """How often the engine has restarted its model loop."""
    model_memory: int = 0
    """Bytes of the weights and the cache; 0 if the model is elsewhere."""


class Engine(Protocol):
    """Thread-safe. No call waits for the model."""

    model: str

    def add(self, request: Request, deliver: ChunkCallback) -> None:
        """Start to answer. Raise `Refused` or `EngineFull`; otherwise the last chunk for `deliver` has `finish`."""

    def cancel(self, request_id: str) -> None:
        """End a request now with `Finish.CANCELLED`. Ignores unknown and ended requests."""

    def load(self) -> Load: ...

    def close(self) -> None:
        """Stop the model within seconds. Running requests get no more chunks."""
