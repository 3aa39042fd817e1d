"""What all pages of the admin share: they show and never edit. What moderators do goes through a service, for a reason.

The admin site itself is oasst.site.admin_site; apps find it as `django.contrib.admin.site`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from oasst.core.errors import Busy, DomainError
from oasst.core.locks import waits_are_busy

MOST_AT_ONCE = 100
"""Rows for one action: each is a transaction, and an answer must not take minutes."""
FROM_DETAILS = "_from_details"
REFUSED = "refused_reason"
"""In the session: a reason that was not taken, for the form on the next page."""
_WHY = ("reason", "outcome")
_FILTERED_BY = ("exact", "isnull", "isempty", "gte", "lt")
"""The look-ups that Django's filters write into their links."""


class ReasonForm(ActionForm):
    """The bar below a list: what to do with the chosen rows, and why."""

    # Not required here: an invalid form would be reported as "No action selected".
    reason = forms.CharField(
        label="",
        required=False,
        widget=forms.TextInput(
            {
                "class": "desk-reason",
                "placeholder": "Why? (required)",
                "aria-label": "Reason",
                "data-limit": 500,
                "x-show": "action",
            }
        ),
    )


class OfferedFiltersOnly(ChangeList):
    """Filters that are not offered, and values that no such field can have, are an address that does not work: the list
    is shown without them.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            return super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters(error) from error

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
            len(self.result_list)  # asks the database now, while a refusal can still become a page
        except (ValueError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters(error) from error


class ReadOnlyAdmin(ModelAdmin):
    """Rows as they are. Whoever may see them is decided by `User.has_perm`."""

    action_form = ReasonForm
    # Lists may be long: nothing counts all rows, and nothing is done to more of them than somebody looked at.
    paginator = InfinitePaginator
    show_full_result_count = False
    list_disable_select_all = True
    list_per_page = 25  # rows, not statements, are what such a page costs: 3 ms of rendering each
    sortable_by: tuple[str, ...] | None = ()
    empty_value_display = "–"
    change_form_outer_before_template = "admin/acts.html"
    reason_label = "Reason"
    reason_limit = 500
    destructive: tuple[str, ...] = ()
    """The actions that take something away: their buttons look so."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only what the filters beside the list offer.

        Django takes every look-up on every field of the model: whoever sees a list of people could read the hash of a
        password letter by letter (`password__startswith`), and most look-ups fail on odd values where nobody expects
        it.
        """
        name, _, kind = lookup.rpartition(LOOKUP_SEP)
        offered = {_name_of(one) for one in self.get_list_filter(request)}
        return lookup in offered or (name in offered and kind in _FILTERED_BY)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """An empty `_to_field` names no field."""
        return super().get_object(request, object_id, from_field or None)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedFiltersOnly

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_with_badge(self.model, name) for name in super().get_list_display(request)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": [_with_badges(self.model, one) for one in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_paginator(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        """The history of one row is short: it may be counted, and its page shows the number."""
        if queryset.model is LogEntry:
            return Paginator(queryset, *args, **kwargs)
        return super().get_paginator(request, queryset, *args, **kwargs)

    def details(self, obj: Any) -> dict[str, Any]:
        """What the page of one row shows below its fields."""
        return {}

    def title_of(self, obj: Any) -> str:
        return str(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is None:  # the form for a new row, where there is one
            return super().render_change_form(request, context, *args, obj=obj, **kwargs)
        context.update(
            acts=[(name, label, name in self.destructive) for name, label in self.acts_of(request, obj)],
            refused_reason=request.session.pop(REFUSED, ""),
            title=Truncator(self.title_of(obj)).chars(70),
            subtitle=None,
            **self.details(obj),
            **self.offers(obj, request.user),
        )
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("action_form")
        if form is not None and REFUSED in request.session:
            form.initial["reason"] = request.session.pop(REFUSED)
        return response

    def acts_of(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        """The actions that the page of this row offers to this person, with the words on their buttons."""
        choices = self.get_action_choices(request, [])
        return [(name, label) for name, label in choices if name and self.can_do(name, obj, request.user)]

    def can_do(self, action: str, obj: Any, actor: Any) -> bool:
        """Whether the page of this row offers the action to this person: what the service would refuse, it does not.
        The service decides again.
        """
        return True

    def offers(self, obj: Any, actor: Any) -> dict[str, Any]:
        """What the page of one row offers to this person beside the actions."""
        return {}

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        response: HttpResponse | None = super().response_action(request, queryset)
        back_here = isinstance(response, HttpResponseRedirect) and response.url == request.get_full_path()
        if back_here and FROM_DETAILS in request.POST:  # an action may lead elsewhere, such as to a proof
            name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
            return redirect(name, request.POST["_selected_action"])
        return response

    def do_to_each(
        self, request: HttpRequest, chosen: QuerySet[Any], done: str, act: Callable[[Any, str], object]
    ) -> None:
        """Call a service with each chosen row and the reason, and say what became of each: `done`, or the sentence that
        `act` gives.

        A refusal of one does not stop the others. The log of the admin names who did it and why, beside what the
        service itself keeps.
        """
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, "Nothing was done. Please say why, beside the action.", messages.ERROR)
            return
        rows = list(chosen[: MOST_AT_ONCE + 1])
        if len(rows) > MOST_AT_ONCE:
            self.message_user(request, f"Nothing was done. Choose at most {MOST_AT_ONCE} at once.", messages.ERROR)
            request.session[REFUSED] = reason
            return
        for row in rows:
            name = Truncator(self.title_of(row)).chars(60)
            try:
                with waits_are_busy():
                    result = act(row, reason)
            except DomainError as error:
                self.message_user(request, f"“{name}”: {error.message}", messages.ERROR)
                # The page that follows gives back what was written, where it may be sent again.
                if error.field in _WHY or isinstance(error, Busy):
                    request.session[REFUSED] = reason
            else:
                said = result if isinstance(result, str) else done
                self.log_change(request, row, f"{said}: {reason}")
                self.message_user(request, f"“{name}”: {said}.", messages.SUCCESS)


def _name_of(list_filter: Any) -> str:
    """The field or parameter that an entry of `list_filter` is about."""
    if isinstance(list_filter, str):
        return list_filter
    if isinstance(list_filter, tuple | list):
        return str(list_filter[0])
    return str(list_filter.parameter_name)


def _with_badges(model: type[Model], entry: Any) -> Any:
    """An entry of `fields`: a name, or several that stand on one line."""
    if isinstance(entry, list | tuple):
        return [_with_badge(model, name) for name in entry]
    return _with_badge(model, entry)


@cache
def _with_badge(model: type[Model], name: Any) -> Any:
    """A column as it is; in the place of one that names a person, a column that shows them with their badge."""
    column = next((field for field in model._meta.concrete_fields if field.name == name), None)
    if column is None or column.related_model is not get_user_model():
        return name

    @admin.display(description=str(column.verbose_name), empty_value="–")
    def person(row: Any) -> SafeString | None:
        found = getattr(row, name)
        return found and person_shown(found)

    person.__name__ = name  # the page names the cell after it
    return person


def person_shown(person: Any, url: str = "") -> SafeString:
    """What a person is called, with their badge, as a link where there is an address."""
    shown = SafeString(render_to_string("fragments/person.html", {"person": person}).strip())
    return format_html('<a class="text-link" href="{}">{}</a>', url, shown) if url else shown


def badge(text: str, tone: str = "") -> SafeString:
    """One word in a coloured box; tones are success, danger, warning, info and primary."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone})


def whole_text(text: str) -> SafeString:
    """What somebody wrote, with its lines and in its direction."""
    return format_html('<span class="desk-text" dir="auto">{}</span>', text) if text else SafeString("–")


def written_text(text: str) -> SafeString:
    """A message as people see it, and folded below it as it was typed."""
    return render_to_string("admin/written_text.html", {"text": text}) if text else SafeString("–")
