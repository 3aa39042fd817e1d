"""Filters that stand in one form above a list of the admin, so that several are chosen at once and without script.

A list uses them by `change_list_template = FILTER_FORM` and `get_changelist` that returns `FormChangeList`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.core.read_only_admin import OfferedFiltersChangeList

FILTER_FORM = "admin/found_list.html"


class FormFilter(SimpleListFilter):
    """A filter with one value. `condition` says what it means; None filters nothing."""

    control = "select"
    """What the form shows: `select`, or the type of an input."""
    attributes: dict[str, str] = {}
    """More attributes of the input."""
    options: tuple[tuple[str, Any], ...] = ()
    """Values and labels of a select."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.options

    def has_output(self) -> bool:
        return self.control != "select" or bool(self.lookup_choices)

    def condition(self, value: str) -> Q | None:
        """Raise ValueError for a value that cannot be meant."""
        return None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").strip()
        try:
            condition = self.condition(value) if value else None
        except (ValueError, OverflowError) as error:  # such as the day after the last one that there is
            raise IncorrectLookupParameters(error) from error
        return queryset if condition is None else queryset.filter(condition)


class YesOrNo(FormFilter):
    """A column that is true or false: `parameter_name` is the column with `__exact`."""

    options = (("1", _("Yes")), ("0", _("No")))

    def condition(self, value: str) -> Q | None:
        return Q(**{self.parameter_name or "": value == "1"}) if value in ("0", "1") else None


class DayFilter(FormFilter):
    """One end of a range of days, in UTC, so that an address means the same everywhere. The last day is included."""

    control = "date"
    column = "created_at"
    is_last = False

    def condition(self, value: str) -> Q | None:
        day = parse_date(value)
        if day is None:
            raise ValueError(value)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if self.is_last:
            return Q(**{f"{self.column}__lt": midnight + timedelta(days=1)})
        return Q(**{f"{self.column}__gte": midnight})


class SortBy(FormFilter):
    """The order of a list. `ReadOnlyAdmin.get_ordering` of its class reads it."""

    title = _("order")
    parameter_name = "sort"


def _value_in_words(spec: SimpleListFilter) -> str:
    """Return what is chosen in a filter, as its form shows it."""
    labels = {str(value): str(label) for value, label in spec.lookup_choices}
    return labels.get(str(spec.value()), str(spec.value()))


class FormChangeList(OfferedFiltersChangeList):
    """A list whose filters stand in the form and not in a panel, which opens by script only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.form_filters = [spec for spec in self.filter_specs if isinstance(spec, SimpleListFilter)]
        self.chosen = [spec for spec in self.form_filters if spec.value()]
        self.has_filters = False
        self.has_active_filters = bool(self.chosen)

    def chosen_in_words(self) -> str:
        """Return what was searched for and the filters that are chosen, such as “Language: German; Kind: Replies”."""
        chosen = [spec for spec in self.chosen if not isinstance(spec, SortBy)]
        parts = [f"{capfirst(str(spec.title))}: {_value_in_words(spec)}" for spec in chosen]
        if self.query:
            parts.insert(0, gettext("Search: %(words)s") % {"words": self.query})
        return "; ".join(parts)
