"""Paging by position: a cursor names the last row that was shown, so page 1,000 costs as much as page 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from oasst.core.errors import Invalid
from oasst.core.timestamps import parse_timestamp

Rows = TypeVar("Rows", bound=Model)
Row = TypeVar("Row")


@dataclass(frozen=True)
class Cursor:
    """A position in a list that is sorted by time and id, newest first."""

    at: datetime
    id: Any

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.id}"


@dataclass(frozen=True)
class Direction:
    """Which page is asked for. Without a cursor it is the first."""

    cursor: Cursor | None
    towards_newer: bool

    @classmethod
    def parse(cls, *, older: str | None, newer: str | None, key: Callable[[str], Any] = UUID) -> "Direction":
        """Read the cursors of a page address, `<ISO date>~<id>`; `key` reads the id. Raise Invalid `bad_cursor`."""
        return cls(_parse(older or newer, key), bool(newer) and not older)

    def apply(self, rows: "QuerySet[Rows]", at: str = "created_at", id: str = "id") -> "QuerySet[Rows]":
        """Filter and sort rows by these columns. The caller takes one more than a page has, and `cut`s the result."""
        if self.cursor is not None:
            side = "gt" if self.towards_newer else "lt"
            # The first condition is redundant; by it PostgreSQL enters an index at the position instead of at its end.
            rows = rows.filter(
                Q(**{f"{at}__{side}e": self.cursor.at}),
                Q(**{f"{at}__{side}": self.cursor.at}) | Q(**{f"{id}__{side}": self.cursor.id}),
            )
        return rows.order_by(at, id) if self.towards_newer else rows.order_by(f"-{at}", f"-{id}")

    def cut(self, rows: Sequence[Row], size: int) -> "tuple[list[Row], bool, bool]":
        """Return the rows of the page, newest first, and whether there are newer and older ones."""
        more, page = len(rows) > size, list(rows[:size])
        if self.towards_newer:
            page.reverse()
            return page, more, True
        return page, self.cursor is not None, more


def _parse(value: str | None, key: Callable[[str], Any]) -> Cursor | None:
    if not value:
        return None
    try:
        at, _sign, row_id = value.partition("~")
        return Cursor(parse_timestamp(at), key(row_id))
    except (ValueError, ValidationError) as error:
        message = _("This page address is broken; start again from the first page.")
        raise Invalid(message, code="bad_cursor") from error
