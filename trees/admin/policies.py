"""The parameters: the rules in force, drafts, the history, and runs over the conversations."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from oasst.accounts.access import require_administrator
from oasst.accounts.forms import add_domain_error
from oasst.accounts.groups import ADMINISTER
from oasst.accounts.models import User
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from oasst.core.text.languages import BY_CODE, name_of
from oasst.core.text.validation import clean_pool_tag
from trees.admin.policy_form import RulesForm, in_words, shown, title_of_rules
from trees.admin.process_settings import process_settings
from trees.lifecycle.policy import EVERY_LANGUAGE
from trees.models import PolicyRun, PolicyVersion
from trees.moderation.queries import languages
from trees.policies import changing, reading, runs
from trees.policies.reading import StoredRules
from trees.policies.rules import GROUPS, TABLE

READ_PROCESS_SETTINGS = "accounts.view_sitesettings"
LISTED_DRAFTS = 20
TONES = {
    PolicyRun.Stage.RUNNING: "warning",
    PolicyRun.Stage.STOPPED: "danger",
    PolicyRun.Stage.DONE: "success",
    PolicyRun.Stage.FAILED: "danger",
}
COLUMNS = {
    "trees": gettext_lazy("Looked at"),
    "changed": gettext_lazy("Change"),
    "moved": gettext_lazy("Move on"),
    "accepted": gettext_lazy("Accepted"),
    "rejected": gettext_lazy("Not accepted"),
    "reopened": gettext_lazy("Re-opened"),
    "opened": gettext_lazy("Tasks added"),
    "dropped": gettext_lazy("Tasks removed"),
    "failed": gettext_lazy("Failed"),
}


class ByVersionState(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"
    CONDITIONS = {
        "in_force": Q(number=F("newest")),
        "earlier": Q(number__lt=F("newest")),
        "draft": Q(number=None, discarded_at=None),
        "discarded": Q(discarded_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        words = (gettext_lazy("In force"), gettext_lazy("Earlier"), gettext_lazy("Drafts"), gettext_lazy("Discarded"))
        return list(zip(self.CONDITIONS, words, strict=True))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self.CONDITIONS.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(ReadOnlyAdmin):
    list_display = ("name", "language", "status", "what", "reason", "put_in_force_by", "in_force_at", "created_at")
    list_filter = (ByVersionState,)
    list_select_related = ("created_by", "put_in_force_by")
    ordering = ("-id",)
    actions = ("put_in_force", "apply", "go_back", "discard")
    destructive = ("discard",)
    acting_permission = ADMINISTER
    empty_text: str | Promise = gettext_lazy("Nobody has changed the parameters yet.")
    readonly_fields = ("language", "status")
    change_form_outer_after_template = "trees/admin/policy_version.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyVersion]:
        newest = PolicyVersion.objects.filter(lang=OuterRef("lang")).order_by().values("lang")
        rows = super().get_queryset(request)
        return rows.annotate(newest=Subquery(newest.annotate(last=Max("number")).values("last")))

    def get_urls(self) -> list[URLPattern]:
        def at(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"trees_policyversion_{name}")

        return [
            at("parameters/", require_http_methods(["GET", "HEAD"])(self.rules_view), "rules"),
            at("parameters/edit/", self.edit_view, "edit"),
            at("<int:version_id>/preview/", require_POST(self.preview_view), "preview"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show only what there is: a draft has no beginning, and most versions were never discarded."""
        fields: list[Any] = ["language", "status", ("created_at", "created_by")]
        if obj is not None and obj.number is not None:
            fields += ["reason", ("in_force_at", "put_in_force_by")]
        return [*fields, *(["discarded_at"] if obj is not None and obj.discarded_at else [])]

    def title_of(self, obj: PolicyVersion) -> str:
        return f"{self.name(obj)}: {title_of_rules(obj.lang)}"

    def can_do(self, action: str, obj: Any, actor: User) -> bool:
        if obj.is_draft:
            return action in ("put_in_force", "discard")
        return action == ("apply" if obj.number == obj.newest else "go_back") and obj.number is not None

    def details(self, obj: Any) -> dict[str, Any]:
        stored = reading.read()
        latest = PolicyRun.objects.filter(version=obj).select_related("started_by").order_by("kind", "-id")
        found = list(latest.distinct("kind"))
        return {
            "changes": _changes(obj, stored),
            "runs": [shown_run(run) for run in found],
            "refreshes": any(run.is_under_way for run in found),
            "seen": " ".join(f"{run.pk} {run.stage} {run.done}" for run in found),
            "sample": runs.SAMPLE,
        }

    def extra_context(self, obj: Any, actor: User) -> dict[str, Any]:
        may = actor.has_perm(ADMINISTER)
        previewed = obj.is_draft or (obj.number is not None and obj.number == obj.newest)
        edit = reverse("admin:trees_policyversion_edit", query={"lang": obj.lang, "draft": obj.pk})
        return {
            "edit_url": edit if may and obj.is_draft else "",
            "preview_url": reverse("admin:trees_policyversion_preview", args=[obj.pk]) if may and previewed else "",
            "rules_url": reverse("admin:trees_policyversion_rules", query={"lang": obj.lang}),
            "acts_help": _help(obj, _is_applied(obj)) if may else "",
        }

    # --- Pages of our own ---

    def rules_view(self, request: Any) -> HttpResponse:
        """Show the rules in force of a language, or of every language without its own."""
        self._require_reader(request)
        lang = _language(request)
        stored = reading.read()
        versions = PolicyVersion.objects.filter(lang=lang)
        drafts = versions.filter(number=None, discarded_at=None).select_related("created_by").order_by("-id")
        context = {
            "lang": lang,
            "lang_title": title_of_rules(lang),
            "languages": _choices(stored, lang),
            "groups": _groups(stored, lang),
            "version": versions.filter(number__isnull=False).order_by("-number").first(),
            "drafts": list(drafts[:LISTED_DRAFTS]),
            "may_change": request.user.has_perm(ADMINISTER),
            "settings": process_settings() if request.user.has_perm(READ_PROCESS_SETTINGS) else [],
        }
        return self._page(request, "policy", _("Parameters"), **context)

    def edit_view(self, request: Any) -> HttpResponse:
        """Draft other rules of a language. A POST stores the draft and begins its preview."""
        require_administrator(request.user)
        lang = _language(request)
        stored = reading.read()
        own = changing.own_rules(stored, lang)
        draft = _draft(request, lang)
        first = changing.merged(own, draft.changes) if draft else own
        drafted = draft.changes if draft else {}
        form = RulesForm(request.POST or None, lang=lang, stored=stored, own=first, drafted=drafted)
        if request.method == "POST" and form.is_valid():
            try:
                with timeouts_as_busy():
                    version = changing.draft(lang=lang, changes=form.changes, actor=request.user, replaces=draft)
            except DomainError as error:
                add_domain_error(form, error)
            else:
                self._preview(request, version.pk)
                return redirect("admin:trees_policyversion_change", version.pk)
        context = {
            "form": form,
            "lang": lang,
            "lang_title": title_of_rules(lang),
            "wrong": [form[name] for name in form.errors if name in form.fields],
            "back_url": reverse("admin:trees_policyversion_rules", query={"lang": lang}),
        }
        status = 422 if form.errors else 200
        return self._page(request, "policy_edit", _("Change the parameters"), status=status, **context)

    def preview_view(self, request: Any, version_id: int) -> HttpResponse:
        """Begin a preview of a draft, or of what is in force."""
        require_administrator(request.user)
        self._preview(request, version_id)
        return redirect("admin:trees_policyversion_change", version_id)

    def _preview(self, request: Any, version_id: int, reason: str = "") -> None:
        try:
            with timeouts_as_busy():
                runs.start_preview(version_id=version_id, actor=request.user, reason=reason)
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)

    def _require_reader(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise NotAllowed(_("This is for staff."), code="staff_only")

    def _page(self, request: HttpRequest, template: str, title: str, status: int = 200, **context: Any) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, **context}
        return render(request, f"trees/admin/{template}.html", whole, status=status)

    # --- Columns ---

    @admin.display(description=gettext_lazy("Version"))
    def name(self, version: PolicyVersion) -> str:
        if version.number is None:
            return _("Draft %(number)d") % {"number": version.pk}
        return _("Version %(number)d") % {"number": version.number}

    @admin.display(description=gettext_lazy("Language"))
    def language(self, version: PolicyVersion) -> str:
        return title_of_rules(version.lang)

    @admin.display(description=gettext_lazy("State"))
    def status(self, version: Any) -> SafeString:
        if version.discarded_at is not None:
            return badge(_("discarded"))
        if version.number is None:
            return badge(_("draft"), "warning")
        return badge(_("in force"), "success") if version.number == version.newest else badge(_("earlier"))

    @admin.display(description=gettext_lazy("Changes"))
    def what(self, version: PolicyVersion) -> str:
        return ", ".join(_label(name) for name in version.changes)

    # --- Acts ---

    @admin.action(description=gettext_lazy("Put in force"))
    def put_in_force(self, request: Any, chosen: QuerySet[PolicyVersion]) -> None:
        def act(version: PolicyVersion, reason: str) -> None:
            changing.put_in_force(version_id=version.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, _("in force"), act)

    @admin.action(description=gettext_lazy("Discard"))
    def discard(self, request: Any, chosen: QuerySet[PolicyVersion]) -> None:
        def act(version: PolicyVersion, reason: str) -> None:
            changing.discard(version_id=version.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, _("discarded"), act)

    @admin.action(description=gettext_lazy("Go back to this"))
    def go_back(self, request: Any, chosen: QuerySet[PolicyVersion]) -> HttpResponse | None:
        made: list[tuple[int, str]] = []

        def act(version: PolicyVersion, reason: str) -> str:
            draft = changing.go_back(version_id=version.pk, actor=request.user, reason=reason)
            made.append((draft.pk, reason))
            return _("drafted again, nothing is changed yet")

        self.act_on_each(request, chosen, "", act)
        for pk, reason in made:
            self._preview(request, pk, reason)
        return redirect("admin:trees_policyversion_change", made[0][0]) if len(made) == 1 else None

    @admin.action(description=gettext_lazy("Apply to running conversations"))
    def apply(self, request: Any, chosen: QuerySet[PolicyVersion]) -> None:
        def act(version: PolicyVersion, reason: str) -> None:
            runs.start_application(version_id=version.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, _("being applied"), act)


