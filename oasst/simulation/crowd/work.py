"""What a simulated person sees and does, whichever door it comes through."""

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
    """A task in a person's hands."""

    task_id: UUID
    kind: Kind
    questions: tuple[Question, ...] = ()
    reply_ids: tuple[UUID, ...] = ()
    page: Any = None  # what the door needs to send the answer


@dataclass(frozen=True)
class Answer:
    """What a person gives back: one of the three."""

    text: str = ""
    labels: dict[str, float | None] | None = None
    order: tuple[UUID, ...] = ()

    def as_json(self) -> dict[str, Any]:
        if self.labels is not None:
            return {"labels": self.labels}
        return {"order": [str(one) for one in self.order]} if self.order else {"text": self.text}


class Refused(Exception):
    """The site said no, in a way that people live with. `retry_after` is in seconds."""

    def __init__(self, code: str, message: str = "", retry_after: float = 0) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Door(Protocol):
    """One person's way into the site. Every method may raise Refused."""

    again: int
    """How often something had to be sent again, because no answer came."""

    def enter(self) -> None:
        """Come in and agree to the terms."""

    def take(self, kind: Kind | None) -> Work:
        """Ask for work of this kind, or of any."""

    def open(self, task_id: UUID) -> Work:
        """Come back to a task that was left."""

    def answer(self, work: Work, answer: Answer, *, stop: bool) -> Work | None:
        """Send the answer. When this returns, the site has said that it is stored.

        Without `stop` the person takes what the site offers next, if anything.
        """

    def skip(self, work: Work, reason: str) -> Work | None:
        """Give the work back. Returns what the site offers instead, if anything."""
