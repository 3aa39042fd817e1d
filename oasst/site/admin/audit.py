"""The audit log in the admin: a list with filters, what one entry says, and the export of what the filters leave."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_POST

from oasst.accounts.groups import EXPORT_LOG
from oasst.accounts.models import ApiClient, Role, User
from oasst.api.streams import stream
from oasst.core.audit.acts import all_acts, label_of
from oasst.core.audit.reading import describe, with_words
from oasst.core.models import AuditEntry, AuditText, JobRecord
from oasst.core.read_only_admin import ReadOnlyAdmin, age, badge, render_person, render_plain_text
from oasst.site.audit_export import FORMATS, record_export
from oasst.site.operation.descriptions import describe as describe_job

MAX_CHOICES = 100
"""People and programs that a filter lists."""
OPERATOR = "operator"
KINDS = {
    "trees.message": gettext_lazy("message"),
    "trees.messagetree": gettext_lazy("conversation"),
    "accounts.user": gettext_lazy("person"),
    "accounts.appeal": gettext_lazy("appeal"),
    "trees.purge": gettext_lazy("purge"),
    "inference.chatreport": gettext_lazy("report of a chat"),
    "inference.evaluation": gettext_lazy("evaluation of a model"),
    "trees.nearduplicate": gettext_lazy("near-duplicates"),
    "trees.hardprompt": gettext_lazy("question from a chat"),
    "trees.goldmessage": gettext_lazy("gold message"),
    "trees.snapshot": gettext_lazy("snapshot"),
    "trees.webhook": gettext_lazy("webhook"),
    "accounts.apiclient": gettext_lazy("API client"),
    "accounts.apikey": gettext_lazy("API key"),
    "accounts.sitesettings": gettext_lazy("site settings"),
    "django_celery_beat.periodictask": gettext_lazy("schedule of a job"),
    "core.jobrecord": gettext_lazy("job"),
    "core.waitingjob": gettext_lazy("waiting job"),
    "core.auditentry": gettext_lazy("entry of this log"),
}
"""The kinds of things that entries are about, and what they are called."""


class ByAct(admin.SimpleListFilter):
    title = gettext_lazy("act")
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(act.name, str(act.label)) for act in all_acts()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(act=self.value()) if self.value() else queryset


class ByActor(admin.SimpleListFilter):
    """Lists who is on the team now; the id of somebody else works in the address, and so does a click on their name."""

    title = gettext_lazy("person who did it")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        team = User.objects.exclude(role=Role.GENERAL).order_by("display_name")[:MAX_CHOICES]
        return [(OPERATOR, _("The operator or a job")), *((str(person.pk), str(person)) for person in team)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = self.value()
        if not value:
            return queryset
        if value == OPERATOR:
            return queryset.filter(actor=None, program=None)
        person = _as_uuid(value)
        return queryset.filter(actor=person) if person else queryset.none()


class ByProgram(admin.SimpleListFilter):
    title = gettext_lazy("program")
    parameter_name = "program"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        programs = ApiClient.objects.filter(person=None).order_by("name")[:MAX_CHOICES]
        return [("any", _("Any program")), *((str(program.pk), program.name) for program in programs)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        value = self.value()
        if not value:
            return queryset
        if value == "any":
            return queryset.filter(program__isnull=False)
        program = _as_uuid(value)
        return queryset.filter(program=program) if program else queryset.none()


class ByKind(admin.SimpleListFilter):
    title = gettext_lazy("kind of thing")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, str(name)) for kind, name in KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(target_type=self.value()) if self.value() else queryset


class ByDay(admin.SimpleListFilter):
    """From one day to another, both included, in the time zone of the reader."""

    title = gettext_lazy("day")
    parameter_name = "since"
    template = "admin/audit_days.html"
    UNTIL = "until"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        until = params.pop(self.UNTIL, None)
        super().__init__(request, params, model, model_admin)
        if until:
            self.used_parameters[self.UNTIL] = until[-1] if isinstance(until, list) else until

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name, self.UNTIL]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = timezone.localdate()
        days = ((0, _("Today")), (6, _("The last 7 days")), (29, _("The last 30 days")))
        return [((today - timedelta(days=number)).isoformat(), label) for number, label in days]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            yield {**choice, "selected": choice["selected"] and self.UNTIL not in self.used_parameters}
        dropped = {self.parameter_name, self.UNTIL, "p"}
        self.kept = [(name, value) for name, value in changelist.params.items() if name not in dropped]
        self.since = self.used_parameters.get(self.parameter_name) or ""
        self.until = self.used_parameters.get(self.UNTIL) or ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        since = _as_day(self.used_parameters.get(self.parameter_name))
        until = _as_day(self.used_parameters.get(self.UNTIL))
        if since:
            queryset = queryset.filter(at__gte=timezone.make_aware(datetime.combine(since, time.min)))
        if until:
            queryset = queryset.filter(at__lte=timezone.make_aware(datetime.combine(until, time.max)))
        return queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Everybody who may view it sees all of it; moderators see the history of single things instead."""

    list_display = ("when", "who", "what", "thing", "why")
    list_filter = (ByDay, ByActor, ByKind, ByProgram, ByAct)
    show_facets = admin.ShowFacets.NEVER  # each count reads all of a long log
    list_before_template = "admin/audit_export.html"
    search_fields = ("target_id",)
    search_help_text = gettext_lazy("The id of a thing, a person or an entry, a name, or a piece of the reason")
    ordering = ("-id",)
    empty_text = gettext_noop("Nobody has done anything yet that this log keeps.")
    fields = (("what", "who"), ("thing", "whom"), "why", ("at", "chained"), ("origin", "number"))
    readonly_fields = ("what", "who", "thing", "whom", "why", "chained", "origin", "number")
    change_form_outer_after_template = "admin/audit_entry.html"

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        return lookup == ByDay.UNTIL or super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        return with_words(super().get_queryset(request)).select_related("link")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if found := _as_uuid(term):
            return queryset.filter(Q(target_id=str(found)) | Q(person=found) | Q(actor=found)), False
        if term.isdecimal() and len(term) < 19:
            return queryset.filter(Q(pk=int(term)) | Q(target_id=term)), False
        people = list(User.objects.filter(display_name__icontains=term).values_list("pk", flat=True)[:MAX_CHOICES])
        # A union and not an OR, so that each part has its index.
        found_in_reasons = AuditText.objects.filter(reason__icontains=term).values("pk")
        of_people = (AuditEntry.objects.filter(**{f"{who}__in": people}).values("pk") for who in ("actor", "person"))
        return queryset.filter(pk__in=found_in_reasons.union(*of_people)), False

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(require_POST(self.export_view))
        return [path("export/<slug:form>/", export, name="core_auditentry_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {"may_export": may_export(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def export_view(self, request: Any, form: str) -> HttpResponseBase:
        """Send what the filters of the list, which stand in the address, leave: all rows, in constant memory."""
        if not may_export(request) or form not in FORMATS:
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return redirect(f"{reverse('admin:core_auditentry_changelist')}?e=1")
        exported = record_export(rows, form, actor=request.user, filters=dict(request.GET.items()))
        response = stream(exported.lines(), exported.media, request)
        response["Content-Disposition"] = f'attachment; filename="{exported.filename}"'
        return response

    def title_of(self, obj: AuditEntry) -> str:
        return _("Entry %(number)s: %(act)s") % {"number": obj.pk, "act": label_of(obj.act)}

    def details(self, obj: AuditEntry) -> dict[str, Any]:
        return {"line": describe([obj])[0]}

    @admin.display(description=gettext_lazy("When"))
    def when(self, entry: AuditEntry) -> SafeString:
        return age(entry.at)

    @admin.display(description=gettext_lazy("Who"))
    def who(self, entry: AuditEntry) -> SafeString:
        program = _("program %(name)s") % {"name": entry.program.name} if entry.program else ""
        if entry.actor:
            address = f"{reverse('admin:core_auditentry_changelist')}?by={entry.actor_id}"
            return format_html("{} {}", render_person(entry.actor, address), program)
        return format_html("{}", program or _("The operator or a job"))

    @admin.display(description=gettext_lazy("What"))
    def what(self, entry: AuditEntry) -> str:
        return label_of(entry.act)

    @admin.display(description=gettext_lazy("Thing"))
    def thing(self, entry: AuditEntry) -> SafeString | str:
        name = kind_name(entry.target_type)
        if not entry.target_id:
            return name
        if entry.target_type == JobRecord._meta.label_lower:
            address = reverse("admin:job", args=[entry.target_id])
            return format_html('<a class="text-link" href="{}">{}</a>', address, describe_job(entry.target_id).title)
        is_person = entry.person is not None and entry.target_id == str(entry.person_id)
        short = str(entry.person) if is_person else f"{name} {short_id(entry.target_id)}"
        app, _dot, model = entry.target_type.partition(".")
        try:
            address = reverse(f"admin:{app}_{model}_change", args=[entry.target_id])
        except NoReverseMatch:
            return short
        return format_html('<a class="text-link" href="{}" title="{}">{}</a>', address, entry.target_id, short)

    @admin.display(description=gettext_lazy("Whom it concerns"), empty_value="–")
    def whom(self, entry: AuditEntry) -> SafeString | None:
        if entry.person is None:
            return None
        return render_person(entry.person, reverse("admin:accounts_user_change", args=[entry.person_id]))

    @admin.display(description=gettext_lazy("Why"))
    def why(self, entry: AuditEntry) -> SafeString:
        if entry.text.erased_at is not None:
            return badge(_("erased"))
        return render_plain_text(Truncator(entry.text.reason).chars(300))

    @admin.display(description=gettext_lazy("In the chain"))
    def chained(self, entry: AuditEntry) -> SafeString:
        link = getattr(entry, "link", None)
        if link is None:
            return badge(_("not yet"), "warning")
        place = _("link %(number)s") % {"number": link.position}
        return format_html("{} <code>{}</code>", badge(place, "success"), link.hash)

    @admin.display(description=gettext_lazy("Address, as a keyed hash"))
    def origin(self, entry: AuditEntry) -> str:
        return entry.address_digest[:16] or "–"

    @admin.display(description=gettext_lazy("Number"))
    def number(self, entry: AuditEntry) -> int:
        return entry.pk


def may_export(request: Any) -> bool:
    return bool(request.user.has_perm(EXPORT_LOG))


def short_id(target_id: str) -> str:
    """Return the end of an id: the beginnings of those from the same minute are equal."""
    return target_id if len(target_id) <= 8 else f"…{target_id[-8:]}"


def kind_name(kind: str) -> str:
    """Return what a kind of things is called; its name in the log for one that a former release had."""
    if kind in KINDS:
        return str(KINDS[kind])
    try:
        return str(apps.get_model(kind)._meta.verbose_name)
    except (LookupError, ValueError):
        return kind


def _as_uuid(value: str) -> UUID | None:
    return _parsed(UUID, value)


def _as_day(value: Any) -> date | None:
    return _parsed(date.fromisoformat, value) if value else None


def _parsed(parse: Callable[[str], Any], value: str) -> Any:
    try:
        return parse(value)
    except ValueError:
        return None
