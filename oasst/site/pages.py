"""The front page and the dashboard, which use several apps."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from leaderboard import queries as board_queries
from leaderboard import shown_points
from leaderboard.goals import goal_of
from leaderboard.levels import level_of
from leaderboard.points import score_of
from leaderboard.streaks import streak_of
from leaderboard.time_frames import Frame
from leaderboard.top_five import top_five
from oasst.accounts.forms import LanguagesForm
from oasst.accounts.models import DAILY_GOAL, User
from oasst.accounts.profiles import MAX_DAILY_GOAL
from oasst.accounts.requests import SignedInRequest
from oasst.core.text.languages import accepted_languages, name_of
from oasst.core.text.validation import clean_language_tag
from oasst.site.first_steps import find_first_steps
from oasst.site.landing import render_main as main_of_landing
from oasst.site.recent_contributions import recent_contributions_of
from tasks import estimates
from tasks import queries as task_queries
from tasks.kinds import TABLE, Category, Kind
from tasks.supply import read_supply
from tasks.task_points import points_when_asked
from trees.lifecycle.policy import TreePolicy
from trees.policies.reading import current_policy

CATEGORIES: tuple[Category, ...] = ("write", "compare", "check")
"""The columns of the dashboard, from left to right."""


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Show visitors what this is; people who are signed in go to their dashboard. Sets no cookie."""
    if request.user.is_authenticated:
        return redirect("dashboard")
    context = {"main": main_of_landing(request), "page_url": f"{settings.PUBLIC_URL}{request.path}"}
    response = render(request, "pages/landing.html", context)
    patch_vary_headers(response, ["Accept-Language"])
    return response


@login_required
@require_safe
def dashboard(request: SignedInRequest) -> HttpResponse:
    """Show the user's available work, open tasks and recent contributions. Reads only."""
    user = request.user
    lang = clean_language_tag(request.GET.get("lang") or user.working_language)
    work = _work(user, lang)
    # From the scores, because counting the user's messages, reviews and rankings on each visit is slower.
    score_by_frame = board_queries.own_counts(user, frames=[Frame.TOTAL, Frame.DAY])
    score = score_by_frame[Frame.TOTAL]
    points = score_of(score, "points")
    shown_points.keep(user.pk, points)
    contributions = {
        "prompts": score["prompts"],
        "replies": score["replies_assistant"] + score["replies_prompter"],
        "reviews": score["labels_full"] + score["labels_simple"],
        "rankings": score["rankings_total"],
        "accepted": sum(number for kind, number in score.items() if kind.startswith("accepted_")),
    }
    recent = recent_contributions_of(user, lang, work["supply"])
    # Contributions, and work on texts, mean that there are trees; then this needs no query.
    has_trees = bool(recent) or bool(work["random"]["count"]) or None
    context: dict[str, Any] = {
        **work,
        **_columns(user, work),
        "welcome": not any(contributions.values()),
        "languages_form": None if user.contribution_languages else _languages_form(request),
        "open_tasks": task_queries.latest_open_tasks(user),
        "contribution_counts": contributions,
        "level": level_of(points),
        "points_today": score_of(score_by_frame[Frame.DAY], "points"),
        "top_five": top_five(user),
        "streak": streak_of(user, timezone.now()),
        "goal": goal_of(user, timezone.now()),
        "goal_default": DAILY_GOAL,
        "goal_limit": MAX_DAILY_GOAL,
        "recent": recent,
        "steps": find_first_steps(user, lang, has_trees=has_trees),
    }
    return render(request, "pages/dashboard.html", context)


@login_required
@require_safe
def dashboard_work(request: SignedInRequest) -> HttpResponse:
    """Return the work on offer as two pieces of the dashboard, for static/js/refresh.js; 204 if it is what the page
    shows already (`seen`). Reads only: two statements, some more if there is no work."""
    lang = clean_language_tag(request.GET.get("lang") or request.user.working_language)
    work = _work(request.user, lang)
    if request.GET.get("seen") == work["work_version"]:
        return HttpResponse(status=204)
    return render(request, "pages/dashboard_work.html", {**work, **_columns(request.user, work)})


def _columns(user: User, work: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context that sorts the cards into `columns`, and says why one is empty, or why all are (`nothing`)."""
    columns: dict[Category, list[dict[str, Any]]] = {name: [] for name in CATEGORIES}
    for card in work["cards"]:
        columns[card["category"]].append(card)
    if not work["cards"]:
        return {"nothing": task_queries.explain_no_work(user, work["lang"], current_policy()), "columns": []}
    empty = task_queries.explain_empty(user, work["lang"], [name for name, cards in columns.items() if not cards])
    return {
        "nothing": None,
        "columns": [{"category": name, "cards": cards, "nothing": empty.get(name)} for name, cards in columns.items()],
    }


def _work(user: User, lang: str) -> dict[str, Any]:
    """Return the context of the parts of the dashboard that offer work, without `columns` and `nothing`."""
    policy = current_policy()
    supply = read_supply(lang, policy)
    counts = task_queries.availability(user, lang, policy, supply)
    minutes = estimates.estimated_minutes(supply)
    total, room = sum(counts.values()), counts[Kind.INITIAL_PROMPT]
    shown = repr((lang, get_language(), *counts.values(), *minutes.values()))
    return {
        "lang": lang,
        "lang_name": name_of(lang),
        "supply": supply,
        # A new key for each view of the page: a double click takes only one task, the next visit takes another.
        "idempotency_key": uuid4(),
        "cards": [
            task_card(kind, number, minutes.get(kind, 0), supply.policy) for kind, number in counts.items() if number
        ],
        "random": {"count": total - room, "room": room},
        "work_version": sha256(shown.encode()).hexdigest()[:16],
    }


def _languages_form(request: SignedInRequest) -> LanguagesForm:
    """Return the question about languages, with those that the browser prefers."""
    preferred = accepted_languages(request.headers.get("Accept-Language", "")) or [request.user.first_language]
    return LanguagesForm(initial={"languages": preferred})


def task_card(kind: Kind, number: int, minutes: int, policy: TreePolicy) -> dict[str, Any]:
    """Return the context of the card that offers tasks of this kind."""
    row = TABLE[kind]
    return {
        "kind": kind.value,
        "title": row.title,
        "text": row.text,
        "count": number,
        "is_room": kind == Kind.INITIAL_PROMPT,  # nobody waits for a prompt
        "pay": points_when_asked(kind, policy),
        "minutes": minutes,  # 0 if nobody knows
        "category": row.category,
    }
