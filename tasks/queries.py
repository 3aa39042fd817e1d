"""The available work of a user, and why there is none. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import NotFound
from tasks import hot, supply_messages
from tasks.kinds import TABLE, Kind, work_of
from tasks.models import Task
from tasks.supply import Supply, read_supply
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import Work
from trees.models import Opening

PENDING_WINDOW = timedelta(seconds=300)
MAX_PENDING = 8
"""A user who began this many tasks within the window, and finished none of them, gets no more."""


def availability(user: User, lang: str, policy: TreePolicy) -> dict[Kind, int]:
    """Return kind → the number of messages on which this user could do it now, exact below 100. Two statements."""
    counts = dict.fromkeys(Kind, 0) | hot.count_available_messages(user, lang, timezone.now())
    supply = read_supply(lang, policy)
    counts[Kind.INITIAL_PROMPT] = supply.prompts_wanted()
    # A request for work draws and activates first, so these count although they have no openings yet.
    counts[Kind.ASSISTANT_REPLY] += supply.prompts_to_draw()
    counts[Kind.RANK_ASSISTANT_REPLIES] += min(1, supply.trees_to_activate())
    return counts


@dataclass(frozen=True)
class NoWork:
    """Why there is no work, and what would bring some."""

    title: str
    text: str
    unlock: str


def count_work(counts: dict[Kind, int], kind: Kind | None) -> int:
    """Return the number for this kind in the result of `availability`, or the sum for None."""
    return sum(counts.values()) if kind is None else counts[kind]


def has_too_many_pending(user: User) -> bool:
    """Return True if the user has too many open tasks of the last minutes to get more now."""
    return Task.objects.count_begun(user, timezone.now() - PENDING_WINDOW) >= MAX_PENDING


def explain_busy() -> NoWork:
    return NoWork(
        "You have begun many tasks at once",
        f"If you begin {MAX_PENDING} tasks within {PENDING_WINDOW.seconds // 60} minutes, you get no more for a while.",
        "Finish or skip some of them first.",
    )


def explain_no_work(user: User, lang: str, policy: TreePolicy, kind: Kind | None = None) -> NoWork:
    """Return why there is no work for this user. Call it only when `availability` is empty or a request was refused: it
    does not check that.
    """
    works = list(Work) if kind is None else [work for work in [work_of(kind)] if work]  # empty for a first prompt
    now = timezone.now()
    causes = hot.count_unavailable_by_cause(user, lang, works, now)
    causes.pop("free", None)  # free only since the request
    if causes:
        return NoWork(
            "The rest has to be done by somebody else",
            _listed_causes(causes),
            ("Finish or skip what you have begun. " if causes.get("begun") else "")
            + "It moves on as soon as another contributor joins in. Bring a friend, or try another language."
            + _other_languages(user, lang, now),
        )
    holders, fitting = hot.count_holders(user, lang, works, now)
    if holders:
        return NoWork(
            "Others are on it right now",
            f"{holders} {'person is' if holders == 1 else 'people are'} working on what is open.",
            f"When they finish{' or leave' if fitting else ''}, new work appears. Look again in a few minutes."
            + _other_languages(user, lang, now),
        )
    begun = open_tasks(user).filter(lang=lang, **({"kind": kind.value} if kind else {})).count()
    if begun:
        return NoWork(
            "What is open is yours already",
            f"{begun} {'task' if begun == 1 else 'tasks'} that you have begun {'waits' if begun == 1 else 'wait'} "
            "for you, and there is nothing else.",
            "Finish or skip what you have begun." + _other_languages(user, lang, now),
        )
    supply = read_supply(lang, policy)
    if kind in (None, Kind.INITIAL_PROMPT):
        return NoWork(
            "There are enough openers for now",
            supply_messages.why_enough(supply),
            supply_messages.what_makes_room(supply, lang),
        )
    return NoWork(
        "Nothing of this kind is open",
        f"Nobody needs “{TABLE[kind].title.lower()}” in this language right now.",
        _what_brings_some(user, lang, policy, supply) + _other_languages(user, lang, now),
    )


def _what_brings_some(user: User, lang: str, policy: TreePolicy, supply: Supply) -> str:
    if supply.prompts_wanted():
        return "Start a conversation: once it is accepted it brings work for everybody."
    if count_work(availability(user, lang, policy), None):
        return "Take any other work: replying and checking bring conversations there."
    return "It comes when other contributors move their conversations on. Look again later."


_CAUSES = {
    "own": "about your own words, which others judge",
    "done": "about what you judged or answered already",
    "skipped": "about what you skipped",
    "begun": "among the tasks that you have begun",
}


def _listed_causes(causes: dict[str, int]) -> str:
    number = sum(causes.values())
    parts = [f"{causes[name]} {words}" for name, words in _CAUSES.items() if causes.get(name)]
    return f"{number} {'place is' if number == 1 else 'places are'} open and not for you: {', '.join(parts)}."


def _other_languages(user: User, lang: str, now: datetime) -> str:
    """Return a sentence about free openings in the user's other languages, or an empty text."""
    others = [other for other in user.contribution_languages if other != lang]
    if not others:
        return ""
    free = Opening.objects.filter(Q(held_until=None) | Q(held_until__lte=now), lang__in=others).order_by("lang")
    counts = dict(free.values_list("lang").annotate(number=Count("pk")))
    listed = ", ".join(f"{counts[other]} in {other}" for other in others if other in counts)
    return f" Open in your other languages: {listed}." if listed else ""


# The same for tasks of others and for unknown ids, so that nobody can find out which tasks exist.
TASK_NOT_FOUND_TEXT = (
    "This was begun by another account, or it never existed. What was written is kept in this browser for the account "
    "that wrote it: sign in with that one to go on."
)


def get_task_for(user: User, task_id: UUID) -> Task:
    """Return the user's own task with its message and draft. Raise NotFound, also for tasks of others."""
    try:
        task = Task.objects.select_related("message", "draft").get(pk=task_id, user=user)
    except Task.DoesNotExist:
        raise NotFound(TASK_NOT_FOUND_TEXT, code="task_not_found") from None
    task.user = user  # known already
    return task


def has_done(user: User, kind: Kind) -> bool:
    """Return True if this user did a task of this kind before."""
    return Task.objects.filter(user=user, kind=kind.value, status=Task.Status.DONE).exists()


def open_tasks(user: User) -> QuerySet[Task]:
    """Return the tasks that this user has begun and not finished, newest first."""
    return (
        Task.objects.filter(user=user, status=Task.Status.OPEN, expires_at__gt=timezone.now())
        .select_related("draft")
        .order_by("-created_at")
    )


def latest_open_tasks(user: User) -> list[dict[str, Any]]:
    """Return the five newest open tasks, for pages."""
    return [
        {
            "id": task.pk,
            "title": TABLE[Kind(task.kind)].title,
            "since": task.created_at,
            "has_draft": hasattr(task, "draft"),
        }
        for task in open_tasks(user)[:5]
    ]
