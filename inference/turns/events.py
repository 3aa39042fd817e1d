"""The events of an answer, the same for WebSocket and SSE.

The id of an event is a position in the answer. A `Token` ends at its id, counted in characters from the start of the
answer; the end of the answer is one further. So an id stays valid after a crash of the engine or a loss of Redis, and a
client that has seen everything up to an id can continue there.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Queued:
    """The answer waits in the queue. The id is that of the event before."""

    id: int
    position: int
    """1 is the next one."""
    size: int
    wait_seconds: int


@dataclass(frozen=True)
class Token:
    """The next piece of the answer."""

    id: int
    text: str


@dataclass(frozen=True)
class ToolCall:
    id: int
    call_id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolResult:
    id: int
    call_id: str
    result: str


@dataclass(frozen=True)
class Source:
    id: int
    title: str
    url: str
    passage: str


@dataclass(frozen=True)
class Done:
    """The answer is complete. Its whole text replaces the pieces."""

    id: int
    state: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    dropped_messages: int


@dataclass(frozen=True)
class Failed:
    """The answer failed. `text` is what was written before."""

    id: int
    state: str
    code: str
    message: str
    text: str


Event = Queued | Token | ToolCall | ToolResult | Source | Done | Failed
EVENT_TYPES: dict[str, type[Event]] = {
    "queued": Queued,
    "token": Token,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "source": Source,
    "done": Done,
    "failed": Failed,
}
_NAMES = {kind: name for name, kind in EVENT_TYPES.items()}


def as_json(event: Event) -> dict[str, Any]:
    return {"type": _NAMES[type(event)], **asdict(event)}
