"""Admin pages of users, API clients and periodic tasks. They are here because they show data of several apps."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import partial, wraps
from typing import Any

from celery.schedules import ParseException, crontab
from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from unfold.widgets import UnfoldAdminTextInputWidget

from leaderboard import own_statistics
from leaderboard.queries import own_counts
from oasst.accounts import warnings
from oasst.accounts.administrator_bans import needs_confirmation, open_proposals
from oasst.accounts.api_clients import create_api_key, expire_api_key
from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.finding import find_people
from oasst.accounts.groups import ADMINISTER, OPERATE, Duty
from oasst.accounts.models import ApiClient, ApiKey, Role, User
from oasst.accounts.notices import send_notice
from oasst.accounts.rights import languages_of
from oasst.accounts.roles import has_higher_rank
from oasst.core.audit.people import accounts_of
from oasst.core.audit.reading import Target
from oasst.core.audit.recording import record
from oasst.core.errors import Invalid
from oasst.core.form_fields import LineField
from oasst.core.http.message_storage import SECRET_TAG
from oasst.core.list_filters import FILTER_FORM, FormChangeList
from oasst.core.models import JobRecord, WaitingJob
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_person
from oasst.core.text.languages import name_of
from oasst.site import acts, purge_proposals
from oasst.site.admin.account_changes import change_view
from oasst.site.admin.people_filters import (
    ORDERS,
    ByAccount,
    ByActivity,
    ByComplaints,
    ByContributionLanguage,
    ByDuty,
    ByRole,
    ByStanding,
    JoinedSince,
    JoinedUntil,
    PeopleOrder,
)
from oasst.site.admin.purges import get_purges, purge_view
from trees.contributing import reviewers
from trees.models import Purge, ReviewerRecord
from trees.moderation import bans
from trees.moderation.badges import message_badge
from trees.moderation.offered_actions import is_purged
from trees.moderation.queries import latest_messages
from trees.queries import contribution_counts

PROPOSED = "proposed; it happens when another administrator does the same"
ROLE_TONES = {Role.GENERAL: "", Role.MODERATOR: "info", Role.ADMIN: "primary"}


def requires_proof_for_administrators(act: Callable[..., Any]) -> Callable[..., Any]:
    """Make an admin action ask for a recent proof of identity if an administrator is among the chosen users."""
    with_proof = requires_proof(act)

    @wraps(act)
    def guarded(model_admin: Any, request: HttpRequest, chosen: QuerySet[User]) -> Any:
        return (with_proof if chosen.filter(role=Role.ADMIN).exists() else act)(model_admin, request, chosen)

    return guarded


UNTIL = (
    ("", _("for good")),
    ("1", _("for a day")),
    ("7", _("for 7 days")),
    ("30", _("for 30 days")),
    ("date", _("until this day:")),
)
"""How long a suspension lasts: days from now, or a date beside it."""


class UserActionForm(ReasonForm):
    """The action bar of the list of people, with the end of a ban."""

    until = forms.ChoiceField(
        label="",
        required=False,
        choices=UNTIL,
        widget=forms.Select({"aria-label": _("How long a suspension lasts"), "x-show": "action === 'ban'"}),
    )
    until_date = forms.CharField(
        label="",
        required=False,
        widget=forms.DateInput(
            {"type": "date", "aria-label": _("Last day of the suspension"), "x-show": "action === 'ban'"}
        ),
    )


def _until(request: HttpRequest) -> datetime | None:
    """Return the end of a ban as the form says it: the end of the day in the moderator's time zone. None for a ban for
    good. Raise Invalid `until`.
    """
    chosen, day = request.POST.get("until", ""), request.POST.get("until_date", "")
    if chosen == "date":
        try:
            last = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time.min)
        except (ValueError, OverflowError):
            raise Invalid(
                gettext("Please choose the last day of the suspension."), code="until", field="until"
            ) from None
        return timezone.make_aware(last)
    if chosen not in dict(UNTIL):
        raise Invalid(gettext("Please choose how long the suspension lasts."), code="until", field="until")
    return timezone.now() + timedelta(days=int(chosen)) if chosen else None


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("name", "email", "logins", "rank", "standing", "created_at", "last_activity_at")
    change_list_template = FILTER_FORM
    list_filter = (
        *(PeopleOrder, ByRole, ByDuty, ByStanding, ByAccount, ByContributionLanguage),
        *(JoinedSince, JoinedUntil, ByActivity, ByComplaints),
    )
    search_fields = ("id",)
    search_help_text = _("The start of a name, with or without accents, of a login, an e-mail address, or an id")
    ordering = ("-id",)
    action_form = UserActionForm
    actions = ("warn", "ban", "unban", "withdraw")
    other_permissions = {"withdraw": ADMINISTER}  # only administrators propose
    destructive = ("ban",)
    fields = (
        *(
            "name",
            "email",
            ("rank", "standing"),
            ("duties_of", "languages_of"),
            ("ban_reason", "banned_at", "banned_until"),
            ("created_at", "last_activity_at"),
        ),
        *(("contribution_languages", "interface_language", "time_zone"), "show_on_leaderboard"),
        *("terms_version", "notes", "id"),
    )
    readonly_fields = ("name", "rank", "standing", "duties_of", "languages_of", "banned_until")
    change_form_outer_after_template = "accounts/admin/person.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FormChangeList]:
        return FormChangeList

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return ORDERS.get(request.GET.get(PeopleOrder.parameter_name, ""), self.ordering)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        found = find_people(search_term, queryset) if search_term.strip() else queryset
        return found.prefetch_related("identities"), False

    def details(self, obj: User) -> dict[str, Any]:
        purges, record = get_purges(obj), ReviewerRecord.objects.filter(person=obj).first()
        return {
            "counts": contribution_counts(obj),
            "record": record,
            "skills": reviewers.skills_for_moderators(obj) if record else [],
            "latest": [(message, message_badge(message)) for message in latest_messages(obj)],
            "bans": obj.bans.select_related("actor", "lifted_by").order_by("-id"),
            "warnings": obj.warnings.select_related("actor").order_by("-id"),
            "proposals": open_proposals(obj).select_related("proposer"),
            "purges": purges,
            "messages_url": f"{reverse('admin:trees_message_changelist')}?author={obj.pk}&lang=all",
            "purge_proposals": purge_proposals.open_proposals(obj).select_related("proposer"),
            "may_purge": not any(purge.stage in Purge.ACTIVE_STAGES for purge, _, _ in purges),
            "purge_url": reverse("admin:accounts_user_purge", args=[obj.pk]),
            "edit_url": reverse("admin:accounts_user_edit", args=[obj.pk]) if obj.is_active else "",
            "statistics": own_statistics.table_of(obj, own_counts(obj)),
        }

    def history_targets(self, obj: User) -> list[Target]:
        """Also what was done to accounts that were merged into this one, and the purges of all of them."""
        accounts = accounts_of(obj.pk)
        purges = Purge.objects.filter(person__in=accounts).values_list("pk", flat=True)
        kind = User._meta.label_lower
        return [*((kind, str(pk)) for pk in accounts), *((Purge._meta.label_lower, str(pk)) for pk in purges)]

    def get_urls(self) -> list[URLPattern]:
        purge = self.admin_site.admin_view(partial(purge_view, person_admin=self))
        change = self.admin_site.admin_view(partial(change_view, person_admin=self))
        return [
            path("<uuid:person_id>/purge/", purge, name="accounts_user_purge"),
            path("<uuid:person_id>/edit/", change, name="accounts_user_edit"),
            *super().get_urls(),
        ]

    def offered_actions(self, request: Any, obj: User) -> list[tuple[str, str]]:
        if obj.pk == request.user.pk:  # users cannot ban themselves
            return []
        acts = super().offered_actions(request, obj)
        if not needs_confirmation(obj, request.user):
            return [act for act in acts if act[0] != "withdraw"]
        proposers = set(open_proposals(obj).values_list("proposer", flat=True))
        if request.user.pk in proposers:
            return [act for act in acts if act[0] == "withdraw"]
        words = {"ban": "the suspension" if proposers else "a suspension", "unban": "the end of the suspension"}
        verb = "Confirm" if proposers else "Propose"
        return [(name, f"{verb} {words[name]}") for name, _ in acts if name in words]

    def can_do(self, action: str, obj: User, actor: User) -> bool:
        if action == "withdraw":
            return True
        if action == "warn":
            return has_higher_rank(actor, obj) and obj.is_active and obj.deleted_at is None
        if not (has_higher_rank(actor, obj) or needs_confirmation(obj, actor)):
            return False
        return obj.enabled if action == "ban" else not obj.enabled and not is_purged(obj)

    def extra_context(self, obj: User, actor: User) -> dict[str, Any]:
        suspends = obj.enabled and has_higher_rank(actor, obj)
        return {
            "may_decide": has_higher_rank(actor, obj),
            "acts_more": "accounts/admin/until.html" if suspends else "",
            "until_choices": UNTIL,
        }

    @admin.display(description="Display name")
    def name(self, user: User) -> SafeString:
        return render_person(user)

    @admin.display(description=_("Logins"), empty_value="–")
    def logins(self, user: User) -> str | None:
        return ", ".join(sorted({one.username for one in user.identities.all()})[:3]) or None

    @admin.display(description="Role")
    def rank(self, user: User) -> SafeString:
        return badge(user.get_role_display(), ROLE_TONES[Role(user.role)])

    @admin.display(description=_("Duties"), empty_value="none")
    def duties_of(self, user: User) -> str | None:
        return ", ".join(str(Duty(duty).label) for duty in user.duties) or None

    @admin.display(description=_("Moderates"))
    def languages_of(self, user: User) -> str:
        if not user.is_moderator:
            return "–"
        langs = languages_of(user)
        return "every language" if langs is None else ", ".join(sorted(name_of(lang) for lang in langs))

    @admin.display(description="Standing")
    def standing(self, user: User) -> SafeString:
        if user.deleted_at is not None:
            return badge("closed")
        return badge("good", "success") if user.enabled else badge("suspended", "danger")

    @admin.action(description=_("Warn"))
    def warn(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> None:
            warnings.warn(user=user, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("warned"), act)

    @admin.action(description=_("Suspend"))
    @requires_proof_for_administrators
    def ban(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> str | None:
            done = bans.ban(user, actor=request.user, reason=reason, until=_until(request))
            return None if done else PROPOSED

        self.act_on_each(request, chosen, "suspended", act)

    @admin.action(description=_("Lift the suspension"))
    @requires_proof_for_administrators
    def unban(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> str | None:
            return None if bans.unban(user, actor=request.user, reason=reason) else PROPOSED

        self.act_on_each(request, chosen, "may take part again", act)

    @admin.action(description="Withdraw the proposal")
    @requires_proof_for_administrators
    def withdraw(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> None:
            bans.withdraw_proposal(user, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "your proposal is withdrawn", act)


@admin.register(ApiClient)
class ApiClientAdmin(ReadOnlyAdmin):
    actions = ("new_key",)
    acting_permission = OPERATE
    list_display = ("name", "enabled", "trusted", "frontend_type", "number_of_keys", "created_at")
    list_filter = ("enabled", "trusted")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "admin_email", "frontend_type", ("enabled", "trusted"), "number_of_keys", "created_at", "id")
    readonly_fields = ("number_of_keys",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        clients = super().get_queryset(request).filter(person=None)  # without those made for users' own tokens
        return clients.annotate(key_count=Count("keys"))

    def history_targets(self, obj: ApiClient) -> list[Target]:
        """Also what was done to its keys."""
        keys = obj.keys.values_list("pk", flat=True)
        return [*super().history_targets(obj), *((ApiKey._meta.label_lower, str(pk)) for pk in keys)]

    @admin.display(description="Keys")
    def number_of_keys(self, client: Any) -> int:
        return client.key_count

    @admin.action(description="Make another key")
    @requires_proof
    def new_key(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            _, key = create_api_key(client, name=reason[:100], actor=request.user)
            send_notice(request, request.user, "key_made", client=client.name)
            self.message_user(request, f"The key, which is told only now: {key}", messages.WARNING, SECRET_TAG)

        self.act_on_each(request, chosen, "has another key", act)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """API keys. Only their digests are stored, so a key cannot be shown."""

    actions = ("end_in_a_week", "revoke")
    acting_permission = OPERATE
    destructive = ("revoke",)
    list_display = ("prefix", "name", "api_client", "created_at", "expires_at", "last_used_at")
    list_select_related = ("api_client",)
    search_fields = ("prefix", "name", "api_client__name")
    ordering = ("-id",)
    fields = ("api_client", "name", "prefix", "created_at", "expires_at", "last_used_at")

    def can_do(self, action: str, obj: ApiKey, actor: User) -> bool:
        return obj.expires_at is None or obj.expires_at > timezone.now()

    @admin.action(description="Let it end in a week")
    def end_in_a_week(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            at = timezone.now() + timedelta(days=7)
            expire_api_key(key.api_client, key.pk, at, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "ends in a week", act)

    @admin.action(description="Revoke")
    def revoke(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            expire_api_key(key.api_client, key.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "revoked", act)


class ScheduleForm(forms.ModelForm):
    """The form of a periodic task: its times in the five parts of cron, and whether it is enabled."""

    times = forms.CharField(
        label="When",
        widget=UnfoldAdminTextInputWidget,
        help_text="Minute, hour, day of month, month, day of week, in UTC. “*/10 * * * *” is every ten minutes.",
    )

    reason = LineField(label=_("Reason"), widget=UnfoldAdminTextInputWidget, limit=500)

    class Meta:
        model = PeriodicTask
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if at := self.instance.crontab:
            parts = (at.minute, at.hour, at.day_of_month, at.month_of_year, at.day_of_week)
            self.fields["times"].initial = " ".join(parts)

    def clean_times(self) -> crontab:
        parts = self.cleaned_data["times"].split()
        try:
            minute, hour, day, month, weekday = parts
            return crontab(minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday)
        except (ValueError, ParseException) as error:
            raise forms.ValidationError("Please give five parts as cron has them, such as 20 3 * * *.") from error

    def save(self, commit: bool = True) -> Any:
        at = CrontabSchedule.from_schedule(self.cleaned_data["times"])
        if at.pk is None:
            at.save()
        self.instance.crontab = at
        return super().save(commit)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(ReadOnlyAdmin):
    """Administrators change when a job runs and switch it off; oasst.site.beat_schedule lists the jobs."""

    form = ScheduleForm
    list_display = ("name", "when", "enabled", "last_run_at", "ended_at", "took", "outcome")
    list_filter = ("enabled",)
    list_select_related = ("crontab", "interval", "solar", "clocked")
    ordering = ("name",)
    fields = ("name", "task", "times", "enabled", "reason", "last_run_at", "total_run_count", "description")
    list_per_page = 100  # all on one page
    readonly_fields = ("name", "task", "last_run_at", "total_run_count", "description")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(OPERATE))

    def save_model(self, request: Any, obj: PeriodicTask, form: Any, change: bool) -> None:
        before = PeriodicTask.objects.select_related("crontab").get(pk=obj.pk)
        was = {"enabled": before.enabled, "when": str(before.crontab)}
        super().save_model(request, obj, form, change)
        became = {"enabled": obj.enabled, "when": str(obj.crontab)}
        if was != became:
            record(
                acts.CHANGE_SCHEDULE,
                obj,
                actor=request.user,
                reason=form.cleaned_data["reason"],
                before={"schedule": {str(obj.pk): was}},
                after={"schedule": {str(obj.pk): became}},
            )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        runs = JobRecord.objects.filter(job=OuterRef("task"))
        columns = {f"run_{name}": runs.values(name) for name in ("ended_at", "seconds", "result", "failures")}
        return super().get_queryset(request).annotate(**{name: Subquery(column) for name, column in columns.items()})

    @admin.display(description="When")
    def when(self, task: PeriodicTask) -> str:
        return str(task.crontab.human_readable if task.crontab else task.scheduler)

    @admin.display(description="Last ended")
    def ended_at(self, task: Any) -> Any:
        return task.run_ended_at

    @admin.display(description="Took")
    def took(self, task: Any) -> str | None:
        return None if task.run_seconds is None else f"{task.run_seconds:.2f} s"

    @admin.display(description="Result")
    def outcome(self, task: Any) -> SafeString | None:
        if task.run_result is None:
            return None
        failed = task.run_result in ("failure", "retry")
        return badge(task.run_result, "danger" if failed else "success")


@admin.register(JobRecord)
class JobRecordAdmin(ReadOnlyAdmin):
    """The last run of every job, including those enqueued after a commit."""

    list_display = ("job", "ended_at", "seconds", "result", "runs", "failures", "failed_at")
    search_fields = ("job", "last_error")
    ordering = ("job",)
    fields = ("job", "ended_at", "seconds", "result", "runs", "failures", "succeeded_at", "failed_at", "last_error")


@admin.register(WaitingJob)
class WaitingJobAdmin(ReadOnlyAdmin):
    list_display = ("job", "args", "created_at", "due_at", "attempts")
    list_filter = ("job",)
    ordering = ("created_at",)
    fields = ("job", "args", "created_at", "due_at", "attempts")