@admin.register(PolicyRun)
class PolicyRunAdmin(ReadOnlyAdmin):
    list_display = ("kind", "stage_badge", "language", "progress", "started_by", "started_at", "ended_at")
    list_filter = ("kind", "stage")
    list_select_related = ("started_by", "version")
    ordering = ("-id",)
    actions = ("stop",)
    destructive = actions
    acting_permission = ADMINISTER
    empty_text: str | Promise = gettext_lazy("There was none yet.")
    fields = ("kind", "language", "version", ("started_at", "started_by"), "reason")
    readonly_fields = ("language",)
    change_form_outer_after_template = "trees/admin/policy_run_page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyRun]:
        return super().get_queryset(request).select_related("version", "started_by").defer("sample", "rules")

    def title_of(self, obj: PolicyRun) -> str:
        about = {"kind": obj.get_kind_display(), "language": title_of_rules(obj.lang)}
        return _("%(kind)s: %(language)s") % about

    def can_do(self, action: str, obj: PolicyRun, actor: User) -> bool:
        return obj.is_under_way

    def details(self, obj: PolicyRun) -> dict[str, Any]:
        return {
            "run": shown_run(obj),
            "seen": f"{obj.stage} {obj.done}",
            "version_url": reverse("admin:trees_policyversion_change", args=[obj.version_id]),
        }

    @admin.display(description=gettext_lazy("State"))
    def stage_badge(self, run: PolicyRun) -> SafeString:
        return _stage(run)

    @admin.display(description=gettext_lazy("Language"))
    def language(self, run: PolicyRun) -> str:
        return title_of_rules(run.lang)

    @admin.display(description=gettext_lazy("Conversations"))
    def progress(self, run: PolicyRun) -> str:
        return f"{run.done:,} / {run.to_do:,}"

    @admin.action(description=gettext_lazy("Stop"))
    def stop(self, request: Any, chosen: QuerySet[PolicyRun]) -> None:
        def act(run: PolicyRun, reason: str) -> None:
            runs.stop(run_id=run.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, _("stopped, and what was changed stays"), act)


