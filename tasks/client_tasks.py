"""Tasks of API clients: acknowledge them with the client's own id, decline, close and answer them.

A client finds only the tasks that it asked for. The rules of tasks themselves are in `assignment` and `submission`.
"""

from collections.abc import Callable, Iterable
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

MAX_ID_LENGTH = 200


def find_task(api_client: ApiClient, task_id: UUID) -> Task:
    """Return a task of this client. Raise NotFound."""
    return _first(Task.objects.of_client(api_client.pk, task_id))


def find_acknowledged(api_client: ApiClient, frontend_message_id: str) -> Task:
    """Return the task that the client acknowledged with this id. Raise Invalid `frontend_id_empty`, NotFound."""
    return _first(Task.objects.acknowledged_as(api_client.pk, _non_empty(frontend_message_id)))


def _first(tasks: Iterable[Task]) -> Task:
    for task in tasks:
        return task
    raise NotFound("This API client has no such task.", code="task_not_found")


def _non_empty(frontend_message_id: str) -> str:
    if not frontend_message_id:
        raise Invalid("The id that you give must not be empty.", code="frontend_id_empty")
    return frontend_message_id


def acknowledge(*, task_id: UUID, api_client: ApiClient, frontend_message_id: str) -> None:
    """Give the task the client's own id. Repeating the same id changes nothing, even after the task has ended.

    Raise Invalid `frontend_id_empty`, NotFound, Gone `task_expired`, Conflict `already_acknowledged`. One statement in
    the normal case.
    """
    try:
        with transaction.atomic():
            bound = Task.objects.bind(task_id, api_client.pk, _non_empty(frontend_message_id), timezone.now())
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
    """Give the task back for this user; without a user, for the one it was given to. Repeating changes nothing.

    Raise NotFound, Gone (`task_expired`, `task_done`), NotAllowed, Invalid.
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
        ratelimit.count_use(ratelimit.SKIPS, user.pk)
        with transaction.atomic(durable=True):
            reviews.record_skip(message=task.message, author=user, kind=assignment.skip_kind(task), note=reason)


def close(*, api_client: ApiClient, frontend_message_id: str) -> None:
    """End a collective task. Raise NotFound, Gone (`task_expired`, `task_done`), NotAllowed `not_collective`."""
    with transaction.atomic(durable=True):
        locked = Task.objects.select_for_update(no_key=True)
        task = _first(locked.filter(api_client=api_client, frontend_message_id=_non_empty(frontend_message_id))[:1])
        _refuse_expired(task)
        if not task.collective:
            raise NotAllowed("Only a task for everybody is closed in this way.", code="not_collective")
        assignment.require_open(task)
        task.status, task.finished_at = Task.Status.DONE, timezone.now()
        task.save(update_fields=["status", "finished_at"])


def submit_answer(task: Task, user: User, kind: str, submit: Callable[[UUID], Task]) -> Task:
    """Call `submit` with the id of the task. For a collective task, submit a copy that belongs to the user, so that the
    task itself stays open for others.

    Raise Gone (`task_expired`, `task_done`), Conflict `not_acknowledged`, NotAllowed `task_of_another`, Invalid
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
    copy = _copy_for(user, task)
    try:
        return submit(copy.pk)
    except Exception:
        copy.delete()
        raise


def _copy_for(user: User, task: Task) -> Task:
    now = timezone.now()
    copy = Task(
        user=user,
        expires_at=now + assignment.VALIDITY,
        created_at=now,
        **{
            name: getattr(task, name)
            for name in ("api_client_id", "kind", "lang", "message_id", "mode", "reply_ids", "revision_ids")
        },
    )
    Task.objects.insert(copy)
    return copy


def _refuse_expired(task: Task) -> None:
    if task.status == Task.Status.EXPIRED or (task.status != Task.Status.DONE and task.expires_at <= timezone.now()):
        raise Gone("This task ran out: it could be answered for two days.", code="task_expired")


def _refuse_others(task: Task, user: User) -> None:
    if task.user_id != user.pk and not task.collective:
        raise NotAllowed("This task was given to somebody else.", code="task_of_another")
