"""Who may read which messages: the rule for pages, the API, search and tasks.

Deleted and hidden texts are for staff and trusted API clients. Everyone else, the author included, gets an empty text
on the API (so that trees keep their form) and nothing on pages. All code that shows a text uses this; decisions 55, 57.
"""

from typing import Protocol

from django.db.models import Q, QuerySet

from oasst.accounts.authentication.second_factor import acts_as_moderator
from oasst.accounts.models import ApiClient, User
from oasst.core.errors import NotFound
from trees.models import Message

Reader = User | ApiClient | None
"""A signed-in user, or the calling API client. None is an anonymous reader."""


class MessageVisibility(Protocol):
    """The columns that decide whether a message is public: a `Message` or a row with these."""

    @property
    def deleted(self) -> bool: ...
    @property
    def hidden(self) -> bool: ...


PUBLIC = Q(deleted=False, hidden=False)
"""`is_public` as a query condition. Change both together."""

WITHDRAWN = Q(deleted=False, withdrawn=True)
"""Withdrawn by its author, with replies of others below. Pages show a placeholder instead of the text."""


def message_not_found() -> NotFound:
    """Return the error for readers who may know whether a message exists: API clients and moderators."""
    return NotFound("There is no such message.", code="message_not_found")


def message_unavailable() -> NotFound:
    """Return the error that hides whether a message is missing, deleted or hidden."""
    return NotFound(
        "There is no such message, or it was removed, or a moderator has to look at it first.", code="message_not_found"
    )


def is_public(message: MessageVisibility) -> bool:
    """Return True if everyone may read its text."""
    return not (message.deleted or message.hidden)


def reads_everything(reader: Reader) -> bool:
    """Return True if this reader may also read texts that are not public: trusted API clients and staff.

    Staff who must set up a second factor first (REQUIRE_MFA) read only public texts until then. A user whom an API
    client names in a request does not count: an untrusted client can name a moderator.
    """
    if isinstance(reader, ApiClient):
        return reader.trusted or (reader.person is not None and acts_as_moderator(reader.person))
    return reader is not None and acts_as_moderator(reader)


def may_read(reader: Reader, message: MessageVisibility) -> bool:
    return is_public(message) or reads_everything(reader)


def visible_messages(reader: Reader, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Filter the messages whose text this reader may read."""
    return messages if reads_everything(reader) else messages.filter(PUBLIC)


def about(relation: str, condition: Q = PUBLIC) -> Q:
    """Return a condition on messages as one on rows that have them as `relation`."""
    return Q(**{f"{relation}__{name}": value for name, value in condition.children})  # type: ignore[misc]