# --- What the pages show ---


def shown_run(run: PolicyRun) -> dict[str, Any]:
    """Return what the template shows of a run: its state, how far it is, and its counts by language and in all."""
    total = {name: sum(one.get(name, 0) for one in run.counts.values()) for name in COLUMNS}
    names = [name for name in COLUMNS if name != "failed" or total["failed"]]
    by_language = [(name_of(lang), [one.get(name, 0) for name in names]) for lang, one in sorted(run.counts.items())]
    return {
        "run": run,
        "stage": _stage(run),
        "url": reverse("admin:trees_policyrun_change", args=[run.pk]),
        "columns": [COLUMNS[name] for name in names],
        "rows": by_language,
        "total": [total[name] for name in names],
        "is_preview": run.kind == PolicyRun.Kind.PREVIEW,
        "is_sample": run.to_do < run.running_trees,
        "times": round(run.running_trees / run.to_do, 1) if run.to_do else 0,
    }


def _stage(run: PolicyRun) -> SafeString:
    return badge(str(run.get_stage_display()), TONES[PolicyRun.Stage(run.stage)])


def _groups(stored: StoredRules, lang: str) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Return each group with its rules: the value in force, and what would hold without a rule of its own."""
    own = changing.own_rules(stored, lang)
    below = changing.values_below(stored, lang)
    now = changing.values_of(reading.policy_of(stored.with_seed).in_language(lang))
    rows: list[dict[str, Any]] = [
        {
            "rule": rule,
            "now": shown(now[rule.name]),
            "below": shown(below[rule.name]),
            "differs": rule.name in own and now[rule.name] != below[rule.name],
        }
        for rule in TABLE.values()
        if rule.per_language or not lang
    ]
    return [(title, [row for row in rows if row["rule"].group == group]) for group, title in GROUPS.items()]


def _changes(version: PolicyVersion, stored: StoredRules) -> list[dict[str, Any]]:
    """Return what the version changes: of a draft, against what is in force now."""
    before = changing.own_rules(stored, version.lang) if version.is_draft else version.was
    # What the rules of the past built on is known only of the defaults.
    below = changing.values_below(stored, version.lang) if version.is_draft or not version.lang else {}
    return [
        {
            "label": _label(name),
            "before": in_words(before.get(name), version.lang, below.get(name)),
            "after": in_words(value, version.lang, below.get(name)),
            "outdated": version.is_draft and before.get(name) not in (version.was.get(name), value),
        }
        for name, value in version.changes.items()
    ]


def _label(name: str) -> str:
    return str(TABLE[name].label) if name in TABLE else name


def _is_applied(version: PolicyVersion) -> bool:
    return version.runs.filter(kind=PolicyRun.Kind.APPLY, stage=PolicyRun.Stage.DONE).exists()


def _help(version: Any, is_applied: bool) -> str:
    if version.is_draft:
        return _("Look at the preview first. It says what the rules would change in running conversations.")
    if version.number is not None and version.number == version.newest:
        if is_applied:
            return _("New conversations follow these rules, and they were applied to those that ran then.")
        return _(
            "New conversations and new tasks follow these rules. Running conversations keep their sizes until you "
            "apply the rules to them; reviews and rankings follow when somebody works in one, or within hours."
        )
    return ""


def _choices(stored: StoredRules, lang: str) -> list[tuple[str, str, bool]]:
    """Return (tag, name, has rules of its own): also of languages in which nobody has written yet."""
    own = {tag for tag, rules in stored.by_language.items() if tag and rules}
    tags = {*BY_CODE, *languages(), *own, lang} - {EVERY_LANGUAGE}
    return sorted(((tag, name_of(tag), tag in own) for tag in tags), key=lambda one: one[1])


def _language(request: HttpRequest) -> str:
    tag = request.GET.get("lang", "")
    return clean_pool_tag(tag) if tag else EVERY_LANGUAGE


def _draft(request: HttpRequest, lang: str) -> PolicyVersion | None:
    """Return the draft that the address names. Raise Http404 if it is none of this language."""
    pk = request.GET.get("draft", "")
    if not pk:
        return None
    found = PolicyVersion.objects.filter(pk=int(pk), lang=lang).first() if pk.isdecimal() and len(pk) < 18 else None
    if found is None or not found.is_draft:
        raise Http404
    return found
