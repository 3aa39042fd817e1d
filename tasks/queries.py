"""The available work of a user, and why there is none. Reads only."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from oasst.accounts.models import User
from oasst.core.errors import NotFound
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.text.languages import name_of
from tasks import hot, supply_messages
from tasks.kinds import TABLE, Category, Kind, work_of
from tasks.models import Task
from tasks.supply import Supply, read_supply
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REVIEW_WORK, Work
from trees.models import Opening
from trees.queries import EXCERPT, text_start

PENDING_WINDOW = timedelta(seconds=300)
MAX_PENDING = 8
"""A user who began this many tasks within the window, and finished none of them, gets no more."""


def availability(user: User, lang: str, policy: TreePolicy, supply: Supply | None = None) -> dict[Kind, int]:
    """Return kind → the number of messages on which this user could do it now, exact below 100. Two statements, or one
    if the caller knows the supply.
    """
    counts = dict.fromkeys(Kind, 0) | hot.count_available_messages(user, lang, timezone.now())
    supply = supply or read_supply(lang, policy)
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
        gettext("You have begun many tasks at once"),
        gettext("If you begin %(tasks)d tasks within %(minutes)d minutes, you get no more for a while.")
        % {"tasks": MAX_PENDING, "minutes": PENDING_WINDOW.seconds // 60},
        gettext("Finish or skip some of them first."),
    )


def explain_no_work(user: User, lang: str, policy: TreePolicy, kind: Kind | None = None) -> NoWork:
    """Return why there is no work for this user. Call it only when `availability` is empty or a request was refused: it
    does not check that.
    """
    works = list(Work) if kind is None else [work for work in [work_of(kind)] if work]  # empty for a first prompt
    now = timezone.now()
    if causes := _sum_causes(hot.count_unavailable_by_cause(user, lang, works, now), works):
        reason = _left_to_others(causes)
    elif (held := hot.count_holders(user, lang, works, now))[0]:
        reason = _held_by_others(*held)
    elif begun := open_tasks(user).filter(lang=lang, **({"kind": kind.value} if kind else {})).count():
        reason = _begun_already(begun)
    else:
        supply = read_supply(lang, policy)
        if kind in (None, Kind.INITIAL_PROMPT):
            return NoWork(
                gettext("There are enough prompts for now"),
                supply_messages.why_enough(supply),
                supply_messages.what_makes_room(supply, lang),
            )
        reason = NoWork(
            gettext("Nothing of this kind is open"),
            gettext("No conversation in this language needs “%(kind)s” right now.") % {"kind": TABLE[kind].title},
            _what_brings_some(user, lang, policy, supply),
        )
    return replace(reason, unlock=_sentences(reason.unlock, _other_languages(user, lang, now)))


def _left_to_others(causes: dict[str, int]) -> NoWork:
    return NoWork(
        gettext("Nothing else is open for you right now"),
        _listed_causes(causes),
        _sentences(
            gettext("Finish or skip what you have begun.") if causes.get("begun") else "",
            gettext("New tasks appear when another contributor works on these. Look again later."),
        ),
    )


def _held_by_others(holders: int, fitting: int) -> NoWork:
    """`holders` is the number of people at work, `fitting` of those whose opening this user could take over."""
    text = ngettext(
        "%(number)d person is working on it right now.", "%(number)d people are working on it right now.", holders
    )
    return NoWork(
        gettext("Others have taken what is open"),
        text % {"number": holders},
        _sentences(
            gettext("When they finish or leave, new tasks appear.")
            if fitting
            else gettext("When they finish, new tasks appear."),
            gettext("Look again in a few minutes."),
        ),
    )


def _begun_already(number: int) -> NoWork:
    text = ngettext(
        "%(number)d task that you have begun is waiting for you.",
        "%(number)d tasks that you have begun are waiting for you.",
        number,
    )
    return NoWork(
        gettext("You have begun everything that is open"),
        text % {"number": number},
        gettext("Finish or skip what you have begun."),
    )


def explain_empty(user: User, lang: str, categories: Iterable[Category]) -> dict[Category, NoWork]:
    """Return for each of these categories of work why it is empty for this user, and what brings some. One statement,
    or none without categories. Call it only for categories that `availability` finds empty.
    """
    works = {name: [work for kind in Kind if (work := work_of(kind)) and _is_of(kind, name)] for name in categories}
    if not works:
        return {}
    every = [work for of_category in works.values() for work in of_category]
    counts = hot.count_unavailable_by_cause(user, lang, every, timezone.now())
    found = {}
    for name, of_category in works.items():
        title, text, unlock = (str(part) for part in _EMPTY[name])
        if causes := _sum_causes(counts, of_category):
            text, unlock = _listed_causes(causes), gettext("New tasks appear when another contributor works on these.")
            if causes.get("begun"):
                unlock = gettext("Finish what you have begun, or give it back.")
        found[name] = NoWork(title, text, unlock)
    return found


def _is_of(kind: Kind, category: Category) -> bool:
    return TABLE[kind].category == category


def _sum_causes(counts: dict[tuple[Work, str], int], works: Iterable[Work]) -> dict[str, int]:
    """Return cause → the number of openings of these kinds, without those that became free since the request."""
    wanted, total = set(works), Counter[str]()
    for (work, cause), number in counts.items():
        if work in wanted and cause != "free":
            total[cause] += number
    return dict(total)


_EMPTY: dict[Category, tuple[Promise, Promise, Promise]] = {
    "write": (
        gettext_lazy("Nothing to write right now"),
        gettext_lazy("Every conversation has the messages that it needs for now."),
        gettext_lazy("Such tasks appear when people check and compare what is there."),
    ),
    "check": (
        gettext_lazy("Nothing to check right now"),
        gettext_lazy("Everything that was written here is checked."),
        gettext_lazy("Such tasks appear when somebody writes."),
    ),
    "compare": (
        gettext_lazy("Nothing to compare right now"),
        gettext_lazy("No message has several accepted answers that need an order."),
        gettext_lazy("Such tasks appear after people have written answers and checked them."),
    ),
}


def conversations_in_review(user: User) -> dict[UUID, UUID]:
    """Return tree → open task of the conversations that this user reviews right now. One statement."""
    rows = open_tasks(user).filter(kind__in=[work.value for work in REVIEW_WORK], message__isnull=False)
    return dict(rows.order_by().values_list("message__tree", "pk"))


def _what_brings_some(user: User, lang: str, policy: TreePolicy, supply: Supply) -> str:
    if supply.prompts_wanted():
        return gettext("Start a conversation: once it is accepted it brings work for everybody.")
    if count_work(availability(user, lang, policy), None):
        return gettext("Take any other task: replies and checks make such work possible.")
    return gettext("It appears when other contributors have worked on their conversations. Look again later.")


def _listed_causes(causes: dict[str, int]) -> str:
    number = sum(causes.values())
    parts = [
        sentence % {"number": causes[name]}
        for name, sentence in (
            ("own", gettext("%(number)s about your own texts")),
            ("done", gettext("%(number)s about texts that you judged or answered already")),
            ("skipped", gettext("%(number)s about texts that you skipped")),
            ("begun", gettext("%(number)s among the tasks that you have begun")),
        )
        if causes.get(name)
    ]
    sentence = ngettext(
        "%(number)s task is open, but for other people: %(causes)s.",
        "%(number)s tasks are open, but for other people: %(causes)s.",
        number,
    )
    return sentence % {"number": number, "causes": ", ".join(parts)}


def _other_languages(user: User, lang: str, now: datetime) -> str:
    """Return a sentence about free openings in the user's other languages, or an empty text."""
    others = [other for other in user.contribution_languages if other != lang]
    if not others:
        return ""
    free = Opening.objects.filter(Q(held_until=None) | Q(held_until__lte=now), lang__in=others).order_by("lang")
    counts = dict(free.values_list("lang").annotate(number=Count("pk")))
    listed = ", ".join(f"{name_of(other)} {counts[other]}" for other in others if other in counts)
    return gettext("Open in your other languages: %(listed)s.") % {"listed": listed} if listed else ""


