"""Cursor pagination in Open-Assistant's format: `<uuid>$<sort value>`, or a bare sort value.

With a uuid the page starts after (sort value, uuid), which is exact for equal sort values. Without one it includes the
value itself. Items always have the requested order, also when paging backwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from oasst.api.fields import ChoiceField, ConstantField, Schema, TextField, parse_iso_datetime
from oasst.core.errors import Invalid


@dataclass(frozen=True)
class Order:
    """The column that sorts the pages, and how to read and write its values in a cursor. `id` breaks ties."""

    name: str  # `sort_key` in the response
    field: str
    id: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


class PageSchema(Schema):
    """Members of every page besides `items`."""

    prev = TextField(allow_null=True)
    next = TextField(allow_null=True)
    order = ChoiceField(("asc", "desc"), called="Order")


class DatedPageSchema(PageSchema):
    sort_key = ConstantField("created_date")


def parse_cursor_date(text: str) -> datetime:
    try:
        return parse_iso_datetime(text)
    except ValueError as error:
        raise Invalid(
            "This cursor holds no date. A + must be sent as %2B.", code="bad_cursor", field="cursor"
        ) from error


def by_date(field: str, id: str) -> Order:
    return Order("created_date", field, id, parse_cursor_date, datetime.isoformat)


def by_name(name: str, field: str, id: str) -> Order:
    return Order(name, field, id, str)


@dataclass(frozen=True)
class _Position:
    value: Any
    id: UUID | None


def _position(order: Order, cursor: str | None) -> _Position | None:
    if not cursor:  # the website of Open-Assistant sends an empty one for the first page
        return None
    head, separator, tail = cursor.partition("$")
    if separator:
        try:
            return _Position(order.read(tail), UUID(head))
        except ValueError:
            pass
    return _Position(order.read(cursor), None)


@dataclass(frozen=True)
class Page:
    rows: list[Any]
    prev: str | None
    next: str | None
    order: Order
    desc: bool

    def represent(self, items: list[Any]) -> dict[str, Any]:
        return {
            "prev": self.prev,
            "next": self.next,
            "sort_key": self.order.name,
            "items": items,
            "order": "desc" if self.desc else "asc",
        }


def take_page(
    rows: QuerySet[Any],
    order: Order,
    key: Callable[[Any], tuple[Any, UUID]],
    *,
    before: str | None,
    after: str | None,
    size: int,
    desc: bool = False,
) -> Page:
    """Return one page of `rows`. `key` returns (sort value, id) of a row. Raise Invalid `bad_cursor`.

    Except between two cursors, one more row is read to find out if there is another page.
    """
    low, high = _position(order, after), _position(order, before)
    if low is not None:
        rows = rows.filter(_beyond(order, low, ascending=not desc))
    if high is not None:
        rows = rows.filter(_beyond(order, high, ascending=desc))
    is_between = low is not None and high is not None
    backwards = before is not None and low is None  # an empty `before` means the last page
    ascending = desc if backwards else not desc
    sign = "" if ascending else "-"
    items = list(rows.order_by(f"{sign}{order.field}", f"{sign}{order.id}")[: size if is_between else size + 1])
    has_more, items = len(items) > size, items[:size]
    if backwards:
        items.reverse()
    if not items:
        prev, next = (order.write(position.value) if position else None for position in (low, high))
        return Page([], prev, next, order, desc)
    first, last = (f"{row_id}${order.write(value)}" for value, row_id in (key(items[0]), key(items[-1])))
    has_prev = low is not None or (backwards and has_more)
    has_next = high is not None or backwards or has_more
    return Page(items, first if has_prev else None, last if has_next else None, order, desc)


def _beyond(order: Order, position: _Position, *, ascending: bool) -> Q:
    side = "gt" if ascending else "lt"
    bound = Q(**{f"{order.field}__{side}e": position.value})
    if position.id is None:
        return bound
    # `bound` is redundant but lets PostgreSQL enter the index at the position instead of at its end.
    return bound & (Q(**{f"{order.field}__{side}": position.value}) | Q(**{f"{order.id}__{side}": position.id}))
