"""A person's chats as pages, by cursor and by number: which ones, in which order. Nothing here writes.

A page is one statement by cursor and two by number, whatever it looks for. Words are looked for in titles and in
messages, through indexes; what others wrote is never read for it.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet

from inference.models import Chat, ChatMessage, Turn
from oasst.accounts.models import User
from oasst.api.cursors import Order, by_name, read_date, take_page
from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_line, is_blank

LONGEST_SEARCH = 200
MOST_ON_A_PAGE = 100
SORTS = {
    "modified_at": Order("modified_at", "modified_at", "id", read_date, datetime.isoformat),
    "created_at": Order("created_at", "created_at", "id", read_date, datetime.isoformat),
    "title": by_name("title", "title", "id"),
}


@dataclass(frozen=True)
class Wanted:
    """Which chats, in which order. The defaults are the list that people see: newest activity first."""

    search: str = ""
    """Words that stand in one message, or a piece of a message or of the title."""
    hidden: bool | None = False
    """None: those that are hidden and those that are not."""
    model: str = ""
    """With an answer that this model was asked for."""
    since: datetime | None = None
    """Of the last activity; included."""
    until: datetime | None = None
    """Of the last activity; not included."""
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
    user: User, wanted: Wanted, *, size: int, after: str | None = None, before: str | None = None
) -> CursorPage:
    """The page behind (`after`) or in front of (`before`) a cursor of an earlier page with the same sort; else the
    first one. A chat in which something happens meanwhile moves to the front, also while somebody pages.

    Raises Invalid `two_cursors`, `bad_cursor`, and as `chats_of`.
    """
    if after and before:
        raise Invalid("Please give after or before, not both.", code="two_cursors", field="before")
    order = _order(wanted)
    page = take_page(
        chats_of(user, wanted),
        order,
        lambda chat: (getattr(chat, order.field), chat.pk),
        after=_opened(after, order),
        before=_opened(before, order),
        size=_size(size),
        desc=wanted.descending,
    )
    return CursorPage(page.rows, _sealed(page.next, order), _sealed(page.prev, order))


def page_by_number(user: User, wanted: Wanted, *, size: int, number: int = 1) -> NumberedPage:
    """The page of this number; the last one where there are fewer. Raises as `chats_of`."""
    found = chats_of(user, wanted)
    size, total = _size(size), found.count()
    pages = max(-(-total // size), 1)
    number = min(max(number, 1), pages)
    field, sign = _order(wanted).field, "-" if wanted.descending else ""
    rows = found.order_by(f"{sign}{field}", f"{sign}id")[(number - 1) * size : number * size]
    return NumberedPage(list(rows), number, pages, total)


def chats_of(user: User, wanted: Wanted) -> QuerySet[Chat]:
    """All that is wanted, unordered. Raises Invalid with the field `search`: `too_long`, `control_characters`."""
    found = Chat.objects.filter(user=user, deleted_at=None)
    if wanted.hidden is not None:
        found = found.filter(hidden=wanted.hidden)
    if wanted.since is not None:
        found = found.filter(modified_at__gte=wanted.since)
    if wanted.until is not None:
        found = found.filter(modified_at__lt=wanted.until)
    if wanted.model:
        asked = Turn.objects.filter(message__chat__user=user, model=wanted.model)
        found = found.filter(pk__in=asked.values("message__chat_id"))
    if not is_blank(wanted.search):
        found = found.filter(_says(user, clean_line(wanted.search, limit=LONGEST_SEARCH, field="search")))
    return found


def _says(user: User, text: str) -> Q:
    # Its own person's chats are named inside too: without that the list of all messages with a common word would be
    # made before anybody asks whose they are.
    words = SearchQuery(text, config="simple", search_type="websearch")
    messages = ChatMessage.objects.annotate(words=SearchVector("content", config="simple"))
    saying = messages.filter(Q(words=words) | Q(content__icontains=text), chat__user=user, chat__deleted_at=None)
    return Q(title__icontains=text) | Q(pk__in=saying.values("chat_id"))


def _order(wanted: Wanted) -> Order:
    try:
        return SORTS[wanted.sort]
    except KeyError as error:
        raise Invalid(
            f"Chats can be sorted by {', '.join(SORTS)}.", code="bad_sort", field="sort", given=wanted.sort[:40]
        ) from error


def _size(size: int) -> int:
    return min(max(size, 1), MOST_ON_A_PAGE)


def _sealed(cursor: str | None, order: Order) -> str | None:
    """A cursor that no address has to escape and that says which sort it belongs to."""
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(f"{order.name}|{cursor}".encode()).decode().rstrip("=")


def _opened(sealed: str | None, order: Order) -> str | None:
    if not sealed:
        return None
    try:
        text = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True).decode()
        name, _, cursor = text.partition("|")
        if name != order.name or "\0" in cursor:
            raise ValueError(name)
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise Invalid("This cursor is not one of this list.", code="bad_cursor", field="cursor") from error
    return cursor
