"""Storing answers. Each function is one transaction for the answer, its consequences and the task.

Sending the same answer again returns the task without storing anything. Locks: the task first, then the tree.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Invalid
from oasst.core.idempotency import fingerprint_of
from oasst.core.text import language_detection
from tasks.assignment import lock_task, require_open
from tasks.kinds import TABLE, Answer, Kind
from tasks.models import Task
from trees.contributing import posting, reviews
from trees.contributing.reviews import Labels
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Review


def submit_text(
    *,
    task_id: UUID,
    user: User,
    text: str,
    policy: TreePolicy,
    lang: str | None = None,
    frontend_message_id: str | None = None,
) -> Task:
    """Store a prompt or a reply. A first prompt may have another language than its task, since no opening is held for
    it; from then on it counts as supply of that language.

    Raise what `posting` raises, and Gone, NotFound, Busy, Invalid (`wrong_kind`).
    """
    detection = language_detection.detect(text)  # before any lock, since it takes time

    def store(task: Task) -> None:
        arguments: dict[str, Any] = {
            "author": user,
            "text": text,
            "policy": policy,
            "detection": detection,
            "api_client_id": task.api_client_id,
            "frontend_message_id": frontend_message_id,
        }
        if task.message is None:
            task.result_message = posting.post_prompt(lang=lang or task.lang, **arguments)
        else:
            task.result_message = posting.post_reply(parent=task.message, lang=lang, lease=task.pk, **arguments)

    return _submit(task_id, user, "text", fingerprint_of(text, lang), store)


def submit_labels(*, task_id: UUID, user: User, labels: Labels, policy: TreePolicy) -> Task:
    """Store a review. Raise what `reviews.record_labels` raises, and Gone, NotFound, Invalid (`wrong_kind`)."""

    def store(task: Task) -> None:
        arguments: dict[str, Any] = {
            "message": _message_of(task),
            "author": user,
            "labels": labels,
            "policy": policy,
            "mode": task.mode,
            "revision_id": task.revision_ids[0],
        }
        if task.check_kind:
            task.result_review = reviews.record_check(kind=Review.Kind(task.check_kind), **arguments)
        else:
            task.result_review = reviews.record_labels(lease=task.pk, **arguments)

    return _submit(task_id, user, "labels", fingerprint_of(labels), store)


def submit_ranking(
    *, task_id: UUID, user: User, ordered_ids: Sequence[UUID], policy: TreePolicy, not_rankable: bool = False
) -> Task:
    """Store a ranking, best first. It must name each shown reply once.

    Raise what `reviews.record_ranking` raises, and Gone, NotFound, Invalid (`ranking_incomplete`, `wrong_kind`).
    """

    def store(task: Task) -> None:
        if sorted(ordered_ids) != sorted(task.reply_ids):
            raise Invalid(
                f"The order must name each of the {len(task.reply_ids)} replies exactly once.",
                code="ranking_incomplete",
                field="ranking",
            )
        revisions = dict(zip(task.reply_ids, task.revision_ids, strict=True))
        task.result_ranking = reviews.record_ranking(
            parent=_message_of(task),
            author=user,
            ordered_ids=ordered_ids,
            revision_ids=[revisions[message_id] for message_id in ordered_ids],
            policy=policy,
            not_rankable=not_rankable,
            lease=task.pk,
        )

    return _submit(task_id, user, "ranking", fingerprint_of(list(ordered_ids), not_rankable), store)


def _submit(task_id: UUID, user: User, answer: Answer, digest: str, store: Callable[[Task], None]) -> Task:
    require_contributor(user)
    ratelimit.count_use(ratelimit.ANSWERS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if TABLE[Kind(task.kind)].answer != answer:
            raise Invalid("This answer does not fit the task.", code="wrong_kind")
        if task.status == Task.Status.DONE:
            # API clients get the error, as in the reference system; an idempotency key makes their requests repeatable.
            if task.answer_digest == digest and task.api_client_id is None:
                return task
            raise Conflict("You already did this task, with another answer.", code="task_done")
        require_open(task)
        store(task)
        task.status, task.finished_at, task.answer_digest = Task.Status.DONE, timezone.now(), digest
        Task.objects.save_fields(task, _ANSWER_FIELDS)
        return task


_ANSWER_FIELDS = ("status", "finished_at", "answer_digest", "result_message", "result_review", "result_ranking")


def _message_of(task: Task) -> Message:
    if task.message is None:
        raise AssertionError(f"task {task.pk} of kind {task.kind} is about no message")
    return task.message
