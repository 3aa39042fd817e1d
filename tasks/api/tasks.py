"""The task protocol of the wire: ask for work, count it, acknowledge, decline, answer, close."""

from typing import Any
from uuid import uuid4

from oasst.accounts.access import require_contributor
from oasst.accounts.identities import person_of_body
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import BooleanField, ChoiceField, IntegerField, LanguageTagField, Schema, TextField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import Person
from oasst.core import ratelimit
from oasst.core.errors import Invalid
from oasst.core.http.requests import client_address
from tasks import assignment, client_tasks, queries
from tasks.api import error_codes as error_codes
from tasks.api.interactions import AnyInteraction, Labelling, store_interaction, store_labels
from tasks.api.payloads import AnyTask, TaskDone, task_payload
from tasks.kinds import Kind
from trees.api.reading import BrokenConversation
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []
RANDOM = "random"
DEFAULT_LANGUAGE = "en"
ATTEMPTS = 3
USER_ERRORS = (ErrorCode.USER_NOT_SPECIFIED, ErrorCode.USER_DISABLED, ErrorCode.USER_HAS_NOT_ACCEPTED_TOS)


class Availability(Schema):
    """The number of messages that offer work of each type."""

    random = IntegerField()
    summarize_story = IntegerField()
    rate_summary = IntegerField()
    initial_prompt = IntegerField()
    prompter_reply = IntegerField()
    assistant_reply = IntegerField()
    rank_initial_prompts = IntegerField()
    rank_prompter_replies = IntegerField()
    rank_assistant_replies = IntegerField()
    label_initial_prompt = IntegerField()
    label_assistant_reply = IntegerField()
    label_prompter_reply = IntegerField()


# Three of them are never handed out.
TYPES = tuple(Availability().fields)


class TaskRequest(Schema):
    type = ChoiceField(TYPES, default=RANDOM)
    user = Person(default=None, allow_null=True)
    collective = BooleanField(default=False)
    lang = LanguageTagField(default=None, allow_null=True)


@operation(
    OPERATIONS,
    "POST",
    "tasks/",
    Access.KEY,
    input_before_key=True,
    body=TaskRequest,
    answer=AnyTask,
    fallback=ErrorCode.TASK_GENERATION_FAILED,
    errors=(
        *(
            ErrorCode.TOO_MANY_REQUESTS,
            ErrorCode.AUTH_AND_USERNAME_REQUIRED,
            ErrorCode.TASK_REQUESTED_TYPE_NOT_AVAILABLE,
        ),
        *(ErrorCode.TASK_TOO_MANY_PENDING, *USER_ERRORS),
    ),
)
def request_task(call: Call) -> Any:
    """Get work for a user: of one type, or of any."""
    body = call.required_body
    if not call.client.trusted:
        ratelimit.count_use(ratelimit.TASK_REQUESTS_FROM_ADDRESS, client_address(call.request))
    if body["user"] is None:
        ratelimit.count_use(ratelimit.ANONYMOUS_TASK_REQUESTS, call.client.pk)
        raise _missing_user()
    user, policy = person_of_body(call.client, body["user"]), current_policy()
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
            return task_payload(task, call.client, policy)
        except BrokenConversation:  # a message above it was removed between the two statements
            assignment.withdraw(task, policy)
    raise assignment.NothingToDo("The work at hand is changing. Please ask again.")


def _kind(name: str) -> Kind | None:
    if name == RANDOM:
        return None
    try:
        return Kind(name)
    except ValueError:
        raise assignment.NothingToDo(f"There is nothing to do of the type {name}.") from None


def _missing_user() -> Invalid:
    return Invalid("Say for whom: the user is missing.", code="no_person")


class AvailabilityQuery(Schema):
    lang = LanguageTagField(default=None)


@operation(
    OPERATIONS,
    "POST",
    "tasks/availability",
    Access.KEY,
    input_before_key=True,
    query=AvailabilityQuery,
    body=Person,
    body_required=False,
    answer=Availability,
    fallback=ErrorCode.TASK_AVAILABILITY_QUERY_FAILED,
    errors=(ErrorCode.AUTH_AND_USERNAME_REQUIRED, *USER_ERRORS),
)
def availability(call: Call) -> Any:
    """Count the work of each type for a user."""
    if call.body is None:
        raise _missing_user()
    user = person_of_body(call.client, call.body)
    require_contributor(user)
    counts = queries.availability(user, call.query["lang"] or DEFAULT_LANGUAGE, current_policy())
    by_type = {kind.value: number for kind, number in counts.items()}
    return {**dict.fromkeys(TYPES, 0), **by_type, RANDOM: sum(counts.values())}


class AckBody(Schema):
    message_id = TextField(max_length=client_tasks.MAX_ID_LENGTH)


@operation(
    OPERATIONS,
    "POST",
    "tasks/<task_id>/ack",
    Access.KEY,
    input_before_key=True,
    viewer=True,
    body=AckBody,
    status=204,
    fallback=ErrorCode.TASK_ACK_FAILED,
    statuses={ErrorCode.TASK_NOT_FOUND: 404},
    errors=(
        *(ErrorCode.INVALID_FRONTEND_MESSAGE_ID, ErrorCode.TASK_NOT_FOUND, ErrorCode.TASK_EXPIRED),
        *(ErrorCode.TASK_ALREADY_UPDATED, ErrorCode.USER_NOT_FOUND),
    ),
)
def acknowledge(call: Call) -> None:
    """Give the task the client's own id, which answers will name."""
    client_tasks.acknowledge(
        task_id=call.id("task_id"), api_client=call.client, frontend_message_id=call.required_body["message_id"]
    )


