"""The task protocol: ask for work, say what there is, acknowledge, decline, answer, close."""

from typing import Any
from uuid import uuid4

from oasst.accounts.access import require_contributor
from oasst.accounts.identities import speak_for
from oasst.api.codes import Wire
from oasst.api.fields import Choice, Flag, Language, Shape, Text, Whole
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import Person
from oasst.core import ratelimit
from oasst.core.errors import Invalid
from oasst.core.http.requests import client_address
from tasks import assignment, client_tasks, queries
from tasks.api import codes as codes
from tasks.api.interactions import AnyInteraction, Labelling, take, take_labels
from tasks.api.payloads import AnyTask, TaskDone, payload
from tasks.kinds import Kind
from trees.api.reading import BrokenConversation
from trees.lifecycle.policy import current_policy

OPERATIONS: list[Operation] = []
RANDOM = "random"
DEFAULT_LANGUAGE = "en"
ATTEMPTS = 3
BANNED = (Wire.USER_NOT_SPECIFIED, Wire.USER_DISABLED, Wire.USER_HAS_NOT_ACCEPTED_TOS)


class Availability(Shape):
    """For how many messages there is work of each type."""

    random = Whole()
    summarize_story = Whole()
    rate_summary = Whole()
    initial_prompt = Whole()
    prompter_reply = Whole()
    assistant_reply = Whole()
    rank_initial_prompts = Whole()
    rank_prompter_replies = Whole()
    rank_assistant_replies = Whole()
    label_initial_prompt = Whole()
    label_assistant_reply = Whole()
    label_prompter_reply = Whole()


# Three of them nobody is ever given.
TYPES = tuple(Availability().fields)


class TaskRequest(Shape):
    type = Choice(TYPES, default=RANDOM)
    user = Person(default=None, allow_null=True)
    collective = Flag(default=False)
    lang = Language(default=None, allow_null=True)


@operation(
    OPERATIONS,
    "POST",
    "tasks/",
    Access.KEY,
    key_late=True,
    body=TaskRequest,
    answer=AnyTask,
    fallback=Wire.TASK_GENERATION_FAILED,
    errors=(
        *(Wire.TOO_MANY_REQUESTS, Wire.AUTH_AND_USERNAME_REQUIRED, Wire.TASK_REQUESTED_TYPE_NOT_AVAILABLE),
        *(Wire.TASK_TOO_MANY_PENDING, *BANNED),
    ),
)
def request_task(call: Call) -> Any:
    """Get work for a person: of one type, or whatever is most wanted."""
    body = call.given
    if not call.client.trusted:
        ratelimit.spend(ratelimit.TASK_REQUESTS_FROM_ADDRESS, client_address(call.request))
    if body["user"] is None:
        ratelimit.spend(ratelimit.TASK_REQUESTS_FOR_NOBODY, call.client.pk)
        raise _nobody()
    user = speak_for(call.client, body["user"])
    policy = current_policy()
    for _ in range(ATTEMPTS):
        task = assignment.request_task(
            user=user,
            lang=body["lang"] or DEFAULT_LANGUAGE,
            kind=_kind(body["type"]),
            policy=policy,
            api_client=call.client,
            collective=body["collective"],
        )
        try:
            return payload(task, call.client, policy)
        except BrokenConversation:  # something above it went between the two statements
            assignment.withdraw(task, policy)
    raise assignment.NothingToDo("The work at hand is changing. Please ask again.")


def _kind(wanted: str) -> Kind | None:
    if wanted == RANDOM:
        return None
    try:
        return Kind(wanted)
    except ValueError:
        raise assignment.NothingToDo(f"There is nothing to do of the type {wanted}.") from None


def _nobody() -> Invalid:
    return Invalid("Say for whom: the user is missing.", code="no_person")


class AvailabilityQuery(Shape):
    lang = Language(default=None)


@operation(
    OPERATIONS,
    "POST",
    "tasks/availability",
    Access.KEY,
    key_late=True,
    query=AvailabilityQuery,
    body=Person,
    body_required=False,
    answer=Availability,
    fallback=Wire.TASK_AVAILABILITY_QUERY_FAILED,
    errors=(Wire.AUTH_AND_USERNAME_REQUIRED, *BANNED),
)
def availability(call: Call) -> Any:
    """How much work of each type there is for a person."""
    if call.body is None:
        raise _nobody()
    user = speak_for(call.client, call.body)
    require_contributor(user)
    counts = queries.availability(user, call.query["lang"] or DEFAULT_LANGUAGE, current_policy())
    found = dict.fromkeys(TYPES, 0) | {kind.value: number for kind, number in counts.items()}
    return found | {RANDOM: sum(counts.values())}


class AckBody(Shape):
    message_id = Text(max_length=client_tasks.LONGEST_ID)


