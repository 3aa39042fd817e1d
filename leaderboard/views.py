"""Pages: the boards, the statistics, and the reasons for a user's points."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from leaderboard import cached_statistics, own_statistics, queries, reasons, shown_points, site_statistics, streaks
from leaderboard import statistics_page as statistics
from leaderboard.badges import badges_of
from leaderboard.levels import level_of
from leaderboard.models import MEASURES
from leaderboard.points import KINDS, Kind, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Invalid
from oasst.core.text.languages import name_of
from oasst.core.text.validation import clean_language_tag
from trees.contributing import reviewers
from trees.models import ReviewerRecord
from trees.policies.reading import current_policy

SIZE = 20
LANGUAGES_CACHED = 600  # seconds
PAGES = 5  # enough, since the rows around the viewer are always shown
FRAME_NAMES = {
    Frame.DAY: gettext_lazy("Last 24 hours"),
    Frame.WEEK: gettext_lazy("7 days"),
    Frame.MONTH: gettext_lazy("30 days"),
    Frame.TOTAL: gettext_lazy("All time"),
}
MEASURE_NAMES = {
    "points": gettext_lazy("Points"),
    "quality": gettext_lazy("Quality"),
    "writing": gettext_lazy("Writing"),
    "reviewing": gettext_lazy("Reviewing"),
    "ranking": gettext_lazy("Ranking"),
}


@login_required
@require_safe
def leaderboard(request: SignedInRequest) -> HttpResponse:
    frame, measure = request.GET.get("frame", Frame.DAY), request.GET.get("by", "points")
    number = request.GET.get("page", "1")
    if frame not in list(Frame) or measure not in MEASURES or number not in map(str, range(1, PAGES + 1)):
        raise Invalid(_("There is no such board."), code="no_such_board")
    lang = clean_language_tag(request.GET["lang"]) if request.GET.get("lang") else ""
    page, chosen = int(number), {"frame": frame, "by": measure, "lang": lang}

    def address(**change: Any) -> str:
        return f"{reverse('leaderboard')}?{urlencode({k: v for k, v in {**chosen, **change}.items() if v})}"

    board = queries.board(
        Frame(frame), viewer=request.user, lang=lang, measure=measure, start=(page - 1) * SIZE, size=SIZE
    )
    context = {
        "board": board,
        "hidden": not request.user.show_on_leaderboard,
        "frames": [(name, key == frame, address(frame=key.value)) for key, name in FRAME_NAMES.items()],
        "measures": [(name, key == measure, address(by=key)) for key, name in MEASURE_NAMES.items()],
        "languages": [(tag, name_of(tag), tag == lang) for tag in _languages(request.user, lang)],
        "chosen": chosen,
        "lang_name": name_of(lang) if lang else "",
        "measure": measure,
        "measure_name": MEASURE_NAMES[measure],
        "rules": _rules(),
        "frame_name": FRAME_NAMES[Frame(frame)],
        "previous_url": address(page=page - 1) if page > 1 else "",
        "next_url": address(page=page + 1) if board.more and page < PAGES else "",
    }
    return render(request, "leaderboard/board.html", context)


def _rules() -> list[Kind]:
    """Return what counts for points or quality."""
    return [kind for kind in KINDS.values() if kind.points or kind.quality]


def _languages(user: User, lang: str) -> list[str]:
    """Return the languages whose boards are offered: the user's own first, then those with accepted messages by their
    number. No statement while they are in the cache."""
    tags = cache.get_or_set("board-languages", _languages_by_number, LANGUAGES_CACHED) or ()
    return list(dict.fromkeys([*user.contribution_languages, *([lang] if lang else []), *tags]))


def _languages_by_number() -> list[str]:
    statistics = cached_statistics.read_all([site_statistics.human_messages_by_lang.__name__])
    numbers: dict[str, int] = statistics[0].data if statistics else {}
    return sorted(numbers, key=lambda tag: (-numbers[tag], tag))


@login_required
@require_safe
def points(request: SignedInRequest) -> HttpResponse:
    """Show level, streak, badges, and the reason for each point."""
    user, now = request.user, timezone.now()
    counts = queries.own_counts(user, frames=[Frame.TOTAL])[Frame.TOTAL]
    total = score_of(counts, "points")
    shown_points.keep(user.pk, total)
    streak = streaks.streak_of(user, now)
    page = reasons.reasons_of(user, before=request.GET.get("older", ""))
    record = ReviewerRecord.objects.filter(person=user).first()
    context = {
        "level": level_of(total),
        "provisional": counts["provisional"],
        "quality": score_of(counts, "quality"),
        "streak": streak,
        "badges": badges_of(counts, streak),
        "reasons": page.reasons,
        "older_url": f"{reverse('points')}?{urlencode({'older': page.older})}" if page.older else "",
        "newest_url": reverse("points") if request.GET.get("older") else "",
        "rules": _rules(),
        "record": record,
        "differences": reviewers.notable_differences(user),
        "checks": reviewers.summary_of_checks(record),
        "reviews_are_weighed": _are_weighed(user),
    }
    return render(request, "leaderboard/points.html", context)


def _are_weighed(user: User) -> bool:
    """Return True if reviews are weighed in a language that this user works in."""
    policy, languages = current_policy(), {user.working_language, *user.contribution_languages}
    return any(policy.in_language(language).weighted_reviews for language in languages)


@login_required
@require_safe
def own_figures(request: SignedInRequest) -> HttpResponse:
    table = own_statistics.table_of(request.user, queries.own_counts(request.user))
    context = {"statistics": table, "hidden": not request.user.show_on_leaderboard}
    return render(request, "leaderboard/own_statistics.html", context)


@require_safe
def statistics_page(request: HttpRequest) -> HttpResponse:
    return render(request, "leaderboard/statistics.html", {"page": statistics.page()})


@require_safe
def statistics_csv(request: HttpRequest, name: str) -> HttpResponse:
    response = HttpResponse(statistics.as_csv(name), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
