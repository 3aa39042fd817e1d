"""Undo an answer for some seconds after it was sent: the task is open again, with the answer as its draft."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Gone
from tasks.assignment import PAGE_LEASE, give_back_untouched, lock_task
from tasks.forms import answers_of
from tasks.kinds import Kind, work_of
from tasks.models import Draft, Task
from trees.contributing import undo as undoing
from trees.lifecycle import openings
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.policy import TreePolicy

TAKEN_FOR = timedelta(seconds=30)
"""Pages offer it for 10 seconds. It is accepted for longer: pages arrive late, and people press at the last moment."""


def undo_answer(*, task_id: UUID, user: User, policy: TreePolicy) -> Task:
    """Take the answer of one's own task back, as if it had not been sent, and hold the same work again.

    The task that was handed out after it is given back if nothing was written for it. Undoing twice is one undo.
    Raise NotAllowed, NotFound, Gone (`undo_over`), Conflict (`built_on`), Busy `rate_limited`.
    """
    require_contributor(user)
    ratelimit.count_use(ratelimit.UNDOS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if task.status == Task.Status.OPEN:
            return task
        sent_at = _refuse_late(task)
        body = _body_of_answer(task)
        locked = _undo(task, user, policy)
        _reopen(task, locked, user, body)
    give_back_untouched(user, since=sent_at, policy=policy)
    return task


def _refuse_late(task: Task) -> datetime:
    """Return when the answer was sent. Raise Gone."""
    is_done = task.status == Task.Status.DONE and task.api_client_id is None and not task.collective
    if not is_done or task.finished_at is None or timezone.now() - task.finished_at > TAKEN_FOR:
        raise Gone(
            "An answer can be taken back only right after it was sent.",
            code="undo_over",
            hint="A text of yours can still be withdrawn on its page.",
        )
    return task.finished_at


def _undo(task: Task, user: User, policy: TreePolicy) -> LockedTree:
    if task.result_review is not None:
        return undoing.undo_review(review=task.result_review, policy=policy)
    if task.result_ranking is not None:
        return undoing.undo_ranking(ranking=task.result_ranking, policy=policy)
    if task.result_message_id is None:
        raise AssertionError(f"task {task.pk} is done without a result")
    return undoing.undo_message(message_id=task.result_message_id, author=user, policy=policy)


def _reopen(task: Task, locked: LockedTree, user: User, body: dict[str, Any]) -> None:
    task.status, task.finished_at, task.answer_digest = Task.Status.OPEN, None, ""
    task.result_message = task.result_review = task.result_ranking = None
    until = min(task.expires_at, timezone.now() + PAGE_LEASE)
    if task.check_kind:
        task.check_held_until = until
    task.save()
    work = work_of(Kind(task.kind))
    if work is not None and task.message_id is not None and not task.check_kind:
        openings.hold_again(locked, task.message_id, work, holder=user, lease=task.pk, until=until)
    Draft.objects.update_or_create(task=task, defaults={"body": body})


def _body_of_answer(task: Task) -> dict[str, Any]:
    """Return the answer as the fields of its form, which a draft keeps."""
    if task.result_review is not None:
        return answers_of(task.result_review)
    if task.result_ranking is not None:
        places = {f"rank_{pk}": str(place) for place, pk in enumerate(task.result_ranking.ordered_ids, start=1)}
        return places | ({"not_rankable": "on"} if task.result_ranking.not_rankable else {})
    return {"text": task.result_message.text} if task.result_message is not None else {}