@operation(
    OPERATIONS,
    "POST",
    "tasks/<task_id>/ack",
    Access.KEY,
    key_late=True,
    viewer=True,
    body=AckBody,
    status=204,
    fallback=Wire.TASK_ACK_FAILED,
    statuses={Wire.TASK_NOT_FOUND: 404},
    errors=(
        *(Wire.INVALID_FRONTEND_MESSAGE_ID, Wire.TASK_NOT_FOUND, Wire.TASK_EXPIRED),
        *(Wire.TASK_ALREADY_UPDATED, Wire.USER_NOT_FOUND),
    ),
)
def acknowledge(call: Call) -> None:
    """Bind the client's own id to the task: answers name it."""
    client_tasks.acknowledge(
        task_id=call.id("task_id"), api_client=call.client, frontend_message_id=call.given["message_id"]
    )


class NackBody(Shape):
    reason = Text(default=None, allow_null=True, max_length=512)


@operation(
    OPERATIONS,
    "POST",
    "tasks/<task_id>/nack",
    Access.KEY,
    key_late=True,
    viewer=True,
    body=NackBody,
    status=204,
    fallback=Wire.TASK_NACK_FAILED,
    errors=(
        *(Wire.TASK_NOT_FOUND, Wire.TASK_EXPIRED, Wire.TASK_ALREADY_DONE, Wire.TASK_NOT_ASSIGNED_TO_USER),
        *(Wire.MESSAGE_NOT_FOUND, Wire.USER_NOT_FOUND, *BANNED),
    ),
)
def decline(call: Call) -> None:
    """The person named in the header does not want this task; without one, whoever it was given to."""
    client_tasks.decline(
        task_id=call.id("task_id"),
        api_client=call.client,
        user=call.viewer,
        reason=call.given["reason"] or "",
        policy=current_policy(),
    )


ANSWERING = (
    *(Wire.TASK_MESSAGE_TOO_LONG, Wire.TASK_MESSAGE_DUPLICATED, Wire.TASK_MESSAGE_TEXT_EMPTY),
    *(Wire.TASK_MESSAGE_DUPLICATE_REPLY, Wire.INVALID_FRONTEND_MESSAGE_ID, Wire.MESSAGE_NOT_FOUND),
    *(Wire.INVALID_RANKING_VALUE, Wire.TREE_IN_ABORTED_STATE, Wire.CORRUPT_RANKING_RESULT),
    *(Wire.TASK_INTERACTION_REQUEST_FAILED, Wire.TASK_UNEXPECTED_PAYLOAD_TYPE),
)
LABELLING = (
    *(Wire.TASK_NOT_FOUND, Wire.TASK_EXPIRED, Wire.TASK_PAYLOAD_TYPE_MISMATCH, Wire.TASK_NOT_ACK),
    *(Wire.TASK_ALREADY_DONE, Wire.TASK_NOT_ASSIGNED_TO_USER, Wire.TEXT_LABELS_WRONG_MESSAGE_ID),
    *(Wire.TEXT_LABELS_INVALID_LABEL, Wire.TEXT_LABELS_MANDATORY_LABEL_MISSING),
    *(Wire.TEXT_LABELS_NO_SELF_LABELING, Wire.MESSAGE_NOT_FOUND, Wire.AUTH_AND_USERNAME_REQUIRED),
    *(Wire.USER_DISABLED, Wire.USER_HAS_NOT_ACCEPTED_TOS, Wire.TASK_MESSAGE_TOO_LONG),
)


@operation(
    OPERATIONS,
    "POST",
    "tasks/interaction",
    Access.KEY,
    key_late=True,
    body=AnyInteraction,
    answer=TaskDone,
    fallback=Wire.TASK_INTERACTION_REQUEST_FAILED,
    errors=tuple(dict.fromkeys((*ANSWERING, *LABELLING))),
)
def interact(call: Call) -> Any:
    """Answer a task: a text, labels or a ranking. Labels without a task are free ones."""
    take(call.given, call.client)
    return _done()


class CloseBody(Shape):
    message_id = Text()


@operation(
    OPERATIONS,
    "POST",
    "tasks/close",
    Access.KEY,
    key_late=True,
    body=CloseBody,
    answer=TaskDone,
    statuses={Wire.TASK_NOT_FOUND: 404},
    errors=(
        *(Wire.INVALID_FRONTEND_MESSAGE_ID, Wire.TASK_NOT_FOUND, Wire.TASK_EXPIRED),
        *(Wire.TASK_NOT_ASSIGNED_TO_USER, Wire.TASK_ALREADY_DONE),
    ),
)
def close(call: Call) -> Any:
    """End a task that was for everybody."""
    client_tasks.close(api_client=call.client, frontend_message_id=call.given["message_id"])
    return _done()


def _done() -> dict[str, Any]:
    return {"id": uuid4(), "type": "task_done"}


@operation(
    OPERATIONS,
    "POST",
    "text_labels/",
    Access.KEY,
    key_late=True,
    body=Labelling,
    status=204,
    fallback=Wire.TASK_INTERACTION_REQUEST_FAILED,
    errors=LABELLING,
)
def label(call: Call) -> None:
    """Label a message freely, report it, or answer a task with labels."""
    take_labels(call.given, call.client, speak_for(call.client, call.given["user"]))
