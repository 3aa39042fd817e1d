"""Admin pages of users. They are here because they show data of several apps."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import partial, wraps
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from leaderboard import own_statistics
from leaderboard.queries import own_counts
from oasst.accounts import warnings
from oasst.accounts.administrator_bans import needs_confirmation, open_proposals
from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.finding import find_people
from oasst.accounts.groups import ADMINISTER, Duty
from oasst.accounts.models import Role, User
from oasst.accounts.rights import languages_of
from oasst.accounts.roles import has_higher_rank
from oasst.core.audit.people import accounts_of
from oasst.core.audit.reading import Target
from oasst.core.errors import Invalid
from oasst.core.list_filters import FILTER_FORM, FormChangeList
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_person
from oasst.core.text.languages import name_of
from oasst.site import merge_proposals, waiting_decisions
from oasst.site.admin.account_changes import change_view
from oasst.site.admin.merges import merge_view
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

PROPOSED = _("proposed; it happens when another administrator does the same")
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
    actions = ("warn", "ban", "unban", "refuse", "withdraw")
    other_permissions = {"refuse": ADMINISTER, "withdraw": ADMINISTER}  # only administrators propose
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
        waiting, refused = waiting_decisions.waiting_about(obj)
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
            "open_decisions": waiting,
            "refused_decisions": refused,
            "is_merge_proposed": any(decision.kind == "merge" for decision in waiting),
            "may_purge": not any(purge.stage in Purge.ACTIVE_STAGES for purge, _, _ in purges),
            "merge_url": reverse("admin:accounts_user_merge", args=[obj.pk]),
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
        merge = self.admin_site.admin_view(partial(merge_view, person_admin=self))
        change = self.admin_site.admin_view(partial(change_view, person_admin=self))
        return [
            path("<uuid:person_id>/purge/", purge, name="accounts_user_purge"),
            path("<uuid:person_id>/merge/", merge, name="accounts_user_merge"),
            path("<uuid:person_id>/edit/", change, name="accounts_user_edit"),
            *super().get_urls(),
        ]

    def offered_actions(self, request: Any, obj: User) -> list[tuple[str, str]]:
        if obj.pk == request.user.pk:  # users cannot ban themselves
            return []
        acts = super().offered_actions(request, obj)
        if not needs_confirmation(obj, request.user):
            return [act for act in acts if act[0] not in ("refuse", "withdraw")]
        proposers = set(open_proposals(obj).values_list("proposer", flat=True))
        if request.user.pk in proposers:
            return [act for act in acts if act[0] == "withdraw"]
        if proposers:
            words = {
                "ban": gettext("Confirm the suspension"),
                "unban": gettext("Confirm the end of the suspension"),
                "refuse": gettext("Refuse"),
            }
        else:
            words = {"ban": gettext("Propose a suspension"), "unban": gettext("Propose the end of the suspension")}
        return [(name, words[name]) for name, _label in acts if name in words]

    def can_do(self, action: str, obj: User, actor: User) -> bool:
        if action in ("refuse", "withdraw"):
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
            "may_merge": has_higher_rank(actor, obj) and merge_proposals.is_mergeable(obj),
            "acts_more": "accounts/admin/until.html" if suspends else "",
            "until_choices": UNTIL,
        }

    @admin.display(description=_("Display name"))
    def name(self, user: User) -> SafeString:
        return render_person(user)

    @admin.display(description=_("Logins"), empty_value="–")
    def logins(self, user: User) -> str | None:
        return ", ".join(sorted({one.username for one in user.identities.all()})[:3]) or None

    @admin.display(description=_("Role"))
    def rank(self, user: User) -> SafeString:
        return badge(user.get_role_display(), ROLE_TONES[Role(user.role)])

    @admin.display(description=_("Duties"))
    def duties_of(self, user: User) -> str:
        return ", ".join(str(Duty(duty).label) for duty in user.duties) or gettext("none")

    @admin.display(description=_("Moderates"))
    def languages_of(self, user: User) -> str:
        if not user.is_moderator:
            return "–"
        langs = languages_of(user)
        return gettext("every language") if langs is None else ", ".join(sorted(name_of(lang) for lang in langs))

    @admin.display(description=_("Standing"))
    def standing(self, user: User) -> SafeString:
        if user.deleted_at is not None:
            return badge(gettext("closed"))
        return badge(gettext("good"), "success") if user.enabled else badge(gettext("suspended"), "danger")

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
            return None if done else str(PROPOSED)

        self.act_on_each(request, chosen, gettext("suspended"), act)

    @admin.action(description=_("Lift the suspension"))
    @requires_proof_for_administrators
    def unban(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> str | None:
            return None if bans.unban(user, actor=request.user, reason=reason) else str(PROPOSED)

        self.act_on_each(request, chosen, gettext("may take part again"), act)

    @admin.action(description=_("Refuse the proposal"))
    @requires_proof_for_administrators
    def refuse(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> None:
            bans.refuse_proposal(user, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("the proposal is refused"), act)

    @admin.action(description=_("Withdraw the proposal"))
    @requires_proof_for_administrators
    def withdraw(self, request: Any, chosen: QuerySet[User]) -> None:
        def act(user: User, reason: str) -> None:
            bans.withdraw_proposal(user, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("your proposal is withdrawn"), act)
