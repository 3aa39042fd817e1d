"""A user's chats in pages, by cursor or by number: filtered, searched and sorted. Read-only.

A page takes one statement by cursor and two by number. The search uses indexes on titles and messages, and never reads
other users' messages.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet

from inference.models import Chat, ChatMessage, Turn
from oasst.accounts.models import User
from oasst.api.cursors import Order, by_name, parse_cursor_date, take_page
from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_line, is_blank

MAX_SEARCH_LENGTH = 200
MAX_PAGE_SIZE = 100
SORTS = {
    "modified_at": Order("modified_at", "modified_at", "id", parse_cursor_date, datetime.isoformat),
    "created_at": Order("created_at", "created_at", "id", parse_cursor_date, datetime.isoformat),
    "title": by_name("title", "title", "id"),
}


@dataclass(frozen=True)
class ChatFilter:
    """Which chats, in which order. The defaults are those of the page: newest activity first."""

    search: str = ""
    """Words of one message, or a piece of a message or title."""
    hidden: bool | None = False
    """None: both hidden and visible chats."""
    model: str = ""
    """Only chats with an answer of this model."""
    since: datetime | None = None
    """The last activity is not before this."""
    until: datetime | None = None
    """The last activity is before this."""
    sort: str = "modified_at"
    descending: bool = True


@dataclass(frozen=True)
class CursorPage:
    chats: list[Chat]
    next: str | None
    prev: str | None


@dataclass(frozen=True)
class NumberedPage:
    chats: list[Chat]
    number: int
    pages: int
    total: int


def page_by_cursor(
    user: User, filters: ChatFilter, *, size: int, after: str | None = None, before: str | None = None
) -> CursorPage:
    """Return the page after or before a cursor of the same sort, or the first page.

    A chat with new activity moves to the front. Raise Invalid `two_cursors`, `bad_cursor`, and like `filter_chats`.
    """
    if after and before:
        raise Invalid("Please give after or before, not both.", code="two_cursors", field="before")
    order = _order(filters)
    page = take_page(
        filter_chats(user, filters),
        order,
        lambda chat: (getattr(chat, order.field), chat.pk),
        after=_decode_cursor(after, order),
        before=_decode_cursor(before, order),
        size=_size(size),
        desc=filters.descending,
    )
    return CursorPage(page.rows, _encode_cursor(page.next, order), _encode_cursor(page.prev, order))


def page_by_number(user: User, filters: ChatFilter, *, size: int, number: int = 1) -> NumberedPage:
    """Return the page of this number, or the last one if there are fewer. Raise like `filter_chats`."""
    chats = filter_chats(user, filters)
    size, total = _size(size), chats.count()
    pages = max(-(-total // size), 1)
    number = min(max(number, 1), pages)
    field, sign = _order(filters).field, "-" if filters.descending else ""
    rows = chats.order_by(f"{sign}{field}", f"{sign}id")[(number - 1) * size : number * size]
    return NumberedPage(list(rows), number, pages, total)


def filter_chats(user: User, filters: ChatFilter) -> QuerySet[Chat]:
    """Return the matching chats, unordered. Raise Invalid for `search`: `too_long`, `control_characters`."""
    chats = Chat.objects.filter(user=user, deleted_at=None, blind=False)
    if filters.hidden is not None:
        chats = chats.filter(hidden=filters.hidden)
    if filters.since is not None:
        chats = chats.filter(modified_at__gte=filters.since)
    if filters.until is not None:
        chats = chats.filter(modified_at__lt=filters.until)
    if filters.model:
        turns = Turn.objects.filter(message__chat__user=user, model=filters.model)
        chats = chats.filter(pk__in=turns.values("message__chat_id"))
    if not is_blank(filters.search):
        chats = chats.filter(_contains(user, clean_line(filters.search, limit=MAX_SEARCH_LENGTH, field="search")))
    return chats


def _contains(user: User, text: str) -> Q:
    # The inner query names the user too: without that PostgreSQL would list all users' messages with a common word.
    words = SearchQuery(text, config="simple", search_type="websearch")
    messages = ChatMessage.objects.annotate(words=SearchVector("content", config="simple"))
    matching = messages.filter(Q(words=words) | Q(content__icontains=text), chat__user=user, chat__deleted_at=None)
    return Q(title__icontains=text) | Q(pk__in=matching.values("chat_id"))


def _order(filters: ChatFilter) -> Order:
    try:
        return SORTS[filters.sort]
    except KeyError as error:
        raise Invalid(
            f"Chats can be sorted by {', '.join(SORTS)}.", code="bad_sort", field="sort", given=filters.sort[:40]
        ) from error


def _size(size: int) -> int:
    return min(max(size, 1), MAX_PAGE_SIZE)


def _encode_cursor(cursor: str | None, order: Order) -> str | None:
    """Return the cursor with the name of its sort, in characters that are safe in a URL."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(f"{order.name}|{cursor}".encode()).decode().rstrip("=")


def _decode_cursor(encoded: str | None, order: Order) -> str | None:
    if not encoded:
        return None
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
        name, _, cursor = text.partition("|")
        if name != order.name or "\0" in cursor:
            raise ValueError(name)
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise Invalid("This cursor is not one of this list.", code="bad_cursor", field="cursor") from error
    return cursor
