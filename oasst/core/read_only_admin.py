"""The base of all admin classes: pages are read-only, and moderators act through services and give a reason.

The admin site itself is oasst.site.admin_site; apps use it as `django.contrib.admin.site`.
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
from oasst.core.locks import timeouts_as_busy

MAX_ROWS_PER_ACTION = 100
"""Rows per action: each is a transaction, and the response must not take minutes."""
FROM_DETAILS = "_from_details"
REFUSED = "refused_reason"
"""Session key of a reason that was refused, for the form on the next page."""
_REASON_FIELDS = ("reason", "outcome")
_FILTER_LOOKUPS = ("exact", "isnull", "isempty", "gte", "lt")
"""The lookups that Django's filters use in their links."""


class ReasonForm(ActionForm):
    """The action bar of a list, with a reason."""

    # Not required, because Django reports an invalid form as "No action selected".
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


class OfferedFiltersChangeList(ChangeList):
    """A list that ignores filters that are not offered, and impossible values."""

    def get_filters(self, request: HttpRequest) -> Any:
        try:
            return super().get_filters(request)
        except DisallowedModelAdminLookup as error:
            raise IncorrectLookupParameters(error) from error

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
            len(self.result_list)  # runs the query now, while an error can still become a page
        except (ValueError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters(error) from error


class ReadOnlyAdmin(ModelAdmin):
    """Read-only pages of a model. `User.has_perm` decides who may see them."""

    action_form = ReasonForm
    # Lists may be long: never count all rows, and never act on rows that nobody has looked at.
    paginator = InfinitePaginator
    show_full_result_count = False
    list_disable_select_all = True
    list_per_page = 25  # each row takes 3 ms to render
    sortable_by: tuple[str, ...] | None = ()
    empty_value_display = "–"
    change_form_outer_before_template = "admin/acts.html"
    reason_label = "Reason"
    reason_limit = 500
    destructive: tuple[str, ...] = ()
    """Actions that delete or forbid something: their buttons look dangerous."""
    empty_text = "There is nothing here."
    """What the list says without rows. Filters that leave none have their own sentence."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow only the filters beside the list.

        Django allows every lookup on every field: anybody who sees a list of users could read a password hash letter
        by letter (`password__startswith`), and most lookups crash on odd values.
        """
        name, _, kind = lookup.rpartition(LOOKUP_SEP)
        offered = {_filter_name(entry) for entry in self.get_list_filter(request)}
        return lookup in offered or (name in offered and kind in _FILTER_LOOKUPS)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Treat an empty `_to_field` as missing."""
        return super().get_object(request, object_id, from_field or None)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OfferedFiltersChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_with_badge(self.model, name) for name in super().get_list_display(request)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": [_with_badges(self.model, entry) for entry in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_paginator(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        """Use a counting paginator for the history of one row, which is short and shows the number."""
        if queryset.model is LogEntry:
            return Paginator(queryset, *args, **kwargs)
        return super().get_paginator(request, queryset, *args, **kwargs)

    def details(self, obj: Any) -> dict[str, Any]:
        """Return template context for the page of one row, shown below its fields."""
        return {}

    def title_of(self, obj: Any) -> str:
        return str(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj is None:  # the form for a new row
            return super().render_change_form(request, context, *args, obj=obj, **kwargs)
        context.update(
            acts=[(name, label, name in self.destructive) for name, label in self.offered_actions(request, obj)],
            refused_reason=request.session.pop(REFUSED, ""),
            title=Truncator(self.title_of(obj)).chars(70),
            subtitle=None,
            **self.details(obj),
            **self.extra_context(obj, request.user),
        )
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("action_form")
        if form is not None and REFUSED in request.session:
            form.initial["reason"] = request.session.pop(REFUSED)
        return response

    def offered_actions(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        """Return the actions that the page of this row offers to this user, with their labels."""
        choices = self.get_action_choices(request, [])
        return [(name, label) for name, label in choices if name and self.can_do(name, obj, request.user)]

    def can_do(self, action: str, obj: Any, actor: Any) -> bool:
        """Return False to hide an action that the service would refuse. The service decides again."""
        return True

    def extra_context(self, obj: Any, actor: Any) -> dict[str, Any]:
        """Return template context for what the page of one row offers besides the actions."""
        return {}

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        response: HttpResponse | None = super().response_action(request, queryset)
        is_back_to_list = isinstance(response, HttpResponseRedirect) and response.url == request.get_full_path()
        if is_back_to_list and FROM_DETAILS in request.POST:  # an action may redirect to another page, too
            name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
            return redirect(name, request.POST["_selected_action"])
        return response

    def act_on_each(
        self,
        request: HttpRequest,
        chosen: QuerySet[Any],
        done: str,
        act: Callable[[Any, str], object],
        *,
        logged_at: Callable[[Any], Model] = lambda row: row,
    ) -> None:
        """Call the service `act` with each chosen row and the reason.

        A message for each row says `done`, or the sentence that `act` returns, and the admin log keeps it with the
        reason, in the history of the row, or of another that `logged_at` returns. A refusal of one row does not stop
        the others.
        """
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, "Nothing was done. Please say why, beside the action.", messages.ERROR)
            return
        rows = list(chosen[: MAX_ROWS_PER_ACTION + 1])
        if len(rows) > MAX_ROWS_PER_ACTION:
            self.message_user(
                request, f"Nothing was done. Choose at most {MAX_ROWS_PER_ACTION} at once.", messages.ERROR
            )
            request.session[REFUSED] = reason
            return
        for row in rows:
            name = Truncator(self.title_of(row)).chars(60)
            try:
                with timeouts_as_busy():
                    result = act(row, reason)
            except DomainError as error:
                self.message_user(request, f"“{name}”: {error.message}", messages.ERROR)
                # The next page shows the reason again only if a second try makes sense.
                if error.field in _REASON_FIELDS or isinstance(error, Busy):
                    request.session[REFUSED] = reason
            else:
                outcome = result if isinstance(result, str) else done
                self.log_change(request, logged_at(row), f"{outcome}: {reason}")
                self.message_user(request, f"“{name}”: {outcome}.", messages.SUCCESS)


def _filter_name(list_filter: Any) -> str:
    """Return the field or parameter of an entry of `list_filter`."""
    if isinstance(list_filter, str):
        return list_filter
    if isinstance(list_filter, tuple | list):
        return str(list_filter[0])
    return str(list_filter.parameter_name)


def _with_badges(model: type[Model], entry: Any) -> Any:
    """Apply `_with_badge` to an entry of `fields`: a name, or several on one line."""
    if isinstance(entry, list | tuple):
        return [_with_badge(model, name) for name in entry]
    return _with_badge(model, entry)


@cache
def _with_badge(model: type[Model], name: Any) -> Any:
    """Return the column, or for a foreign key to a user a function that shows them with their badge."""
    column = next((field for field in model._meta.concrete_fields if field.name == name), None)
    if column is None or column.related_model is not get_user_model():
        return name

    @admin.display(description=str(column.verbose_name), empty_value="–")
    def person(row: Any) -> SafeString | None:
        user = getattr(row, name)
        return user and render_person(user)

    person.__name__ = name  # the page uses it as the class of the cell
    return person


def render_person(person: Any, url: str = "") -> SafeString:
    """Return the name of a user with their badge, as a link if `url` is given."""
    html = SafeString(render_to_string("fragments/person.html", {"person": person}).strip())
    return format_html('<a class="text-link" href="{}">{}</a>', url, html) if url else html


def badge(text: str, tone: str = "") -> SafeString:
    """Return a word in a colored box; tones are success, danger, warning, info and primary."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone})


def render_plain_text(text: str) -> SafeString:
    """Return plain text with its line breaks and text direction."""
    return format_html('<span class="desk-text" dir="auto">{}</span>', text) if text else SafeString("–")


def render_message(text: str) -> SafeString:
    """Return a message as readers see it, with its source folded below."""
    return render_to_string("admin/written_text.html", {"text": text}) if text else SafeString("–")
