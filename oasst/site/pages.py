"""The front page and the dashboard, which use several apps."""

from typing import Any
from uuid import uuid4

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from leaderboard import queries as board_queries
from leaderboard.levels import level_of
from leaderboard.streaks import streak_of
from leaderboard.time_frames import Frame
from oasst.accounts.requests import SignedInRequest
from oasst.core.text.languages import BY_CODE, accepted_languages, name_of
from oasst.core.text.validation import clean_language_tag
from oasst.site.first_steps import find_first_steps
from tasks import estimates
from tasks import queries as task_queries
from tasks.kinds import TABLE, Kind
from tasks.task_points import points_when_asked
from trees import queries as tree_queries
from trees.lifecycle.policy import TreePolicy, current_policy


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("dashboard")
    return render(request, "pages/landing.html")


@login_required
@require_safe
def dashboard(request: SignedInRequest) -> HttpResponse:
    """Show the user's available work, open tasks and recent contributions. Reads only."""
    user = request.user
    lang = clean_language_tag(request.GET.get("lang") or user.working_language)
    policy = current_policy()
    counts = task_queries.availability(user, lang, policy)
    # From the scores, because counting the user's messages, reviews and rankings on each visit is slower.
    score = board_queries.own_counts(user, frames=[Frame.TOTAL])[Frame.TOTAL]
    contributions = {
        "prompts": score["prompts"],
        "replies": score["replies_assistant"] + score["replies_prompter"],
        "reviews": score["labels_full"] + score["labels_simple"],
        "rankings": score["rankings_total"],
        "accepted": sum(number for kind, number in score.items() if kind.startswith("accepted_")),
    }
    total = sum(counts.values())
    minutes = estimates.estimated_minutes(lang)
    recent = tree_queries.contributions_of(user, size=5).rows
    # Contributions, and work on texts, mean that there are trees; then this needs no query.
    has_trees = bool(recent) or total > counts[Kind.INITIAL_PROMPT] or None
    context: dict[str, Any] = {
        "person": user,
        "welcome": not any(contributions.values()),
        "lang": lang,
        "lang_name": name_of(lang),
        "languages": [(code, name_of(code), code == lang) for code in user.contribution_languages],
        "offered_languages": [] if user.contribution_languages else _offered_languages(request),
        # A new key for each view of the page: a double click takes only one task, the next visit takes another.
        "idempotency_key": uuid4(),
        "cards": [task_card(kind, number, minutes[kind], policy) for kind, number in counts.items() if number],
        "random": {"count": total - counts[Kind.INITIAL_PROMPT], "room": counts[Kind.INITIAL_PROMPT]},
        "nothing": None if total else task_queries.explain_no_work(user, lang, policy),
        "open_tasks": task_queries.latest_open_tasks(user),
        "contribution_counts": contributions,
        "level": level_of(board_queries.score_of(score, "points")),
        "streak": streak_of(user, timezone.now()),
        "recent": recent,
        "steps": find_first_steps(user, lang, has_trees=has_trees),
    }
    return render(request, "pages/dashboard.html", context)


def _offered_languages(request: SignedInRequest) -> list[tuple[str, str, str, bool]]:
    """Return (code, own name, English name, whether the browser prefers it) of each language, preferred ones first."""
    preferred = accepted_languages(request.headers.get("Accept-Language", "")) or [request.user.first_language]
    return [
        (code, BY_CODE[code].own_name, BY_CODE[code].english_name, code in preferred)
        for code in dict.fromkeys([*preferred, *BY_CODE])
    ]


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
        "minutes": minutes,
        "category": row.category,
    }
