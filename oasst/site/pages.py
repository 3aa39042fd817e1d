"""Pages that span the apps: the front page and the dashboard."""

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
from oasst.core.text.languages import BY_CODE, languages_of_browser, name_of
from oasst.core.text.validation import clean_language_tag
from oasst.site.first_steps import find_first_steps
from tasks import estimates
from tasks import queries as task_queries
from tasks.kinds import TABLE, Kind
from tasks.task_points import pay_of_asked
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
    """What needs doing, what waits for this person, what became of their work. Reads only."""
    person = request.user
    lang = clean_language_tag(request.GET.get("lang") or person.working_language)
    policy = current_policy()
    counts = task_queries.availability(person, lang, policy)
    # What the scores count anyway: cheaper than counting a person's messages, reviews and rankings on each visit.
    counted = board_queries.own_counts(person, frames=[Frame.TOTAL])[Frame.TOTAL]
    given = {
        "prompts": counted["prompts"],
        "replies": counted["replies_assistant"] + counted["replies_prompter"],
        "reviews": counted["labels_full"] + counted["labels_simple"],
        "rankings": counted["rankings_total"],
        "accepted": sum(number for kind, number in counted.items() if kind.startswith("accepted_")),
    }
    total = sum(counts.values())
    minutes = estimates.minutes(lang)
    recent = tree_queries.contributions_of(person, size=5).rows
    # Work on texts, and what one did, are about conversations: then nobody has to be asked whether there are any.
    has_trees = bool(recent) or total > counts[Kind.INITIAL_PROMPT] or None
    context: dict[str, Any] = {
        "person": person,
        "welcome": not any(given.values()),
        "lang": lang,
        "lang_name": name_of(lang),
        "languages": [(code, name_of(code), code == lang) for code in person.contribution_languages],
        "offered_languages": [] if person.contribution_languages else _offered_languages(request),
        # A new key for each view of the page: a double click takes one task, the next visit another.
        "idempotency_key": uuid4(),
        "cards": [_card(kind, number, minutes[kind], policy) for kind, number in counts.items() if number],
        "random": {"count": total - counts[Kind.INITIAL_PROMPT], "room": counts[Kind.INITIAL_PROMPT]},
        "nothing": None if total else task_queries.explain_nothing(person, lang, policy),
        "open_tasks": task_queries.latest_open_tasks(person),
        "contribution_counts": given,
        "level": level_of(board_queries.measure_of(counted, "points")),
        "streak": streak_of(person, timezone.now()),
        "recent": recent,
        "steps": find_first_steps(person, lang, has_trees=has_trees),
    }
    return render(request, "pages/dashboard.html", context)


def _offered_languages(request: SignedInRequest) -> list[tuple[str, str, str, bool]]:
    """(code, own name, English name, whether the browser asks for it), what the browser asks for first."""
    asked = languages_of_browser(request.headers.get("Accept-Language", "")) or [request.user.first_language]
    return [
        (code, BY_CODE[code].own_name, BY_CODE[code].english_name, code in asked)
        for code in dict.fromkeys([*asked, *BY_CODE])
    ]


def _card(kind: Kind, number: int, minutes: int, policy: TreePolicy) -> dict[str, Any]:
    row = TABLE[kind]
    return {
        "kind": kind.value,
        "title": row.title,
        "text": row.text,
        "count": number,
        "is_room": kind == Kind.INITIAL_PROMPT,  # nobody waits for a prompt
        "pay": pay_of_asked(kind, policy),
        "minutes": minutes,
        "category": row.category,
    }
