"""What a reader is. `trees.enrichment.registry` lists them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from inference.scoring.base import NotScorable


@dataclass(frozen=True)
class Text:
    """The present text of a message."""

    revision_id: UUID
    message_id: UUID
    text: str
    lang: str
    """The language that it is filed under."""


@dataclass(frozen=True)
class Result:
    """What a reader says about one text, and which model or rules said it."""

    values: dict[str, Any]
    """Stored as JSON. Never a piece of the text: it would outlive a purge of its author in logs and backups."""
    model: str
    version: str
    flagged: bool = False
    """A moderator should see the message."""


Outcome = Result | NotScorable | Exception
"""Of one text: its result; why there will be none; or an error, after which it is tried again later, and in the end
given up. `Unavailable` does not count as an attempt.
"""


class Reader(ABC):
    """Reads one kind of thing in texts. One instance serves all threads of a process."""

    kind: str
    batch_size = 64

    def is_enabled(self) -> bool:
        """Return True if this site can read it at all. While it cannot, no text waits for it."""
        return True

    @abstractmethod
    def read(self, texts: Sequence[Text]) -> Sequence[Outcome]:
        """Return one outcome for each text, in less than half of `trees.enrichment.queue.LEASE`.

        Called outside of transactions. A model is loaded by the first call, once in a process. Raise
        `inference.scoring.base.Unavailable` if nothing can be read now: the texts wait and no attempt is counted. Any
        other exception makes each text be read alone, so that the one to blame stands alone.
        """

    def keep(self, read: Sequence[tuple[Text, Result]]) -> None:  # noqa: B027 (few readers need it)
        """Store more than `Result.values`, in the transaction that stores the results."""
