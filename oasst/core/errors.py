"""The one error family of the domain.

Services raise these; each edge (pages, DRF, sockets, commands) translates them once. They never speak HTTP: a status
belongs to an edge. `code` is for machines and stays stable, `message` is for the person and names the cause,
`field` is the input that the cause belongs to, if there is one.
"""

from typing import Any


class DomainError(Exception):
    """Something the site refuses to do, for a reason that the person who asked can read."""

    default_code = "error"

    def __init__(
        self, message: str, *, code: str = "", field: str | None = None, hint: str = "", **details: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.hint = hint
        self.details = details


class Invalid(DomainError):
    """The input can not be taken as it is; the person can mend it."""

    default_code = "invalid"


class NotAllowed(DomainError):
    """This person may not do this (banned, not theirs, terms not accepted)."""

    default_code = "not_allowed"


def signed_out() -> NotAllowed:
    """What whoever must sign in first is told."""
    return NotAllowed("You are signed out. Sign in, then try again.", code="signed_out")


class NotFound(DomainError):
    """There is no such thing, or none that this person may see."""

    default_code = "not_found"


class Conflict(DomainError):
    """The world has moved on: already done, taken by somebody else, text changed meanwhile."""

    default_code = "conflict"


class Gone(DomainError):
    """It existed and is over (expired task, closed tree)."""

    default_code = "gone"


class Busy(DomainError):
    """Not now: a limit, a lock or a queue. `retry_after` says in how many seconds to try again."""

    default_code = "busy"

    def __init__(self, message: str, *, retry_after: int = 1, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after