class NackBody(Schema):
    reason = TextField(default=None, allow_null=True, max_length=512)


@operation(
    OPERATIONS,
    "POST",
    "tasks/<task_id>/nack",
    Access.KEY,
    input_before_key=True,
    viewer=True,
    body=NackBody,
    status=204,
    fallback=ErrorCode.TASK_NACK_FAILED,
    errors=(
        *(
            ErrorCode.TASK_NOT_FOUND,
            ErrorCode.TASK_EXPIRED,
            ErrorCode.TASK_ALREADY_DONE,
            ErrorCode.TASK_NOT_ASSIGNED_TO_USER,
        ),
        *(ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.USER_NOT_FOUND, *USER_ERRORS),
    ),
)
def decline(call: Call) -> None:
    """Give a task back for the user in the header; without one, for the user it was given to."""
    client_tasks.decline(
        task_id=call.id("task_id"),
        api_client=call.client,
        user=call.viewer,
        reason=call.required_body["reason"] or "",
        policy=current_policy(),
    )


ANSWER_ERRORS = (
    *(ErrorCode.TASK_MESSAGE_TOO_LONG, ErrorCode.TASK_MESSAGE_DUPLICATED, ErrorCode.TASK_MESSAGE_TEXT_EMPTY),
    *(ErrorCode.TASK_MESSAGE_DUPLICATE_REPLY, ErrorCode.INVALID_FRONTEND_MESSAGE_ID, ErrorCode.MESSAGE_NOT_FOUND),
    *(ErrorCode.INVALID_RANKING_VALUE, ErrorCode.TREE_IN_ABORTED_STATE, ErrorCode.CORRUPT_RANKING_RESULT),
    *(ErrorCode.TASK_INTERACTION_REQUEST_FAILED, ErrorCode.TASK_UNEXPECTED_PAYLOAD_TYPE),
)
LABEL_ERRORS = (
    *(ErrorCode.TASK_NOT_FOUND, ErrorCode.TASK_EXPIRED, ErrorCode.TASK_PAYLOAD_TYPE_MISMATCH, ErrorCode.TASK_NOT_ACK),
    *(ErrorCode.TASK_ALREADY_DONE, ErrorCode.TASK_NOT_ASSIGNED_TO_USER, ErrorCode.TEXT_LABELS_WRONG_MESSAGE_ID),
    *(ErrorCode.TEXT_LABELS_INVALID_LABEL, ErrorCode.TEXT_LABELS_MANDATORY_LABEL_MISSING),
    *(ErrorCode.TEXT_LABELS_NO_SELF_LABELING, ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.AUTH_AND_USERNAME_REQUIRED),
    *(ErrorCode.USER_DISABLED, ErrorCode.USER_HAS_NOT_ACCEPTED_TOS, ErrorCode.TASK_MESSAGE_TOO_LONG),
)


@operation(
    OPERATIONS,
    "POST",
    "tasks/interaction",
    Access.KEY,
    input_before_key=True,
    body=AnyInteraction,
    answer=TaskDone,
    fallback=ErrorCode.TASK_INTERACTION_REQUEST_FAILED,
    errors=tuple(dict.fromkeys((*ANSWER_ERRORS, *LABEL_ERRORS))),
)
def interact(call: Call) -> Any:
    """Answer a task with a text, labels or a ranking. Labels without a task are free labels."""
    store_interaction(call.required_body, call.client)
    return _done()


class CloseBody(Schema):
    message_id = TextField()


@operation(
    OPERATIONS,
    "POST",
    "tasks/close",
    Access.KEY,
    input_before_key=True,
    body=CloseBody,
    answer=TaskDone,
    statuses={ErrorCode.TASK_NOT_FOUND: 404},
    errors=(
        *(ErrorCode.INVALID_FRONTEND_MESSAGE_ID, ErrorCode.TASK_NOT_FOUND, ErrorCode.TASK_EXPIRED),
        *(ErrorCode.TASK_NOT_ASSIGNED_TO_USER, ErrorCode.TASK_ALREADY_DONE),
    ),
)
def close(call: Call) -> Any:
    """End a collective task."""
    client_tasks.close(api_client=call.client, frontend_message_id=call.required_body["message_id"])
    return _done()


def _done() -> dict[str, Any]:
    return {"id": uuid4(), "type": "task_done"}


@operation(
    OPERATIONS,
    "POST",
    "text_labels/",
    Access.KEY,
    input_before_key=True,
    body=Labelling,
    status=204,
    fallback=ErrorCode.TASK_INTERACTION_REQUEST_FAILED,
    errors=LABEL_ERRORS,
)
def label(call: Call) -> None:
    """Label a message freely, report it, or answer a task with labels."""
    store_labels(call.required_body, call.client, person_of_body(call.client, call.required_body["user"]))