def _sentences(*sentences: str) -> str:
    """Join those that are not empty."""
    return " ".join(sentence for sentence in sentences if sentence)


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


@dataclass(frozen=True)
class OpenTask:
    """An open task as pages list it."""

    id: UUID
    title: str
    since: datetime
    expires_at: datetime
    excerpt: str  # of the message that it is about; empty if there is none or nobody may read it
    draft: str  # the start of the text that was written so far
    has_draft: bool


def latest_open_tasks(user: User) -> list[OpenTask]:
    """Return the five newest open tasks, for pages. One statement."""
    tasks = open_tasks(user).select_related("draft", "message")
    tasks = tasks.defer("message__text", "message__search", "message__imported").annotate(
        start=text_start("message__text")
    )
    return [_as_listed(task) for task in tasks[:5]]


def _as_listed(task: Any) -> OpenTask:
    draft = getattr(task, "draft", None)
    is_readable = task.message is not None and not task.message.is_withheld
    return OpenTask(
        id=task.pk,
        title=TABLE[Kind(task.kind)].title,
        since=task.created_at,
        expires_at=task.expires_at,
        excerpt=plain_excerpt(task.start or "", EXCERPT) if is_readable else "",
        draft=plain_excerpt(str(draft.body.get("text", ""))[: 5 * EXCERPT], EXCERPT) if draft else "",
        has_draft=draft is not None,
    )
