"""Who may read what of messages, on every way out: pages, the API, search, tasks.

Text that was deleted, or that is hidden until a moderator decides, is for staff and trusted programs. All others, its
author included, get an empty text on the API (so that trees keep their shape) and nothing on pages. Whatever shows a
text asks here; see decisions 55 and 57.
"""

from typing import Protocol

from django.db.models import Q, QuerySet

from oasst.accounts.authentication.second_factor import acts_as_staff
from oasst.accounts.models import ApiClient, User
from oasst.core.errors import NotFound
from trees.models import Message

Reader = User | ApiClient | None
"""A signed-in person, or the program that calls. None is anybody."""


class Hideable(Protocol):
    """What decides whether a message is public: a `Message`, or a row that holds these columns."""

    @property
    def deleted(self) -> bool: ...
    @property
    def hidden(self) -> bool: ...


PUBLIC = Q(deleted=False, hidden=False)
"""`is_public` as a condition of a query. The two change together."""


WITHDRAWN = Q(deleted=False, withdrawn=True)
"""Withdrawn by its author while replies of others hang below it. Pages show its place and not its text."""


def no_message() -> NotFound:
    """For whoever may know of each message whether it is there: programs and moderators."""
    return NotFound("There is no such message.", code="message_not_found")


def no_such_message() -> NotFound:
    """Of what is not there, was deleted, or is hidden for now: which of them it is, is nobody's business."""
    return NotFound(
        "There is no such message, or it was removed, or a moderator has to look at it first.", code="message_not_found"
    )


def is_public(message: Hideable) -> bool:
    """May everybody read its text?"""
    return not (message.deleted or message.hidden)


def reads_everything(reader: Reader) -> bool:
    """May this reader also read what is not public? Trusted programs and staff may, staff also by their own token.
    Staff who must set up a second factor first (REQUIRE_MFA) read as everybody does until they have one.

    A person whom a program names in a request does not count: an untrusted program can name a moderator.
    """
    if isinstance(reader, ApiClient):
        return reader.trusted or (reader.person is not None and acts_as_staff(reader.person))
    return reader is not None and acts_as_staff(reader)


def may_read(reader: Reader, message: Hideable) -> bool:
    return is_public(message) or reads_everything(reader)


def visible_messages(reader: Reader, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Those whose text this reader may read."""
    return messages if reads_everything(reader) else messages.filter(PUBLIC)
