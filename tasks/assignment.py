"""Handing out work and holding openings for it.

An opening is held for a short time (the lease); its task can be answered for much longer (the validity). Each function
is one transaction.
"""

import random
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.errors import Busy, Conflict, DomainError, Gone, NotFound
from oasst.core.idempotency import fingerprint_of, once
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_optional, clean_pool_tag
from tasks import backlog, checks, hot, lottery, queries
from tasks.kinds import TABLE, Kind, work_of
from tasks.models import Draft, Task
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
MAX_REMARK_LENGTH = 512  # characters, including the name of the reason
MAX_REASON_LENGTH = 30
MAX_NOTE_LENGTH = MAX_REMARK_LENGTH - MAX_REASON_LENGTH - len(": ")


class NothingToDo(DomainError):
    """There is no work of this kind for this user; `details["nothing"]` holds the cause."""

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
    """Return a new task for this user, of any kind if `kind` is None.

    `repeat_key` makes the request safe to repeat: the same key gives the same task. A `collective` task is for all
    users of the API client and holds no opening.
    Raise NotAllowed, Invalid (language), Busy (`rate_limited`, `too_many_pending`), NothingToDo.
    """
    require_contributor(user)
    lang = clean_pool_tag(lang)
    supply = read_supply(lang, policy)
    added = lottery.draw(lang, policy) if supply.prompts_to_draw() else 0
    added += backlog.activate(lang, policy) if supply.trees_to_activate() else 0
    if added:
        supply = read_supply(lang, policy)

    def assign() -> Task:
        _spend_rate(user, kind)
        return _assign(user, lang, policy, kind, api_client, supply, collective)

    with transaction.atomic(durable=True):
        # One request of a user at a time, so that the cap and "not the same work twice" are exact.
        advisory_lock("person", user.pk)
        if not repeat_key:
            return assign()
        fingerprint = fingerprint_of(kind, lang)
        scope = f"task:{user.pk}"
        task_id = once(scope=scope, key=repeat_key, fingerprint=fingerprint, act=lambda: str(assign().pk))
        return Task.objects.select_related("message").get(pk=task_id)


def _spend_rate(user: User, kind: Kind | None) -> None:
    ratelimit.count_use(ratelimit.TASK_REQUESTS, user.pk)
    if kind == Kind.ASSISTANT_REPLY:
        ratelimit.count_use(ratelimit.ASSISTANT_REPLY_REQUESTS, user.pk)
    elif kind == Kind.PROMPTER_REPLY:
        ratelimit.count_use(ratelimit.PROMPTER_REPLY_REQUESTS, user.pk)


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
    if queries.has_too_many_pending(user):
        raise Busy(
            "You have begun many tasks at once. Finish or skip some of them first.",
            code="too_many_pending",
            retry_after=int(queries.PENDING_WINDOW.total_seconds()),
        )
    possible = {kind} if kind else hot.available_kinds(user, lang, now)
    if kind in (None, Kind.INITIAL_PROMPT) and supply.prompts_wanted():
        possible.add(Kind.INITIAL_PROMPT)
    elif kind == Kind.INITIAL_PROMPT:
        possible.clear()
    while possible:
        kinds = sorted(possible)
        drawn = random.choices(kinds, weights=[TABLE[kind].weight for kind in kinds])[0]
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
        if _begin(task, API_LEASE if api_client else PAGE_LEASE, policy, supply):
            return task
        possible.discard(drawn)  # others took the last openings between the two statements
    nothing = queries.explain_no_work(user, lang, policy, kind)
    raise NothingToDo(nothing.text, hint=nothing.unlock, nothing=nothing)


def _begin(task: Task, lease: timedelta, policy: TreePolicy, supply: Supply) -> bool:
    """Hold the best free opening for the task and store the task. Return False if there is none."""
    work = work_of(Kind(task.kind))
    if work is None:
        Task.objects.insert(task)
        return True
    until = task.created_at + lease
    message_id = checks.draw(task, until, supply, policy) or hot.hold_opening(
        work, task.user, task.lang, lease=task.pk, now=task.created_at, until=until
    )
    if message_id is None:
        return False
    _fix_content(task, message_id, policy)
    Task.objects.insert(task)
    if task.collective:
        Opening.objects.filter(lease=task.pk).update(holder=None, lease=None, held_until=None)
    return True


def _release(task: Task, policy: TreePolicy) -> None:
    """Free the opening that is held for this task, or delete it if the tree does not need this work any more."""
    if task.message is not None and not task.check_kind:
        locked = lock_tree(task.message.tree_id, policy)
        locked.release_opening(task.pk)
        transitions.advance(locked)


def _fix_content(task: Task, message_id: UUID, policy: TreePolicy) -> None:
    """Fix what the user will see: the mode of a review, the order of replies, the texts that are judged."""
    task.message = Message.objects.with_text(message_id)
    work = work_of(Kind(task.kind))
    if work in REVIEW_WORK:
        rules = policy.in_language(task.message.lang)
        task.mode = draw_mode(Kind(task.kind), rules, asked=bool(task.asked_kind))
        task.revision_ids = [task.message.revision_id]
    elif work not in REPLY_WORK:
        replies = Message.objects.accepted_replies(message_id)
        random.shuffle(replies)
        task.reply_ids = [reply_id for reply_id, _ in replies]
        task.revision_ids = [revision_id for _, revision_id in replies]


