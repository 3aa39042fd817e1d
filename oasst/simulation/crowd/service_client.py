"""The door inside the process: the same services that the pages call."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from oasst.accounts.consent import accept_terms
from oasst.accounts.models import User
from oasst.core.errors import Busy, DomainError
from oasst.core.locks import waits_are_busy
from oasst.simulation.crowd.work import Answer, Question, Refused, Work
from tasks import assignment, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tasks.queries import get_task_for
from trees.contributing.reviews import labels_asked
from trees.labels import LABELS
from trees.lifecycle.policy import TreePolicy


class ServiceDoor:
    again = 0  # within one process an answer always comes

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
                Question(name, LABELS[name].widget, name in self.policy.mandatory_labels)
                for name in labels_asked(task.message, task.mode, self.policy)
            )
        return Work(task.pk, Kind(task.kind), questions, tuple(task.reply_ids))

    def answer(self, work: Work, answer: Answer, *, stop: bool) -> Work | None:
        with _refusals():
            if answer.labels is not None:
                submission.submit_labels(task_id=work.task_id, user=self.user, labels=answer.labels, policy=self.policy)
            elif answer.order:
                submission.submit_ranking(
                    task_id=work.task_id, user=self.user, ordered_ids=answer.order, policy=self.policy
                )
            else:
                submission.submit_text(task_id=work.task_id, user=self.user, text=answer.text, policy=self.policy)
        return None

    def skip(self, work: Work, reason: str) -> Work | None:
        with _refusals():
            assignment.skip(task_id=work.task_id, user=self.user, reason=reason, policy=self.policy)
        return None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        with waits_are_busy():
            yield
    except DomainError as error:
        wait = error.retry_after if isinstance(error, Busy) else 0
        raise Refused(error.code, error.message, wait) from error
