"""Tasks in the hands of API clients: bound to the client's own id, skipped, closed, answered.

A task is looked up inside the client that asked for it; those of others do not exist for it. Rules of a task itself are
those of `assignment` and `submission`.
"""

from collections.abc import Callable
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from tasks import assignment
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.contributing import reviews
from trees.lifecycle.policy import TreePolicy

LONGEST_ID = 200


def find_task(api_client: ApiClient, task_id: UUID) -> Task:
    """Raises NotFound."""
    return _only(Task.objects.of_client(api_client.pk, task_id))


def find_acknowledged(api_client: ApiClient, frontend_message_id: str) -> Task:
    """The task to which the client gave this id. Raises Invalid `frontend_id_empty`, NotFound."""
    return _only(Task.objects.acknowledged_as(api_client.pk, _id(frontend_message_id)))


def _only(found: list[Task]) -> Task:
    if not found:
        raise NotFound("This API client has no such task.", code="task_not_found")
    return found[0]


def _id(given: str) -> str:
    if not given:
        raise Invalid("The id that you give must not be empty.", code="frontend_id_empty")
    return given


def acknowledge(*, task_id: UUID, api_client: ApiClient, frontend_message_id: str) -> None:
    """Bind the client's own id to the task; the same id once more changes nothing, whatever became of the task.

    Raises Invalid `frontend_id_empty`, NotFound, Gone `task_expired`, Conflict `already_acknowledged`. One statement
    where nothing is in the way.
    """
    try:
        with transaction.atomic():
            bound = Task.objects.bind(task_id, api_client.pk, _id(frontend_message_id), timezone.now())
    except IntegrityError as error:
        raise Conflict("You have another task with this id.", code="already_acknowledged") from error
    if bound:
        return
    task = find_task(api_client, task_id)
    if task.frontend_message_id == frontend_message_id:
        return
    _refuse_expired(task)
    raise Conflict("This task has another id already, or is done.", code="already_acknowledged")


def decline(*, task_id: UUID, api_client: ApiClient, user: User | None, reason: str, policy: TreePolicy) -> None:
    """The person does not want this task; without a person it is whoever it was given to. Again changes nothing.

    Raises NotFound, Gone (`task_expired`, `task_done`), NotAllowed, Invalid.
    """
    task = find_task(api_client, task_id)
    if user is None:
        user = task.user
        user.vouched_for = True
    require_contributor(user)
    _refuse_expired(task)
    if task.status == Task.Status.DONE:
        raise Gone("This task is done already.", code="task_done")
    _refuse_others(task, user)
    if not task.collective:
        assignment.skip(task_id=task.pk, user=user, policy=policy, note=reason)
    elif task.message is not None:
        ratelimit.spend(ratelimit.SKIPS, user.pk)
        with transaction.atomic(durable=True):
            reviews.record_skip(message=task.message, author=user, kind=assignment.skip_kind(task), note=reason)


def close(*, api_client: ApiClient, frontend_message_id: str) -> None:
    """End a collective task. Raises NotFound, Gone (`task_expired`, `task_done`), NotAllowed `not_collective`."""
    with transaction.atomic(durable=True):
        tasks = Task.objects.select_for_update(no_key=True)
        task = tasks.filter(api_client=api_client, frontend_message_id=_id(frontend_message_id)).first()
        if task is None:
            raise NotFound("This API client has no such task.", code="task_not_found")
        _refuse_expired(task)
        if not task.collective:
            raise NotAllowed("Only a task for everybody is closed in this way.", code="not_collective")
        assignment.require_open(task)
        task.status, task.finished_at = Task.Status.DONE, timezone.now()
        task.save(update_fields=["status", "finished_at"])


def answer(task: Task, user: User, kind: str, submit: Callable[[UUID], Task]) -> Task:
    """Let the person answer by `submit`, which takes the id of their task. Each answer to a collective task becomes a
    task of its own, so that it stays open for the others.

    Raises Gone (`task_expired`, `task_done`), Conflict `not_acknowledged`, NotAllowed `task_of_another`, Invalid
    (`no_text_wanted`, `wrong_kind`), and what `submit` raises.
    """
    require_contributor(user)
    _refuse_expired(task)
    if task.acknowledged_at is None:
        raise Conflict("This task was not acknowledged.", code="not_acknowledged")
    if task.status == Task.Status.DONE:
        raise Gone("This task is done already.", code="task_done")
    _refuse_others(task, user)
    if TABLE[Kind(task.kind)].answer != kind:
        code = "no_text_wanted" if kind == "text" else "wrong_kind"
        raise Invalid(f"A task of the kind {task.kind} is not answered in this way.", code=code)
    if not task.collective:
        return submit(task.pk)
    own = _own_part(task, user)
    try:
        return submit(own.pk)
    except Exception:
        own.delete()
        raise


def _own_part(task: Task, user: User) -> Task:
    now = timezone.now()
    own = Task(
        user=user,
        expires_at=now + assignment.VALIDITY,
        created_at=now,
        **{
            name: getattr(task, name)
            for name in ("api_client_id", "kind", "lang", "message_id", "mode", "reply_ids", "revision_ids")
        },
    )
    Task.objects.insert(own)
    return own


def _refuse_expired(task: Task) -> None:
    if task.status == Task.Status.EXPIRED or (task.status != Task.Status.DONE and task.expires_at <= timezone.now()):
        raise Gone("This task ran out: it could be answered for two days.", code="task_expired")


def _refuse_others(task: Task, user: User) -> None:
    if task.user_id != user.pk and not task.collective:
        raise NotAllowed("This task was given to somebody else.", code="task_of_another")
