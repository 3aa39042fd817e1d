"""The moderators' site at /admin/: who gets in, what the start page and the sidebar show.

Named by `default_site` (oasst.site.admin_config); apps say `admin.site` and do not know it.
"""

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from inference.models import ChatReport
from oasst.accounts.access import require_member
from oasst.accounts.administrator_bans import open_proposals
from oasst.accounts.authentication import reauthentication
from oasst.accounts.authentication.proof import is_proved
from oasst.accounts.authentication.second_factor import must_set_one_up
from oasst.accounts.models import User
from oasst.core.errors import DomainError, NotAllowed
from oasst.core.http.middleware import ContentSecurity
from oasst.core.read_only_admin import ReadOnlyAdmin
from oasst.site.first_steps import find_first_steps
from trees.lifecycle.states import TABLE
from trees.moderation.badges import TONES
from trees.moderation.queries import queues
from trees.outbox import webhooks

View = Callable[..., HttpResponseBase]

# The scripts of django-unfold evaluate attributes of its pages (Alpine.js makes functions of them, on every page), and
# its pages bring some style along. So they have this policy, and nothing else below /admin/ has. Everything that people
# wrote is escaped there, never rendered, and scripts still come from us alone.
POLICY = f"{ContentSecurity.POLICY}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"

# Title, icon, model, and the page where it is not the list of the model. Whoever may not see a model does not see its
# line.
NAVIGATION = (
    (
        "Conversations",
        (
            ("Reports", "flag", "trees.report"),
            ("Proposed removals", "gavel", "trees.proposal"),
            ("Withdrawals", "undo", "trees.withdrawal"),
            ("Conversations", "account_tree", "trees.messagetree"),
            ("Messages", "chat", "trees.message"),
            ("Deletions", "delete", "trees.deletion"),
            ("Steps", "timeline", "trees.treetransition"),
        ),
    ),
    (
        "People and programs",
        (
            ("People", "group", "accounts.user"),
            ("Purges", "person_remove", "trees.purge"),
            ("Complaints by author", "thumb_down", "leaderboard.trollstanding"),
            ("API clients", "smart_toy", "accounts.apiclient"),
            ("API keys", "key", "accounts.apikey"),
            ("Webhooks", "webhook", "trees.webhook"),
            ("Deliveries", "outgoing_mail", "trees.delivery"),
        ),
    ),
    (
        "Chat",
        (
            ("Reported answers", "report", "inference.chatreport"),
            ("Engines", "memory", "inference.turn", "admin:inference_engine"),
            ("Answers", "forum", "inference.turn"),
            ("Presets", "tune", "inference.preset"),
            ("Thumbs", "thumbs_up_down", "inference.vote"),
        ),
    ),
    (
        "Site",
        (
            ("Periodic tasks", "schedule", "django_celery_beat.periodictask"),
            ("Runs of jobs", "history", "core.jobrecord"),
            ("Waiting jobs", "hourglass", "core.waitingjob"),
        ),
    ),
)


class ModeratorsSite(UnfoldAdminSite):
    index_title = "What waits for you"
    index_template = "admin/queues.html"

    def register(
        self, model_or_iterable: type[Model] | Iterable[type[Model]], admin_class: Any = None, **options: Any
    ) -> None:
        """Only pages that were made for this site. What libraries register shows secrets of linked accounts, starts
        jobs, and knows nothing of our roles.
        """
        if admin_class is not None and issubclass(admin_class, ReadOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        try:
            require_member(request.user)
        except DomainError:
            return False
        return request.user.is_staff

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Strangers sign in at our own door and come back. Whoever is signed in and may not enter is told so: the door
        would send them back here, and so on.
        """
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                require_member(request.user)
                raise NotAllowed("This is for moderators.", code="moderators_only")
            if must_set_one_up(request.user):
                messages.warning(request, "Moderators of this site need a second factor. Please set one up first.")
                return redirect("mfa_index")
            if not is_proved(request, reauthentication.ADMIN_HOURS * 3600):
                return reauthentication.ask(request)
            response = inner(request, *args, **kwargs)
            if response.status_code == 200 and response.get("Content-Type", "").startswith("text/html"):
                response["Content-Security-Policy"] = POLICY
            return response

        return update_wrapper(guarded, inner)

    def _search_apps(self, app_list: list[dict[str, Any]], search_term: str) -> list[Any]:
        """What the search found, as the cache can keep it: the library keeps objects of its own."""
        return [
            {"title": str(one.title), "description": str(one.description), "link": one.link, "icon": one.icon}
            for one in super()._search_apps(app_list, search_term)
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect_to_login(reverse("admin:index"))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        return LogoutView.as_view(next_page=settings.ACCOUNT_LOGOUT_REDIRECT_URL)(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        person = request.user
        assert isinstance(person, User)  # nobody else gets here
        waiting = queues()
        states = [
            {
                "label": row.label,
                "meaning": row.meaning,
                "tone": TONES[state],
                "count": waiting.trees.get(state, 0),
                "url": f"{reverse('admin:trees_messagetree_changelist')}?state={state}",
            }
            for state, row in TABLE.items()
        ]
        context = {
            "waiting": waiting,
            "states": states,
            "chat_reports": ChatReport.open_ones(),
            "steps": find_first_steps(person, person.working_language, has_trees=bool(waiting.trees)),
            **(extra_context or {}),
        }
        if request.user.is_superuser:
            context["webhooks_off"] = webhooks.gave_up().count()
            context["proposals"] = open_proposals().select_related("user")
        return super().index(request, context)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar of this person. Named by UNFOLD."""
    first: dict[str, Any] = {"title": "Queues", "icon": "inbox", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"title": "", "items": [first]}]
    for title, lines in NAVIGATION:
        items = []
        for name, icon, model, *page in lines:
            app, _, model_name = model.partition(".")
            if request.user.has_perm(f"{app}.view_{model_name}"):
                link = reverse(page[0] if page else f"admin:{app}_{model_name}_changelist")
                items.append({"title": name, "icon": icon, "link": link})
        if items:
            groups.append({"title": title, "items": items})
    # Of addresses that begin alike the longest is where one is.
    links = [str(item["link"]) for group in groups for item in group["items"]]
    start, *others = links
    here = max((one for one in others if request.path.startswith(one)), key=len, default=start)
    for group in groups:
        for item in group["items"]:
            item["active"] = item["link"] == here
    return groups
