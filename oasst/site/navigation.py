"""The main navigation, and the user's points and languages in the header."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from inference.context_processors import chat
from leaderboard import queries as board_queries
from leaderboard import shown_points
from leaderboard.levels import Level, level_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.accounts.site_settings.reading import current
from oasst.core.text.languages import name_of


@dataclass(frozen=True)
class Entry:
    """One entry of the navigation. `current` is a value of `aria-current`: "page", "true" below it, or empty."""

    label: str
    url: str
    icon: str
    current: str
    is_inline: bool


@dataclass(frozen=True)
class Navigation:
    entries: tuple[Entry, ...]
    page: str
    """The label of the current entry, or the name of a page that has none; empty if it has no name."""

    @property
    def inline(self) -> list[Entry]:
        """Return the entries that stand in the header of a wide screen. The others are in a menu beside them."""
        return [entry for entry in self.entries if entry.is_inline]

    @property
    def more(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.is_inline]

    @property
    def more_is_current(self) -> bool:
        return any(entry.current for entry in self.more)


@dataclass(frozen=True)
class _Place:
    """An entry before a request: URL name, label, icon, and the paths that belong to it."""

    name: str
    label: str
    icon: str
    below: tuple[str, ...] = ()
    for_visitors: bool = True
    is_inline: bool = True


_PLACES = (
    _Place("dashboard", gettext_noop("Dashboard"), "home", ("/tasks/",), for_visitors=False),
    _Place("explore", gettext_noop("Explore"), "compass", ("/explore/", "/trees/", "/messages/")),
    _Place("chats", gettext_noop("Chat"), "chat", ("/chat/",), for_visitors=False),
    _Place("contributions", gettext_noop("My contributions"), "pencil", ("/me/contributions/",), for_visitors=False),
    _Place("leaderboard", gettext_noop("Leaderboard"), "trophy", ("/leaderboard/",), for_visitors=False),
    _Place("statistics", gettext_noop("Statistics"), "chart", ("/statistics/",), is_inline=False),
    _Place("guidelines", gettext_noop("Guidelines"), "book", ("/guidelines/",), is_inline=False),
    _Place("snapshots", gettext_noop("Data"), "data", ("/data/",), is_inline=False),
)
# Pages outside the navigation, whose name stands on the button of the menu.
_OTHER_PAGES = {
    "profile": gettext_noop("Profile"),
    "languages": gettext_noop("Profile"),
    "points": gettext_noop("My points"),
    "own_statistics": gettext_noop("My statistics"),
    "reports": gettext_noop("My reports"),
    "notices": gettext_noop("Notices"),
    "own_data": gettext_noop("My data"),
    "thanks": gettext_noop("Thanks"),
    "practice_item": gettext_noop("Practice"),
    "practice_ranking": gettext_noop("Practice"),
    "practice_verdict": gettext_noop("Practice"),
    "onboarding": gettext_noop("Welcome"),
    "tree": gettext_noop("Conversation"),
    "tokens": gettext_noop("API tokens"),
    "sessions": gettext_noop("Sessions"),
    "terms": gettext_noop("Terms"),
    "privacy": gettext_noop("Privacy"),
    "about": gettext_noop("About"),
    "team": gettext_noop("Team"),
    "report_fault": gettext_noop("Report a fault"),
    "api-docs": gettext_noop("For programs"),
    "api-docs-chat": gettext_noop("For programs"),
    "api-docs-openai": gettext_noop("For programs"),
}


def main_navigation(request: HttpRequest) -> Navigation:
    """Return the navigation of this user. No statement."""
    is_in = request.user.is_authenticated
    site = current()
    hidden = set()
    if not chat(request)["chat_is_on"]:
        hidden.add("chats")
    if site.ended:
        hidden.add("dashboard")
    # Visitors have few entries, so all of them stand in the header.
    entries = tuple(
        Entry(_(place.label), reverse(place.name), place.icon, _current(request, place), place.is_inline or not is_in)
        for place in _PLACES
        if place.name not in hidden and (is_in or place.for_visitors)
    )
    named = next((entry.label for entry in entries if entry.current), "")
    match = request.resolver_match
    other = _OTHER_PAGES.get(match.url_name or "", "") if match else ""
    return Navigation(entries, named or (_(other) if other else ""))


def own_level(request: HttpRequest) -> Level | None:
    """Return the signed-in user's level with their points. One statement after they changed, or a minute."""
    user = request.user
    if not isinstance(user, User):
        return None
    points = shown_points.find(user.pk)
    if points is None:
        counts = board_queries.own_counts(user, frames=[Frame.TOTAL])[Frame.TOTAL]
        points = board_queries.score_of(counts, "points")
        shown_points.keep(user.pk, points)
    return level_of(points)


def work_languages(request: HttpRequest) -> list[tuple[str, str, bool]]:
    """Return (code, name, whether chosen) of the user's languages; an empty list for visitors."""
    user = request.user
    if not isinstance(user, User):
        return []
    return [(code, name_of(code), code == user.working_language) for code in user.contribution_languages]


def _current(request: HttpRequest, place: _Place) -> str:
    match = request.resolver_match
    if match is not None and match.url_name == place.name:
        return "page"
    return "true" if place.below and request.path.startswith(place.below) else ""
