"""What work there is for a person. Reads only."""

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
PENDING_CAP = 8
"""Whoever has begun so many tasks in the last minutes gets no more."""


def availability(person: User, lang: str, policy: TreePolicy) -> dict[Kind, int]:
    """Kind → for how many messages this person could do it now, exact up to some hundred. Two statements."""
    counts = dict.fromkeys(Kind, 0) | hot.count_messages(person, lang, timezone.now())
    supply = read_supply(lang, policy)
    counts[Kind.INITIAL_PROMPT] = supply.wanted()
    # Asking for work brings them first, so they are on offer although no place is open yet.
    counts[Kind.ASSISTANT_REPLY] += supply.to_draw()
    counts[Kind.RANK_ASSISTANT_REPLIES] += min(1, supply.to_activate())
    return counts


@dataclass(frozen=True)
class Nothing:
    """Why there is no work, and what would bring some."""

    title: str
    text: str
    unlock: str


def count_work(counts: dict[Kind, int], kind: Kind | None) -> int:
    """How much of `availability` is of this kind, or of any."""
    return sum(counts.values()) if kind is None else counts[kind]


def is_busy(person: User) -> bool:
    """Whether the person has begun so much in the last minutes that they get no more work for now."""
    return Task.objects.count_begun(person, timezone.now() - PENDING_WINDOW) >= PENDING_CAP


def explain_busy() -> Nothing:
    return Nothing(
        "You have begun many tasks at once",
        f"Whoever begins {PENDING_CAP} tasks within {PENDING_WINDOW.seconds // 60} minutes gets no more for a while.",
        "Finish or skip some of them first.",
    )


def explain_nothing(person: User, lang: str, policy: TreePolicy, kind: Kind | None = None) -> Nothing:
    """The cause for the person who finds nothing, as exact as the facts allow. Only for whoever `availability` has
    nothing for, or has just been refused: it does not look whether there is work.
    """
    works = list(Work) if kind is None else [work for work in [work_of(kind)] if work]  # none for a first prompt
    now = timezone.now()
    causes = hot.count_causes(person, lang, works, now)
    causes.pop("free", None)  # became free after somebody else had taken the last one
    if causes:
        return Nothing(
            "The rest has to be done by somebody else",
            _why_not_theirs(causes),
            ("Finish or skip what you have begun. " if causes.get("begun") else "")
            + "It moves on as soon as another contributor joins in. Bring a friend, or try another language."
            + _elsewhere(person, lang, now),
        )
    holders, in_the_way = hot.count_holders(person, lang, works, now)
    if holders:
        return Nothing(
            "Others are on it right now",
            f"{holders} {'person is' if holders == 1 else 'people are'} working on what is open.",
            f"When they finish{' or leave' if in_the_way else ''}, new work appears. Look again in a few minutes."
            + _elsewhere(person, lang, now),
        )
    begun = open_tasks(person).filter(lang=lang, **({"kind": kind.value} if kind else {})).count()
    if begun:
        return Nothing(
            "What is open is yours already",
            f"{begun} {'task' if begun == 1 else 'tasks'} that you have begun {'waits' if begun == 1 else 'wait'} "
            "for you, and there is nothing else.",
            "Finish or skip what you have begun." + _elsewhere(person, lang, now),
        )
    supply = read_supply(lang, policy)
    if kind in (None, Kind.INITIAL_PROMPT):
        return Nothing(
            "There are enough openers for now",
            supply_messages.why_enough(supply),
            supply_messages.what_makes_room(supply, lang),
        )
    return Nothing(
        "Nothing of this kind is open",
        f"Nobody needs “{TABLE[kind].title.lower()}” in this language right now.",
        _what_brings_some(person, lang, policy, supply) + _elsewhere(person, lang, now),
    )


def _what_brings_some(person: User, lang: str, policy: TreePolicy, supply: Supply) -> str:
    if supply.wanted():
        return "Start a conversation: once it is accepted it brings work for everybody."
    if count_work(availability(person, lang, policy), None):
        return "Take any other work: replying and checking bring conversations there."
    return "It comes when other contributors move their conversations on. Look again later."


_CAUSES = {
    "own": "about your own words, which others judge",
    "done": "about what you judged or answered already",
    "skipped": "about what you skipped",
    "begun": "among the tasks that you have begun",
}


def _why_not_theirs(causes: dict[str, int]) -> str:
    number = sum(causes.values())
    told = [f"{causes[name]} {words}" for name, words in _CAUSES.items() if causes.get(name)]
    return f"{number} {'place is' if number == 1 else 'places are'} open and not for you: {', '.join(told)}."


def _elsewhere(person: User, lang: str, now: datetime) -> str:
    """What is open in the other languages of this person."""
    others = [one for one in person.contribution_languages if one != lang]
    if not others:
        return ""
    free = Opening.objects.filter(Q(held_until=None) | Q(held_until__lte=now), lang__in=others).order_by("lang")
    counts = dict(free.values_list("lang").annotate(number=Count("pk")))
    told = ", ".join(f"{counts[one]} in {one}" for one in others if one in counts)
    return f" Open in your other languages: {told}." if told else ""


# Says the same of tasks of others and of none, so that nobody can find out which there are.
NOT_YOURS = (
    "This was begun by another account, or it never existed. What was written is kept in this browser for the account "
    "that wrote it: sign in with that one to go on."
)


def get_task_for(person: User, task_id: UUID) -> Task:
    """A person's own task with its message. Raises NotFound for tasks of others too."""
    try:
        task = Task.objects.select_related("message", "draft").get(pk=task_id, user=person)
    except Task.DoesNotExist:
        raise NotFound(NOT_YOURS, code="task_not_found") from None
    task.user = person  # known already
    return task


def open_tasks(person: User) -> QuerySet[Task]:
    """What this person has begun and not finished, newest first."""
    return (
        Task.objects.filter(user=person, status=Task.Status.OPEN, expires_at__gt=timezone.now())
        .select_related("draft")
        .order_by("-created_at")
    )


def latest_open_tasks(person: User) -> list[dict[str, Any]]:
    """The newest of them, as pages list them."""
    return [
        {
            "id": task.pk,
            "title": TABLE[Kind(task.kind)].title,
            "since": task.created_at,
            "has_draft": hasattr(task, "draft"),
        }
        for task in open_tasks(person)[:5]
    ]
