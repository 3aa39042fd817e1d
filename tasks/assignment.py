"""Handing out work and holding places for it.

A place is held for a while (the lease); a task can be answered for much longer (validity). Outer writers: each function
is one transaction.
"""

import random
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.errors import Busy, DomainError, Gone, NotFound
from oasst.core.idempotency import fingerprint_of, once
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_pool_tag, clean_remark
from tasks import backlog, hot, lottery, queries
from tasks.kinds import TABLE, Kind, work_of
from tasks.models import Task
from tasks.review_modes import draw_mode
from tasks.supply import Supply, read_supply
from trees.contributing import reviews
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REPLY_WORK, REVIEW_WORK
from trees.models import Message, Opening, Skip

PAGE_LEASE = timedelta(minutes=30)
API_LEASE = timedelta(minutes=5)
VALIDITY = timedelta(hours=48)
COLLECTIVE_VALIDITY = timedelta(days=3650)  # on the wire: no end
LONGEST_REMARK = 512  # with the name of its reason in front, where it has one
LONGEST_NAME_OF_A_REASON = 30
LONGEST_NOTE = LONGEST_REMARK - LONGEST_NAME_OF_A_REASON - len(": ")


class NothingToDo(DomainError):
    """There is no work of this kind for this person; `details["nothing"]` tells the cause."""

    default_code = "no_work"


def request_task(
    *,
    user: User,
    lang: str,
    policy: TreePolicy,
    kind: Kind | None = None,
    api_client: ApiClient | None = None,
    collective: bool = False,
    repeat_key: str | None = None,
) -> Task:
    """Give this person work of the wanted kind, of any kind when None.

    `repeat_key` makes the request safe to repeat: the same key gives the same task. A `collective` task is for all
    people of the API client and holds no place.
    Raises NotAllowed, Invalid (language), Busy (`rate_limited`, `too_many_pending`), NothingToDo.
    """
    require_contributor(user)
    lang = clean_pool_tag(lang)
    supply = read_supply(lang, policy)
    came = lottery.draw(lang, policy) if supply.to_draw() else 0
    came += backlog.activate(lang, policy) if supply.to_activate() else 0
    if came:
        supply = read_supply(lang, policy)

    def give() -> Task:
        _spend_rate(user, kind)
        return _assign(user, lang, policy, kind, api_client, supply, collective)

    with transaction.atomic(durable=True):
        # One request of a person at a time, so that the cap and "not the same twice" are exact.
        advisory_lock("person", user.pk)
        if not repeat_key:
            return give()
        asked = fingerprint_of(kind, lang)
        task_id = once(scope=f"task:{user.pk}", key=repeat_key, fingerprint=asked, act=lambda: str(give().pk))
        return Task.objects.select_related("message").get(pk=task_id)


def _spend_rate(user: User, kind: Kind | None) -> None:
    ratelimit.spend(ratelimit.TASK_REQUESTS, user.pk)
    if kind == Kind.ASSISTANT_REPLY:
        ratelimit.spend(ratelimit.ASSISTANT_REPLY_REQUESTS, user.pk)
    elif kind == Kind.PROMPTER_REPLY:
        ratelimit.spend(ratelimit.PROMPTER_REPLY_REQUESTS, user.pk)


def _assign(
    user: User,
    lang: str,
    policy: TreePolicy,
    kind: Kind | None,
    api_client: ApiClient | None,
    supply: Supply,
    collective: bool,
) -> Task:
    now = timezone.now()
    if queries.is_busy(user):
        raise Busy(
            "You have begun many tasks at once. Finish or skip some of them first.",
            code="too_many_pending",
            retry_after=int(queries.PENDING_WINDOW.total_seconds()),
        )
    possible = {kind} if kind else hot.offered_kinds(user, lang, now)
    if kind in (None, Kind.INITIAL_PROMPT) and supply.wanted():
        possible.add(Kind.INITIAL_PROMPT)
    elif kind == Kind.INITIAL_PROMPT:
        possible.clear()
    while possible:
        drawn = _draw_kind(possible)
        task = Task(
            user=user,
            api_client=api_client,
            kind=drawn.value,
            lang=lang,
            asked_kind=kind.value if kind else "",
            collective=collective,
            created_at=now,
            expires_at=now + (COLLECTIVE_VALIDITY if collective else VALIDITY),
        )
        if _take_place(task, API_LEASE if api_client else PAGE_LEASE, policy):
            return task
        possible.discard(drawn)  # others took the last places between the two statements
    nothing = queries.explain_nothing(user, lang, policy, kind)
    raise NothingToDo(nothing.text, hint=nothing.unlock, nothing=nothing)


def _draw_kind(possible: set[Kind]) -> Kind:
    kinds = sorted(possible)
    return random.choices(kinds, weights=[TABLE[kind].weight for kind in kinds])[0]


