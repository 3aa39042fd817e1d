"""The client within the process: calls the same services as the pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from oasst.accounts.consent import accept_terms
from oasst.accounts.models import User
from oasst.core.errors import Busy, DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.simulation.crowd.work import Answer, Question, Refused, Work
from tasks import assignment, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tasks.queries import get_task_for
from trees.contributing.reviews import mandatory_labels, requested_labels
from trees.labels import LABELS
from trees.lifecycle.policy import TreePolicy


class ServiceClient:
    repeats = 0  # calls always return, so nothing is sent again

    def __init__(self, user: User, lang: str, policy: TreePolicy) -> None:
        self.user = user
        self.lang = lang
        self.policy = policy

    def enter(self) -> None:
        with _refusals():
            accept_terms(self.user)

    def take(self, kind: Kind | None) -> Work:
        with _refusals():
            task = assignment.request_task(user=self.user, lang=self.lang, kind=kind, policy=self.policy)
        return self._work(task)

    def open(self, task_id: UUID) -> Work:
        with _refusals():
            task = get_task_for(self.user, task_id)
            assignment.require_open(task)
        return self._work(task)

    def _work(self, task: Task) -> Work:
        questions: tuple[Question, ...] = ()
        if TABLE[Kind(task.kind)].answer == "labels" and task.message is not None:
            questions = tuple(
                Question(name, LABELS[name].widget, name in mandatory_labels(task.message, self.policy))
                for name in requested_labels(task.message, task.mode, self.policy)
            )
        return Work(task.pk, Kind(task.kind), questions, tuple(task.reply_ids))

    def answer(self, work: Work, answer: Answer, *, stop: bool) -> Work | None:
        arguments: dict[str, Any] = {"task_id": work.task_id, "user": self.user, "policy": self.policy}
        with _refusals():
            if answer.labels is not None:
                submission.submit_labels(labels=answer.labels, **arguments)
            elif answer.order:
                submission.submit_ranking(ordered_ids=answer.order, **arguments)
            else:
                submission.submit_text(text=answer.text, **arguments)
        return None

    def skip(self, work: Work, reason: str) -> Work | None:
        with _refusals():
            assignment.skip(task_id=work.task_id, user=self.user, reason=reason, policy=self.policy)
        return None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        with timeouts_as_busy():
            yield
    except DomainError as error:
        wait = error.retry_after if isinstance(error, Busy) else 0
        raise Refused(error.code, error.message, wait) from error
