"""Taking answers. Each function is one transaction: the answer, what follows from it, and the task, or nothing.

Sending the same answer again returns the first one; nothing is stored twice. Locks run downhill: the task, then the
tree.
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
from trees.models import Message


def submit_text(
    *,
    task_id: UUID,
    user: User,
    text: str,
    policy: TreePolicy,
    lang: str | None = None,
    frontend_message_id: str | None = None,
) -> Task:
    """Store a prompt or a reply. A first prompt may be filed under another language than its task: no place is held for
    it, so it counts as supply of that language from then on.

    Raises what `posting` raises, and Gone, NotFound, Busy, Invalid (`wrong_kind`).
    """
    reading = language_detection.read(text)  # before anything is locked

    def store(task: Task) -> None:
        about: dict[str, Any] = {
            "reading": reading,
            "api_client_id": task.api_client_id,
            "frontend_message_id": frontend_message_id,
        }
        if task.message is None:
            task.result_message = posting.post_prompt(
                author=user, text=text, lang=lang or task.lang, policy=policy, **about
            )
        else:
            task.result_message = posting.post_reply(
                parent=task.message, author=user, text=text, lang=lang, policy=policy, lease=task.pk, **about
            )

    return _submit(task_id, user, "text", fingerprint_of(text, lang), store)


def submit_labels(*, task_id: UUID, user: User, labels: Labels, policy: TreePolicy) -> Task:
    """Store a review. Raises what `reviews.record_labels` raises, and Gone, NotFound, Invalid (`wrong_kind`)."""

    def store(task: Task) -> None:
        task.result_review = reviews.record_labels(
            message=_about(task),
            author=user,
            labels=labels,
            policy=policy,
            mode=task.mode,
            revision_id=task.revision_ids[0],
            lease=task.pk,
        )

    return _submit(task_id, user, "labels", fingerprint_of(labels), store)


def submit_ranking(
    *, task_id: UUID, user: User, ordered_ids: Sequence[UUID], policy: TreePolicy, not_rankable: bool = False
) -> Task:
    """Store a ranking, best first. It must name each shown reply once.

    Raises what `reviews.record_ranking` raises, and Gone, NotFound, Invalid (`ranking_incomplete`, `wrong_kind`).
    """

    def store(task: Task) -> None:
        if sorted(ordered_ids) != sorted(task.reply_ids):
            raise Invalid(
                f"The order must name each of the {len(task.reply_ids)} replies exactly once.",
                code="ranking_incomplete",
                field="ranking",
            )
        shown = dict(zip(task.reply_ids, task.revision_ids, strict=True))
        task.result_ranking = reviews.record_ranking(
            parent=_about(task),
            author=user,
            ordered_ids=ordered_ids,
            revision_ids=[shown[message_id] for message_id in ordered_ids],
            policy=policy,
            not_rankable=not_rankable,
            lease=task.pk,
        )

    return _submit(task_id, user, "ranking", fingerprint_of(list(ordered_ids), not_rankable), store)


def _submit(task_id: UUID, user: User, answer: Answer, digest: str, store: Callable[[Task], None]) -> Task:
    require_contributor(user)
    ratelimit.spend(ratelimit.ANSWERS, user.pk)
    with transaction.atomic(durable=True):
        task = lock_task(task_id, user)
        if TABLE[Kind(task.kind)].answer != answer:
            raise Invalid("This answer does not fit the task.", code="wrong_kind")
        if task.status == Task.Status.DONE:
            # Programs hear that it is done already, as they always did; a key makes their requests repeatable.
            if task.answer_digest == digest and task.api_client_id is None:
                return task
            raise Conflict("You already did this task, with another answer.", code="task_done")
        require_open(task)
        store(task)
        task.status, task.finished_at, task.answer_digest = Task.Status.DONE, timezone.now(), digest
        Task.objects.store(task, _OF_ANSWER)
        return task


_OF_ANSWER = ("status", "finished_at", "answer_digest", "result_message", "result_review", "result_ranking")


def _about(task: Task) -> Message:
    if task.message is None:
        raise AssertionError(f"task {task.pk} of kind {task.kind} is about no message")
    return task.message
