"""What a simulated person sees and does, with any client."""

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from tasks.kinds import Kind


@dataclass(frozen=True)
class Question:
    """One label that a review asks for."""

    name: str
    widget: str  # of trees.labels
    mandatory: bool


@dataclass(frozen=True)
class Work:
    """A task that a person holds."""

    task_id: UUID
    kind: Kind
    questions: tuple[Question, ...] = ()
    reply_ids: tuple[UUID, ...] = ()
    page: Any = None  # what the client needs to send the answer


@dataclass(frozen=True)
class Answer:
    """The answer of a person: one of the three fields."""

    text: str = ""
    labels: dict[str, float | None] | None = None
    order: tuple[UUID, ...] = ()

    def as_json(self) -> dict[str, Any]:
        if self.labels is not None:
            return {"labels": self.labels}
        return {"order": list(map(str, self.order))} if self.order else {"text": self.text}


class Refused(Exception):
    """An expected refusal of the site. `retry_after` is in seconds."""

    def __init__(self, code: str, message: str = "", retry_after: float = 0) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Client(Protocol):
    """One person's access to the site. Every method may raise Refused."""

    repeats: int
    """How often a request was sent again because no answer came."""

    def enter(self) -> None:
        """Sign in and accept the terms."""

    def take(self, kind: Kind | None) -> Work:
        """Ask for work of this kind, or of any."""

    def open(self, task_id: UUID) -> Work:
        """Open a task that was left."""

    def answer(self, work: Work, answer: Answer, *, stop: bool) -> Work | None:
        """Send the answer. When this returns, the site has confirmed that it is stored.

        Without `stop`, return the work that the site offers next, if any.
        """

    def skip(self, work: Work, reason: str) -> Work | None:
        """Give the work back. Return what the site offers instead, if anything."""
