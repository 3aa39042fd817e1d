"""Pages by cursor, as clients of the wire know them: `<uuid>$<sort value>`, or a bare sort value.

With the uuid a cursor is strict on (sort value, uuid), so rows with equal sort values page correctly; without it the
value itself is on the page. Items come in the asked order, whichever way was paged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from oasst.api.fields import Choice, Constant, Shape, Text, read_moment
from oasst.core.errors import Invalid


@dataclass(frozen=True)
class Order:
    """By which column pages are sorted, and how its values are read from a cursor. `id` breaks ties."""

    name: str  # on the wire
    field: str
    id: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


class PageShape(Shape):
    """What every page says besides its `items`."""

    prev = Text(allow_null=True)
    next = Text(allow_null=True)
    order = Choice(("asc", "desc"), called="Order")


class DatedPageShape(PageShape):
    sort_key = Constant("created_date")


def read_date(text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError as error:
        raise Invalid(
            "This cursor holds no date. A + must be sent as %2B.", code="bad_cursor", field="cursor"
        ) from error


def by_date(field: str, id: str) -> Order:
    return Order("created_date", field, id, read_date, datetime.isoformat)


def by_name(name: str, field: str, id: str) -> Order:
    return Order(name, field, id, str)


@dataclass(frozen=True)
class _Position:
    value: Any
    id: UUID | None


def _position(order: Order, cursor: str | None) -> _Position | None:
    if not cursor:  # an empty one is none, as the website sends it for its first page
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

    def as_wire(self, items: list[Any]) -> dict[str, Any]:
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
    """One page of `rows`; `key` gives (sort value, id) of a row. Raises Invalid `bad_cursor`.

    One row more than asked for tells whether there is a further page, except between two cursors.
    """
    low, high = _position(order, after), _position(order, before)
    if low is not None:
        rows = rows.filter(_beyond(order, low, ascending=not desc))
    if high is not None:
        rows = rows.filter(_beyond(order, high, ascending=desc))
    between = low is not None and high is not None
    backwards = before is not None and low is None  # also for an empty `before`: that is the last page
    ascending = desc if backwards else not desc
    sign = "" if ascending else "-"
    found = list(rows.order_by(f"{sign}{order.field}", f"{sign}{order.id}")[: size if between else size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        prev, next = (order.write(one.value) if one else None for one in (low, high))
        return Page([], prev, next, order, desc)
    first, last = (f"{row_id}${order.write(value)}" for value, row_id in (key(found[0]), key(found[-1])))
    has_prev = low is not None or (backwards and more)
    has_next = high is not None or backwards or more
    return Page(found, first if has_prev else None, last if has_next else None, order, desc)


def _beyond(order: Order, position: _Position, *, ascending: bool) -> Q:
    side = "gt" if ascending else "lt"
    bound = Q(**{f"{order.field}__{side}e": position.value})
    if position.id is None:
        return bound
    # The bound again, so that the index is entered at the position and not at its end.
    return bound & (Q(**{f"{order.field}__{side}": position.value}) | Q(**{f"{order.id}__{side}": position.id}))
