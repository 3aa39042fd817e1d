"""Operations on messages, and the stream of an answer."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import connection
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from inference.api.representations import represent_message, represent_message_by_id, sampling_from_wire
from inference.api.schemas import (
    AnyEvent,
    CreateAssistantMessage,
    CreatePrompterMessage,
    EvaluationRequest,
    EventsQuery,
    MessageRead,
    ReportRequest,
    VoteRequest,
)
from inference.chats import access, asking, feedback
from inference.models import ChatMessage, Role
from inference.policy import current_policy
from inference.turns.events import Done, Event, Failed, Queued, Token
from inference.turns.sse import Encode, parse_position, stream_answer
from inference.turns.states import OPEN
from oasst.accounts.models import User
from oasst.api.fields import TextField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.errors import Invalid, NotFound

OPERATIONS: list[Operation] = []
PERSON = Access.PERSON
_MESSAGE = "chats/<chat_id>/messages/<message_id>"


@operation(
    OPERATIONS, "POST", "chats/<chat_id>/prompter_message", PERSON, body=CreatePrompterMessage, answer=MessageRead
)
def create_prompter_message(call: Call) -> Any:
    """Post a message: the first of a chat, or a reply to an answer."""
    body = call.required_body
    message = asking.post_message(
        user=call.user,
        chat_id=call.id("chat_id"),
        text=body["content"],
        parent_id=body["parent_id"],
        policy=current_policy(),
    )
    return represent_message(message)


@operation(
    OPERATIONS, "POST", "chats/<chat_id>/assistant_message", PERSON, body=CreateAssistantMessage, answer=MessageRead
)
def create_assistant_message(call: Call) -> Any:
    """Ask for an answer to a message: the first one, or one more beside those that are there."""
    body = call.required_body
    access.get_chat_for(call.user, call.id("chat_id"))
    if not ChatMessage.objects.filter(pk=body["parent_id"], chat=call.id("chat_id")).exists():
        raise NotFound("Message not found", code="message_not_found", field="parent_id")
    instructions = {
        "system_prompt": body["system_prompt"],
        "user_profile": body["user_profile"],
        "response_instructions": body["user_response_instructions"],
    }
    turn = asking.answer_again(
        user=call.user,
        message_id=body["parent_id"],
        chosen=sampling_from_wire(body["sampling_parameters"]),
        model=body["model_config_name"],
        instructions={name: text for name, text in instructions.items() if text is not None},
        policy=current_policy(),
        by_program=True,
    )
    return represent_message(turn.message)


@operation(OPERATIONS, "GET", _MESSAGE, PERSON, answer=MessageRead)
def get_message(call: Call) -> Any:
    """One message."""
    return represent_message_by_id(_message(call).pk, call.user)


@operation(
    OPERATIONS,
    "GET",
    f"{_MESSAGE}/events",
    PERSON,
    query=EventsQuery,
    events=AnyEvent,
    other_statuses={204: "It has ended, and the client has all of it."},
    headers={
        "Last-Event-ID": TextField(required=False, help_text="The `id` of the last event that came; wins over `after`.")
    },
)
def get_events(call: Call) -> HttpResponseBase:
    """An answer as it is written, as Server-Sent Events. 204 if it has ended and the client has all of it."""
    answer = _message(call)
    if answer.role != Role.ASSISTANT:
        raise Invalid("Only answers can be watched.", code="not_an_answer")
    # The header comes from a browser that reconnects.
    position = parse_position(call.request.headers.get("Last-Event-ID") or call.query["after"])
    # A client that lost its connection still gets the end; 204 keeps one that has the end from reconnecting.
    if answer.turn.state not in OPEN and (position == 0 or position > len(answer.content)):
        return HttpResponse(status=204)
    return stream_answer(answer.pk, _encoder(answer.pk, call.user), after=position, ids=call.query["ids"])


@operation(OPERATIONS, "POST", f"{_MESSAGE}/stop", PERSON)
def stop(call: Call) -> None:
    """Stop an answer; the text so far stays."""
    asking.stop_turn(user=call.user, message_id=_message(call).pk)


@operation(OPERATIONS, "POST", f"{_MESSAGE}/votes", PERSON, body=VoteRequest)
def vote(call: Call) -> None:
    """A thumb up (1), down (-1) or none (0)."""
    feedback.vote(user=call.user, message_id=_message(call).pk, score=call.required_body["score"])


@operation(OPERATIONS, "POST", f"{_MESSAGE}/message_evals", PERSON, body=EvaluationRequest)
def evaluate(call: Call) -> None:
    """Say that this answer is better than those others to the same message."""
    rejected = call.required_body["inferior_message_ids"]
    feedback.choose_draft(user=call.user, message_id=_message(call).pk, rejected_ids=rejected)


@operation(OPERATIONS, "POST", f"{_MESSAGE}/reports", PERSON, body=ReportRequest)
def report(call: Call) -> None:
    """Tell the moderators that an answer is bad."""
    body = call.required_body
    feedback.report(user=call.user, message_id=_message(call).pk, kind=body["report_type"], reason=body["reason"])


def _message(call: Call) -> ChatMessage:
    """Return the message of the path. Raise NotFound if it is not in the chat of the path."""
    message = access.get_message_for(call.user, call.id("message_id"))
    if message.chat_id != call.id("chat_id"):
        raise NotFound("There is no such message in this chat.", code="message_not_found")
    return message


def _encoder(message_id: UUID, user: User) -> Encode:
    """Return a function that encodes events for clients of Open-Assistant's inference server."""

    async def encode(event: Event) -> dict[str, Any] | None:
        if isinstance(event, Token):
            return {"event_type": "token", "text": event.text}
        if isinstance(event, Queued):
            return {"event_type": "pending", "queue_position": event.position, "queue_size": event.size}
        if isinstance(event, Done):
            return {"event_type": "message", "message": await _in_thread(represent_message_by_id, message_id, user)}
        if isinstance(event, Failed):
            message = await _in_thread(represent_message_by_id, message_id, user)
            return {"event_type": "error", "error": event.message, "message": message}
        return None

    return encode


async def _in_thread(query: Callable[..., Any], *args: Any) -> Any:
    """Call `query` in a thread, and give its database connection back at once."""

    def run() -> Any:
        try:
            return query(*args)
        finally:
            connection.close()

    return await database_sync_to_async(run, thread_sensitive=False)()
