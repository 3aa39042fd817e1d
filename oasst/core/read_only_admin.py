"""The base of all admin classes: pages are read-only, and moderators act through services and give a reason.

The services record what was done (`oasst.core.audit`); the history of a row is what the audit log has about it.

The admin site itself is oasst.site.admin_site; apps use it as `django.contrib.admin.site`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import DateTimeField, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from oasst.core.audit.reading import Target, describe, entries_about
from oasst.core.errors import Busy, DomainError
from oasst.core.locks import timeouts_as_busy

MAX_ROWS_PER_ACTION = 100
"""Rows per action: each is a transaction, and the response must not take minutes."""
MAX_NAMED = 5
"""Refused rows that the message after an action names."""
FROM_DETAILS = "_from_details"
REFUSED = "refused_reason"
"""Session key of a reason that was refused, for the form on the next page."""
HISTORY_PAGE = 50
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
                "placeholder": gettext_lazy("Why? (required)"),
                "aria-label": gettext_lazy("Reason"),
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
    reason_label = gettext_lazy("Reason")
    reason_limit = 500
    acting_permission = "accounts.moderate"
    """Who is offered the actions; the services decide again."""
    other_permissions: dict[str, str] = {}
    """Permissions of single actions that need another one than `acting_permission`."""
    destructive: tuple[str, ...] = ()
    """Actions that delete or forbid something: their buttons look dangerous."""
    empty_text: str | Promise = gettext_lazy("There is nothing here.")
    """What the list says without rows. Filters that leave none have their own sentence."""

    @property
    def media(self) -> forms.Media:
        """What selects the rows of a list. No form here needs the other scripts of Django, such as for pop-ups."""
        return forms.Media(js=["admin/js/actions.js"])

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
        return [_shown(self.model, name) for name in super().get_list_display(request)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):  # a form, whose fields are named
            return sets
        return [
            (title, {**options, "fields": [_all_shown(self.model, entry) for entry in options["fields"]]})
            for title, options in sets
        ]

    def history_targets(self, obj: Any) -> list[Target]:
        """Return what the history of this row is about, as the audit log names it."""
        return [(obj._meta.label_lower, str(obj.pk))]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        # It is short and shows the number, so it is counted.
        paginator = Paginator(entries_about(self.history_targets(obj)), HISTORY_PAGE)
        page = paginator.get_page(request.GET.get(PAGE_VAR, 1))
        title = Truncator(self.title_of(obj)).chars(60)
        context = {
            **self.admin_site.each_context(request),
            "title": _("History: %(title)s") % {"title": title},
            "subtitle": None,
            "page": page,
            "lines": describe(list(page)),
            "page_range": paginator.get_elided_page_range(page.number),
            "page_var": PAGE_VAR,
            "object": obj,
            "object_title": title,
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Do nothing: the services record it. The same holds for the two below."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        pass

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None:
        pass

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

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        return {name: action for name, action in actions.items() if self.may_use(name, request)}

    def may_use(self, action: str, request: HttpRequest) -> bool:
        """Return True if this user has the permission for the action."""
        return bool(request.user.has_perm(self.other_permissions.get(action, self.acting_permission)))

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
    ) -> None:
        """Call the service `act`, which records what it does, with each chosen row and the reason.

        One message says how many are `done`, or the words that `act` returns, and which were refused and why. A refusal
        of one row does not stop the others.
        """
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, _("Nothing was done. Please say why, beside the action."), messages.ERROR)
            return
        rows = list(chosen[: MAX_ROWS_PER_ACTION + 1])
        if len(rows) > MAX_ROWS_PER_ACTION:
            message = _("Nothing was done. Choose at most %(number)d at once.") % {"number": MAX_ROWS_PER_ACTION}
            self.message_user(request, message, messages.ERROR)
            request.session[REFUSED] = reason
            return
        done_to, refused = dict[str, list[str]](), list[str]()
        for row in rows:
            name = Truncator(self.title_of(row)).chars(60)
            try:
                with timeouts_as_busy():
                    result = act(row, reason)
            except DomainError as error:
                refused.append(f"“{name}”: {error.message}")
                # The next page shows the reason again only if a second try makes sense.
                if error.field in _REASON_FIELDS or isinstance(error, Busy):
                    request.session[REFUSED] = reason
            else:
                outcome = result if isinstance(result, str) else done
                done_to.setdefault(outcome, []).append(name)
        if rows:
            level = messages.SUCCESS if not refused else messages.WARNING if done_to else messages.ERROR
            self.message_user(request, _say(done_to, refused), level)

    def form_page(self, request: HttpRequest, form: forms.Form, **words: Any) -> HttpResponse:
        """Return a page with one form. `words`: title, submit, back_url, back_words and others of the template."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, "form": form, "intro": "", **words}
        return render(request, "admin/form_page.html", context, status=422 if form.errors else 200)

    def tell_changes(self, request: HttpRequest, names: Iterable[object], more: str = "") -> None:
        """Say which settings of a row, by their labels, are different now."""
        if named := ", ".join(map(str, names)):
            words = f"{_('Changed: %(names)s.') % {'names': named}} {more}".rstrip()
            self.message_user(request, words, messages.SUCCESS)
        else:
            self.message_user(request, _("Nothing was different, so nothing was changed."), messages.INFO)


