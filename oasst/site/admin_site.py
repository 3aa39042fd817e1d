"""The admin site at /admin/: who may enter, what its start page and sidebar show.

`default_site` in oasst.site.admin_config names it; apps use `admin.site`.
"""

from collections.abc import Callable, Iterable
from functools import update_wrapper
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from oasst.accounts.access import require_member
from oasst.accounts.administrator_bans import shown_at_start
from oasst.accounts.authentication import reauthentication
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.authentication.second_factor import must_set_up
from oasst.accounts.groups import MODERATE
from oasst.accounts.models import User
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.http.middleware import ContentSecurityPolicy
from oasst.core.read_only_admin import ReadOnlyAdmin
from oasst.site import waiting_decisions
from oasst.site.bulk import views as bulk_views
from oasst.site.desk import views as desk
from oasst.site.first_steps import find_first_steps
from oasst.site.operation import views as operation
from oasst.site.overview.page import overview
from oasst.site.overview.views import ban_proposal_view, undo_view
from oasst.site.status import status_view

SEE_QUEUES = "trees.view_message"
View = Callable[..., HttpResponseBase]

# The pages of django-unfold evaluate attributes (Alpine.js) and have inline styles, so only they get this weaker
# policy. There, users' texts are always escaped and never rendered, and scripts still come only from us.
POLICY = f"{ContentSecurityPolicy.POLICY}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"

# Title, icon, model or permission, and the URL name if it is not the list of the model. A line is hidden from users who
# may not view the model.
NAVIGATION = (
    (
        _("Conversations"),
        (
            (_("Reports"), "flag", "trees.report"),
            (_("Proposed removals"), "gavel", "trees.proposal"),
            (_("Withdrawals"), "undo", "trees.withdrawal"),
            (_("Repeated messages"), "content_copy", "trees.nearduplicate"),
            (_("Hard questions"), "live_help", "trees.hardprompt"),
            (_("Status"), "bar_chart", "trees.messagetree", "admin:status"),
            (_("Open work"), "work_history", "trees.opening"),
            (_("Conversations"), "account_tree", "trees.messagetree"),
            (_("Messages"), "chat", "trees.message"),
            (_("Acts on many"), "done_all", MODERATE, "admin:bulk_acts"),
            (_("Gold messages"), "verified", "trees.goldmessage"),
            (_("Practice texts"), "school", "trees.practicetext"),
            (_("Removals"), "delete", "trees.deletion"),
            (_("Steps"), "timeline", "trees.treetransition"),
            (_("Predictions"), "insights", "trees.qualitymodel"),
            (_("Snapshots"), "inventory_2", "trees.snapshot"),
        ),
    ),
    (
        _("People and programs"),
        (
            (_("People"), "group", "accounts.user"),
            (_("Appeals"), "balance", "accounts.appeal"),
            (_("Warnings"), "campaign", "accounts.accountwarning"),
            (_("Purges"), "person_remove", "trees.purge"),
            (_("Complaints by author"), "thumb_down", "leaderboard.trollstanding"),
            (_("API clients"), "smart_toy", "accounts.apiclient"),
            (_("API keys"), "key", "accounts.apikey"),
            (_("Webhooks"), "webhook", "trees.webhook"),
            (_("Deliveries"), "outgoing_mail", "trees.delivery"),
        ),
    ),
    (
        _("Chat"),
        (
            (_("Reported answers"), "report", "inference.chatreport"),
            (_("Models"), "model_training", "inference.servedmodel"),
            (_("Evaluations"), "rule", "inference.evaluation"),
            (_("Engines"), "memory", "inference.turn", "admin:inference_engine"),
            (_("Answers"), "forum", "inference.turn"),
            (_("Trainings"), "model_training", "inference.trainingrun"),
            (_("Comparisons"), "balance", "inference.battle"),
            (_("Boards of models"), "leaderboard", "inference.battleboard"),
            (_("Presets"), "tune", "inference.preset"),
            (_("Thumbs"), "thumbs_up_down", "inference.vote"),
        ),
    ),
    (
        _("Site"),
        (
            (_("Site settings"), "toggle_on", "accounts.sitesettings", "admin:accounts_sitesettings_now"),
            (_("Parameters"), "tune", "trees.policyversion", "admin:trees_policyversion_rules"),
            (_("Versions of the parameters"), "history_edu", "trees.policyversion"),
            (_("Audit log"), "fact_check", "core.auditentry"),
            (_("Operation"), "monitor_heart", "core.jobrecord", "admin:operation"),
            (_("Jobs"), "schedule", "core.jobrecord", "admin:jobs"),
            (_("Waiting jobs"), "hourglass", "core.waitingjob"),
        ),
    ),
)