def _take_place(task: Task, lease: timedelta, policy: TreePolicy) -> bool:
    """Hold the most wanted free place for the task and store the task. False if there is none."""
    work = work_of(Kind(task.kind))
    if work is None:
        Task.objects.insert(task)
        return True
    now = task.created_at
    message_id = hot.hold_opening(work, task.user, task.lang, lease=task.pk, now=now, until=now + lease)
    if message_id is None:
        return False
    _show(task, message_id, policy)
    Task.objects.insert(task)
    if task.collective:
        Opening.objects.filter(lease=task.pk).update(holder=None, lease=None, held_until=None)
    return True


def _let_go(task: Task, policy: TreePolicy) -> None:
    """Free the place that is held for this task, or let it go where nobody wants this work any more."""
    if task.message is not None:
        locked = lock_tree(task.message.tree_id, policy)
        locked.let_go(task.pk)
        transitions.advance(locked)


def _show(task: Task, message_id: UUID, policy: TreePolicy) -> None:
    """Fix what the person will see: the mode of a review, the order of replies, the texts that are judged."""
    task.message = Message.objects.to_show(message_id)
    work = work_of(Kind(task.kind))
    if work in REVIEW_WORK:
        task.mode = draw_mode(Kind(task.kind), policy, asked=bool(task.asked_kind))
        task.revision_ids = [task.message.revision_id]
    elif work not in REPLY_WORK:
        replies = Message.objects.accepted_replies(message_id)
        random.shuffle(replies)
        task.reply_ids = [reply_id for reply_id, _ in replies]
        task.revision_ids = [revision_id for _, revision_id in replies]


def withdraw(task: Task, policy: TreePolicy) -> None:
    """Take back a task that nobody has seen, and free its place."""
    with transaction.atomic(durable=True):
        Task.objects.filter(pk=task.pk).update(status=Task.Status.EXPIRED, finished_at=timezone.now())
        _let_go(task, policy)


def extend_lease(*, task_id: UUID, user: User) -> None:
    """Hold the place for another while, never longer than the task can be answered; called while the page is open.

    Raises NotAllowed, NotFound, Gone (`lease_lost`; `task_expired` and what else `require_open` raises).
    """
    require_contributor(user)
    ratelimit.spend(ratelimit.LEASES, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        require_open(task)
        held = Opening.objects.filter(lease=task.pk)
        until = min(task.expires_at, timezone.now() + (API_LEASE if task.api_client_id else PAGE_LEASE))
        if task.message_id and not held.update(held_until=until):
            raise Gone(
                "Your place was given to somebody else while you were away. You can still send your answer; it "
                "counts if there is a free place.",
                code="lease_lost",
            )


def skip(*, task_id: UUID, user: User, policy: TreePolicy, reason: str = "", note: str = "") -> Task:
    """Give the task back for good: its place is free at once, and this work is not offered to this person again.

    Skipping twice is one skip. Raises NotAllowed, NotFound, Gone (`task_done`, `task_expired`), Invalid (what can not
    be stored, with the field `reason` or `note`).
    """
    require_contributor(user)
    reason = clean_remark(reason, limit=LONGEST_NAME_OF_A_REASON, field="reason")
    note = clean_remark(note, limit=LONGEST_NOTE if reason else LONGEST_REMARK, field="note")
    ratelimit.spend(ratelimit.SKIPS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if task.status == Task.Status.SKIPPED:
            return task
        require_open(task)
        task.status = Task.Status.SKIPPED
        task.finished_at = timezone.now()
        task.skip_reason = ": ".join(part for part in (reason, note) if part)
        task.save(update_fields=["status", "finished_at", "skip_reason"])
        if task.message is not None:
            known = reason if reason in Skip.Reason.values else ""
            reviews.record_skip(message=task.message, author=user, kind=skip_kind(task), reason=known, note=note)
            _let_go(task, policy)
        return task


def skip_kind(task: Task) -> Skip.Kind:
    work = work_of(Kind(task.kind))
    if work in REVIEW_WORK:
        return Skip.Kind.REVIEW
    return Skip.Kind.REPLY if work in REPLY_WORK else Skip.Kind.RANKING


def lock_task(task_id: UUID, user: User) -> Task:
    """Fetch one's own task for change; needs an open transaction. Tasks of others do not exist for this person.

    Raises NotFound, NotAllowed: the person is read anew with the task, so that nothing is stored for somebody who was
    banned after this request began. A purge waits for these locks before it looks at what there is.
    """
    task = Task.objects.locked(task_id, user)
    if task is None:
        raise NotFound(queries.NOT_YOURS, code="task_not_found")
    require_member(task.user)
    return task


def require_open(task: Task) -> None:
    """Raises Gone with the reason why a task takes no answer any more."""
    if task.status == Task.Status.DONE:
        raise Gone("You already did this task.", code="task_done")
    if task.status == Task.Status.SKIPPED and task.api_client_id is None:  # on the wire a skip closes nothing
        raise Gone("You skipped this task.", code="task_skipped")
    if task.status == Task.Status.EXPIRED or task.expires_at <= timezone.now():
        raise Gone("This task ran out: it could be answered for two days.", code="task_expired")