def withdraw(task: Task, policy: TreePolicy) -> None:
    """Expire a task that the user has not seen, and free its opening."""
    with transaction.atomic(durable=True):
        Task.objects.filter(pk=task.pk).update(status=Task.Status.EXPIRED, finished_at=timezone.now())
        _release(task, policy)


def give_back_untouched(user: User, *, since: datetime, policy: TreePolicy) -> None:
    """Expire what this user was handed out since then, if nothing was written for it, and free its openings."""
    handed_out = Task.objects.filter(user=user, status=Task.Status.OPEN, api_client=None, created_at__gte=since)
    for task in handed_out.filter(draft=None).select_related("message"):
        with transaction.atomic(durable=True):
            if Task.objects.filter(pk=task.pk, status=Task.Status.OPEN, draft=None).update(
                status=Task.Status.EXPIRED, finished_at=timezone.now()
            ):
                _release(task, policy)


def extend_lease(*, task_id: UUID, user: User) -> None:
    """Extend the hold while the page is open, but not past the time until which the task can be answered.

    Raise NotAllowed, NotFound, Gone (`lease_lost`, and the codes of `require_open`).
    """
    require_contributor(user)
    ratelimit.count_use(ratelimit.LEASES, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        require_open(task)
        held = Opening.objects.filter(lease=task.pk)
        until = min(task.expires_at, timezone.now() + (API_LEASE if task.api_client_id else PAGE_LEASE))
        if task.check_kind:
            Task.objects.filter(pk=task.pk).update(check_held_until=until)
        elif task.message_id and not held.update(held_until=until):
            raise Gone(
                "Your place was given to somebody else while you were away. You can still send your answer; it "
                "counts if there is a free place.",
                code="lease_lost",
            )


def skip(*, task_id: UUID, user: User, policy: TreePolicy, reason: str = "", note: str = "") -> Task:
    """Give the task back for good: its opening is free at once, and this work is not offered to this user again.

    Skipping twice is one skip. Raise NotAllowed, NotFound, Gone (`task_done`, `task_expired`), Invalid (text that
    cannot be stored, with the field `reason` or `note`).
    """
    require_contributor(user)
    reason = clean_optional(reason, limit=MAX_REASON_LENGTH, field="reason")
    note = clean_optional(note, limit=MAX_NOTE_LENGTH if reason else MAX_REMARK_LENGTH, field="note")
    ratelimit.count_use(ratelimit.SKIPS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if task.status == Task.Status.SKIPPED:
            return task
        require_open(task)
        task.status = Task.Status.SKIPPED
        task.finished_at = timezone.now()
        task.skip_reason = ": ".join(part for part in (reason, note) if part)
        task.save(update_fields=["status", "finished_at", "skip_reason"])
        if task.message is not None and not task.check_kind:  # a check is drawn once, so nothing has to be remembered
            known = reason if reason in Skip.Reason.values else ""
            reviews.record_skip(message=task.message, author=user, kind=skip_kind(task), reason=known, note=note)
            _release(task, policy)
        return task


def give_back(*, task_id: UUID, user: User, policy: TreePolicy, with_draft: bool = False) -> Task:
    """Free the opening of the task at once. Unlike a skip it says nothing about the message: the user may get it again.

    Giving back twice is once. Raise NotAllowed, NotFound, Gone (`task_done`, `task_expired`), Conflict `has_draft` if
    something was written and `with_draft` does not say that this is known. The draft stays readable on the task's page.
    """
    require_contributor(user)
    ratelimit.count_use(ratelimit.SKIPS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if task.status == Task.Status.EXPIRED:
            return task
        require_open(task)
        if not with_draft and Draft.objects.filter(task=task).exists():
            raise Conflict(gettext("You have written something for this task."), code="has_draft")
        task.status, task.finished_at = Task.Status.EXPIRED, timezone.now()
        task.save(update_fields=["status", "finished_at"])
        _release(task, policy)
        return task


def skip_kind(task: Task) -> Skip.Kind:
    work = work_of(Kind(task.kind))
    if work in REVIEW_WORK:
        return Skip.Kind.REVIEW
    return Skip.Kind.REPLY if work in REPLY_WORK else Skip.Kind.RANKING


def lock_task(task_id: UUID, user: User) -> Task:
    """Return the user's own task, locked. Needs an open transaction.

    Raise NotFound (also for tasks of others) and NotAllowed: the user is read again with the task, so nothing is
    stored for a user who was banned after this request began. A purge waits for these locks before it reads tasks.
    """
    task = Task.objects.locked(task_id, user)
    if task is None:
        raise NotFound(queries.TASK_NOT_FOUND_TEXT, code="task_not_found")
    require_member(task.user)
    return task


def require_open(task: Task) -> None:
    """Raise Gone with the reason if the task takes no answer any more."""
    if task.status == Task.Status.DONE:
        raise Gone("You already did this task.", code="task_done")
    if task.status == Task.Status.SKIPPED and task.api_client_id is None:  # on the wire a skip closes nothing
        raise Gone("You skipped this task.", code="task_skipped")
    if task.status == Task.Status.EXPIRED and task.finished_at is not None and task.finished_at < task.expires_at:
        raise Gone(gettext("This task was given back."), code="task_expired")
    if task.status == Task.Status.EXPIRED or task.expires_at <= timezone.now():
        raise Gone("This task ran out: it could be answered for two days.", code="task_expired")