class ModeratorsSite(UnfoldAdminSite):
    index_title = _("What waits for you")
    index_template = "admin/queues.html"

    def register(
        self, model_or_iterable: type[Model] | Iterable[type[Model]], admin_class: Any = None, **options: Any
    ) -> None:
        """Register only ReadOnlyAdmin pages: those that libraries register show secrets of linked accounts, start jobs
        and ignore our roles.
        """
        if admin_class is not None and issubclass(admin_class, ReadOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        at_desk = [
            path(f"desk/{route}", self.moderators_view(view), name=name)
            for route, view, name in (
                ("", desk.desk, "desk"),
                ("take/", desk.take, "desk_take"),
                ("decide/", desk.decide, "desk_decide"),
                ("undo/", desk.undo, "desk_undo"),
                ("renew/", desk.renew, "desk_renew"),
                ("leave/", desk.leave, "desk_leave"),
            )
        ]
        own = [path("status/", self.admin_view(status_view), name="status"), *bulk_views.urls(self.moderators_view)]
        undo = path("decisions/<int:decision_id>/undo/", self.moderators_view(undo_view), name="decision_undo")
        propose = self.moderators_view(ban_proposal_view)
        ban = path("ban-proposals/<int:ban_proposal_id>/", propose, name="ban_proposal")
        return [*own, *at_desk, undo, ban, *operation.urls(self.admin_view), *super().get_urls()]

    def list_titles(self) -> dict[str, str]:
        """Return the address of each list in the menu → its name there."""
        lines = [line for _, group in NAVIGATION for line in group if len(line) == 3]
        return {reverse(f"admin:{model.replace('.', '_')}_changelist"): str(title) for title, _, model in lines}

    def has_permission(self, request: HttpRequest) -> bool:
        try:
            require_member(request.user)
        except DomainError:
            return False
        return request.user.is_staff

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Wrap a view: anonymous users sign in first; signed-in users without permission get an error, because the
        sign-in page would send them back here in a loop.
        """
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                require_member(request.user)
                raise NotAllowed(gettext("This is for moderators."), code="moderators_only")
            if must_set_up(request.user):
                messages.warning(request, gettext("Who enters here needs a second factor. Please set one up first."))
                return redirect("mfa_index")
            if not is_recently_proved(request, reauthentication.ADMIN_HOURS * 3600):
                return reauthentication.redirect_to_proof(request)
            response = inner(request, *args, **kwargs)
            is_page = response.status_code in (HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY)
            if is_page and response.get("Content-Type", "").startswith("text/html"):
                response.headers.setdefault("Content-Security-Policy", POLICY)  # a report has a stricter one
            return response

        return update_wrapper(guarded, inner)

    def moderators_view(self, view: View) -> View:
        """Wrap a view of those who decide: auditors and operators get an error."""

        def for_moderators(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perm(MODERATE):
                raise NotAllowed(gettext("This is for moderators."), code="moderators_only")
            return view(request, *args, **kwargs)

        return self.admin_view(update_wrapper(for_moderators, view))

    def _search_apps(self, app_list: list[dict[str, Any]], search_term: str) -> list[Any]:
        """Return the results as plain dicts: the cache cannot store the library's own objects."""
        return [
            {"title": str(item.title), "description": str(item.description), "link": item.link, "icon": item.icon}
            for item in super()._search_apps(app_list, search_term)
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect_to_login(reverse("admin:index"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        return LogoutView.as_view(next_page=settings.ACCOUNT_LOGOUT_REDIRECT_URL)(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        user = request.user
        assert isinstance(user, User)  # admin_view lets nobody else in
        if not user.has_perm(SEE_QUEUES):  # operators
            return redirect("admin:operation")
        context = {**overview(user), **(extra_context or {})}
        context["steps"] = find_first_steps(user, user.working_language, has_trees=context["has_trees"])
        if user.has_perm(MODERATE):
            context["waiting_cards"] = waiting_decisions.cards_for(user)
        if user.is_superuser:
            context["proposals"] = shown_at_start(user).select_related("user", "proposer", "decided_by")
        return super().index(request, context)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the sidebar for this user; the UNFOLD setting names this function."""
    first: dict[str, Any] = {"title": gettext("Queues"), "icon": "space_dashboard", "link": reverse("admin:index")}
    at_desk: dict[str, Any] = {"title": gettext("Desk"), "icon": "inbox", "link": reverse("admin:desk")}
    top = [at_desk] if request.user.has_perm(MODERATE) else []
    if not request.user.has_perm(SEE_QUEUES):
        first = {"title": gettext("Operation"), "icon": "monitor_heart", "link": reverse("admin:operation")}
    groups: list[dict[str, Any]] = [{"title": "", "items": [*top, first]}]
    for title, lines in NAVIGATION:
        items = []
        for name, icon, model, *page in lines:
            app, _, model_name = model.partition(".")
            if request.user.has_perm(model if model == MODERATE else f"{app}.view_{model_name}"):
                link = reverse(page[0] if page else f"admin:{app}_{model_name}_changelist")
                if link != first["link"]:
                    items.append({"title": name, "icon": icon, "link": link})
        if items:
            groups.append({"title": title, "items": items})
    # The longest link that is a prefix of the path is the current one.
    links = [str(item["link"]) for group in groups for item in group["items"]]
    current = max((link for link in links if request.path.startswith(link)), key=len, default=first["link"])
    for group in groups:
        for item in group["items"]:
            item["active"] = item["link"] == current
    return groups
