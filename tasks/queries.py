"""What work there is for a person. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import NotFound
from tasks import places, room
from tasks.kinds import TABLE, Kind, work_of
from tasks.models import Task
from tasks.supply import read_supply
from trees.models import Opening
from trees.policy import TreePolicy
from trees.states import Work


def availability(person: User, lang: str, policy: TreePolicy) -> dict[Kind, int]:
    """Kind → for how many messages this person could do it now, exact up to some hundred. Two statements."""
    counts = dict.fromkeys(Kind, 0) | places.count_messages(person, lang, timezone.now())
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


def explain_nothing(person: User, lang: str, policy: TreePolicy, kind: Kind | None = None) -> Nothing:
    """The cause for the person who finds nothing, as exact as the facts allow."""
    works = list(Work) if kind is None else [work for work in [work_of(kind)] if work]  # none for a first prompt
    now = timezone.now()
    if causes := places.count_causes(person, lang, works, now):
        return Nothing(
            "The rest has to be done by somebody else",
            _why_not_theirs(causes),
            ("Finish or skip what you have begun. " if causes.get("begun") else "")
            + "It moves on as soon as another contributor joins in. Bring a friend, or try another language."
            + _elsewhere(person, lang, now),
        )
    existing = Opening.objects.filter(lang=lang, work__in=[work.value for work in works])
    held = existing.filter(held_until__gt=now).exclude(holder=person).count()
    if held:
        return Nothing(
            "Others are on it right now",
            f"{held} {'person is' if held == 1 else 'people are'} working on what is open.",
            "When they finish or leave, new work appears. Look again in a few minutes." + _elsewhere(person, lang, now),
        )
    supply = read_supply(lang, policy)
    wants_openers = supply.wanted()
    if kind == Kind.INITIAL_PROMPT or not (kind or wants_openers):
        return Nothing("There are enough openers for now", room.why_enough(supply), room.what_makes_room(supply, lang))
    title = TABLE[kind].title.lower() if kind else "this"
    return Nothing(
        "Nothing of this kind is open",
        f"Nobody needs “{title}” in this language right now.",
        "Start a conversation: once it is accepted it brings work for everybody."
        if wants_openers
        else "Take any other work: replying and checking bring conversations there.",
    )


_CAUSES = {
    "own": "about your own words, which others judge",
    "done": "about what you judged or answered already",
    "skipped": "about what you skipped",
    "begun": "among the tasks that you have begun",
    "free": "just becoming free",
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


def get_task_for(person: User, task_id: UUID) -> Task:
    """A person's own task with its message. Raises NotFound for tasks of others too."""
    try:
        task = Task.objects.select_related("message", "draft").get(pk=task_id, user=person)
    except Task.DoesNotExist:
        raise NotFound("There is no such task among yours.", code="task_not_found") from None
    task.user = person  # known already
    return task


def open_tasks(person: User) -> QuerySet[Task]:
    """What this person has begun and not finished, newest first."""
    return (
        Task.objects.filter(user=person, status=Task.Status.OPEN, expires_at__gt=timezone.now())
        .select_related("draft")
        .order_by("-created_at")
    )