def _say(done_to: dict[str, list[str]], refused: list[str]) -> str:
    """Return one sentence about all rows: what was done to which, and what was refused."""
    if not refused and len(done_to) == 1:
        [(outcome, names)] = done_to.items()
        if len(names) == 1:
            return f"“{names[0]}”: {outcome}."
    if not done_to and len(refused) == 1:
        return refused[0]
    parts = [f"{len(names)} {outcome}" for outcome, names in done_to.items()]
    if refused:
        parts.append(ngettext("%d refused", "%d refused", len(refused)) % len(refused))
    sentence = f"{', '.join(parts)}."
    shown = " ".join(refused[:MAX_NAMED])
    more = len(refused) - MAX_NAMED
    rest = " " + ngettext("And %d more.", "And %d more.", more) % more if more > 0 else ""
    return f"{sentence} {shown}{rest}".strip()


def _filter_name(list_filter: Any) -> str:
    """Return the field or parameter of an entry of `list_filter`."""
    if isinstance(list_filter, str):
        return list_filter
    if isinstance(list_filter, tuple | list):
        return str(list_filter[0])
    return str(list_filter.parameter_name)


def _all_shown(model: type[Model], entry: Any) -> Any:
    """Apply `_shown` to an entry of `fields`: a name, or several on one line."""
    if isinstance(entry, list | tuple):
        return [_all_shown(model, name) for name in entry]
    return _shown(model, entry, exactly=True)


@cache
def _shown(model: type[Model], name: Any, *, exactly: bool = False) -> Any:
    """Return the column, or a function that shows a user with their badge, or how long ago a time is."""
    column = next((field for field in model._meta.concrete_fields if field.name == name), None)
    if column is None:
        return name
    if column.related_model is get_user_model():
        render: Callable[[Any], Any] = render_person
    elif isinstance(column, DateTimeField):
        render = age_and_time if exactly else age
    else:
        return name

    @admin.display(description=str(column.verbose_name), empty_value="–")
    def shown(row: Any) -> SafeString | None:
        value = getattr(row, name)
        return render(value) if value else None

    shown.__name__ = name  # the page uses it as the class of the cell
    return shown


def title_of_row(row: Model) -> str:
    """Return what the page of a row is called, also in the path above other pages about it."""
    page = admin.site._registry.get(type(row))
    return Truncator(page.title_of(row) if isinstance(page, ReadOnlyAdmin) else str(row)).chars(70)


def age(moment: datetime | None) -> SafeString:
    """Return how long ago it was, such as “3 h ago”, or how long it takes until then. Pointing at it shows the time."""
    if moment is None:
        return SafeString("–")
    exactly = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        timezone.localtime(moment).isoformat(),
        exactly,
        _age_in_words(moment),
    )


def age_and_time(moment: datetime | None) -> SafeString:
    """Return the same with the time beside it, for pages with room."""
    if moment is None:
        return SafeString("–")
    exactly = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html('{} <span class="desk-soft">{}</span>', age(moment), exactly)


def _age_in_words(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    if abs(seconds) < 60:
        return _("just now")
    length = duration_in_words(abs(seconds))
    return _("%(length)s ago") % {"length": length} if seconds > 0 else _("in %(length)s") % {"length": length}


def duration_in_words(seconds: float) -> str:
    """Return a length of time in its largest unit: “40 s”, “5 min”, “3 h”, “12 days”, “4 months”, “2 years”."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3_600, 86_400))
    if minutes == 0:
        return _("%(number)d s") % {"number": seconds}
    if hours == 0:
        return _("%(number)d min") % {"number": minutes}
    if days == 0:
        return _("%(number)d h") % {"number": hours}
    if days < 60:
        return ngettext("%(number)d day", "%(number)d days", days) % {"number": days}
    if days < 730:
        return ngettext("%(number)d month", "%(number)d months", days // 30) % {"number": days // 30}
    return ngettext("%(number)d year", "%(number)d years", days // 365) % {"number": days // 365}


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
