"""Pages: the boards, the statistics, and the reasons for a user's points."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from leaderboard import queries, reasons, streaks
from leaderboard import statistics_page as statistics
from leaderboard.badges import badges_of
from leaderboard.levels import level_of
from leaderboard.models import MEASURES
from leaderboard.points import KINDS
from leaderboard.time_frames import Frame
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Invalid
from oasst.core.text.languages import name_of
from oasst.core.text.validation import clean_language_tag
from trees.contributing import reviewers
from trees.lifecycle.policy import current_policy
from trees.models import ReviewerRecord

SIZE = 20
PAGES = 5  # enough, since the rows around the viewer are always shown
FRAME_NAMES = {Frame.DAY: "Last 24 hours", Frame.WEEK: "7 days", Frame.MONTH: "30 days", Frame.TOTAL: "All time"}
MEASURE_NAMES = {
    "points": "Points",
    "quality": "Quality",
    "writing": "Writing",
    "reviewing": "Reviewing",
    "ranking": "Ranking",
}


@login_required
@require_safe
def leaderboard(request: SignedInRequest) -> HttpResponse:
    frame, measure = request.GET.get("frame", Frame.DAY), request.GET.get("by", "points")
    number = request.GET.get("page", "1")
    if frame not in list(Frame) or measure not in MEASURES or number not in map(str, range(1, PAGES + 1)):
        raise Invalid("There is no such board.", code="no_such_board")
    lang = clean_language_tag(request.GET["lang"]) if request.GET.get("lang") else ""
    page, chosen = int(number), {"frame": frame, "by": measure, "lang": lang}

    def address(**change: Any) -> str:
        return f"{reverse('leaderboard')}?{urlencode({k: v for k, v in {**chosen, **change}.items() if v})}"

    board = queries.board(
        Frame(frame), viewer=request.user, lang=lang, measure=measure, start=(page - 1) * SIZE, size=SIZE
    )
    tags = dict.fromkeys(["", *request.user.contribution_languages, *([lang] if lang else [])])
    context = {
        "board": board,
        "highest": max((row.score for row in board.rows), default=0),
        "hidden": not request.user.show_on_leaderboard,
        "frames": [(name, key == frame, address(frame=key.value)) for key, name in FRAME_NAMES.items()],
        "measures": [(name, key == measure, address(by=key)) for key, name in MEASURE_NAMES.items()],
        "languages": [(name_of(tag) if tag else "All languages", tag == lang, address(lang=tag)) for tag in tags],
        "measure_name": MEASURE_NAMES[measure],
        "frame_name": FRAME_NAMES[Frame(frame)],
        "previous_url": address(page=page - 1) if page > 1 else "",
        "next_url": address(page=page + 1) if board.more and page < PAGES else "",
    }
    return render(request, "leaderboard/board.html", context)


@login_required
@require_safe
def points(request: SignedInRequest) -> HttpResponse:
    """Show level, streak, badges, and the reason for each point."""
    user, now = request.user, timezone.now()
    counts = queries.own_counts(user, frames=[Frame.TOTAL])[Frame.TOTAL]
    streak = streaks.streak_of(user, now)
    page = reasons.reasons_of(user, before=request.GET.get("older", ""))
    record = ReviewerRecord.objects.filter(person=user).first()
    context = {
        "level": level_of(queries.score_of(counts, "points")),
        "provisional": counts["provisional"],
        "quality": queries.score_of(counts, "quality"),
        "streak": streak,
        "badges": badges_of(counts, streak),
        "reasons": page.reasons,
        "older_url": f"{reverse('points')}?{urlencode({'older': page.older})}" if page.older else "",
        "newest_url": reverse("points") if request.GET.get("older") else "",
        "rules": [kind for kind in KINDS.values() if kind.points or kind.quality],
        "record": record,
        "differences": reviewers.notable_differences(user),
        "checks": reviewers.summary_of_checks(record),
        "reviews_are_weighed": current_policy().weighted_reviews,
    }
    return render(request, "leaderboard/points.html", context)


@require_safe
def statistics_page(request: HttpRequest) -> HttpResponse:
    page = statistics.page()
    return render(request, "leaderboard/statistics.html", {"sections": page.sections, "updated_at": page.updated_at})


@require_safe
def statistics_csv(request: HttpRequest, name: str) -> HttpResponse:
    response = HttpResponse(statistics.as_csv(name), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
