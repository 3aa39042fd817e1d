"""Operations on messages, and the stream of an answer."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import connection
from django.http import HttpResponse
from django.http.response import HttpResponseBase

from inference.api.representations import find_and_show, read_sampling, show_message
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
from inference.turns.sse import Encode, place_of, stream_answer
from inference.turns.states import OPEN
from oasst.accounts.models import User
from oasst.api.fields import Text
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.errors import Invalid, NotFound

OPERATIONS: list[Operation] = []
PERSON = Access.PERSON
_MESSAGE = "chats/<chat_id>/messages/<message_id>"


@operation(
    OPERATIONS, "POST", "chats/<chat_id>/prompter_message", PERSON, body=CreatePrompterMessage, answer=MessageRead
)
def create_prompter_message(call: Call) -> Any:
    """Say something, as a reply to an answer or as a beginning."""
    made = asking.post_message(
        user=call.person,
        chat_id=call.id("chat_id"),
        text=call.given["content"],
        parent_id=call.given["parent_id"],
        policy=current_policy(),
    )
    return show_message(made)


@operation(
    OPERATIONS, "POST", "chats/<chat_id>/assistant_message", PERSON, body=CreateAssistantMessage, answer=MessageRead
)
def create_assistant_message(call: Call) -> Any:
    """Ask for an answer to a message: the first one, or one more beside those that are there."""
    body = call.given
    _require_prompt(call, body["parent_id"])
    instructions = {
        "system_prompt": body["system_prompt"],
        "user_profile": body["user_profile"],
        "response_instructions": body["user_response_instructions"],
    }
    turn = asking.answer_again(
        user=call.person,
        message_id=body["parent_id"],
        chosen=read_sampling(body["sampling_parameters"]),
        model=body["model_config_name"],
        instructions={name: text for name, text in instructions.items() if text is not None},
        policy=current_policy(),
        by_program=True,
    )
    return show_message(turn.message)


@operation(OPERATIONS, "GET", _MESSAGE, PERSON, answer=MessageRead)
def get_message(call: Call) -> Any:
    """One message."""
    return find_and_show(_message(call).pk, call.person)


@operation(
    OPERATIONS,
    "GET",
    f"{_MESSAGE}/events",
    PERSON,
    query=EventsQuery,
    events=AnyEvent,
    also={204: "It is over, and nothing of it is missing."},
    headers={
        "Last-Event-ID": Text(required=False, help_text="The `id` of the last event that came; wins over `after`.")
    },
)
def get_events(call: Call) -> HttpResponseBase:
    """The answer while it comes, as Server-Sent Events. 204 when it is over and nothing of it is missing."""
    answer = _message(call)
    if answer.role != Role.ASSISTANT:
        raise Invalid("Only answers can be watched.", code="not_an_answer")
    # Of a browser that comes again, else of whoever asks.
    place = place_of(call.request.headers.get("Last-Event-ID") or call.query["after"])
    # One that was cut off hears the end also when that came meanwhile; one that heard the end has nothing to come for.
    if answer.turn.state not in OPEN and (place == 0 or place > len(answer.content)):
        return HttpResponse(status=204)
    return stream_answer(answer.pk, _as_the_reference(answer.pk, call.person), after=place, ids=call.query["ids"])


@operation(OPERATIONS, "POST", f"{_MESSAGE}/stop", PERSON)
def stop(call: Call) -> None:
    """End an answer; what was written of it stays."""
    asking.stop_turn(user=call.person, message_id=_message(call).pk)


@operation(OPERATIONS, "POST", f"{_MESSAGE}/votes", PERSON, body=VoteRequest)
def vote(call: Call) -> None:
    """A thumb up (1), down (-1) or none (0)."""
    feedback.vote(user=call.person, message_id=_message(call).pk, score=call.given["score"])


@operation(OPERATIONS, "POST", f"{_MESSAGE}/message_evals", PERSON, body=EvaluationRequest)
def evaluate(call: Call) -> None:
    """Say that this answer is better than those others to the same message."""
    rejected = call.given["inferior_message_ids"]
    feedback.choose_draft(user=call.person, message_id=_message(call).pk, rejected_ids=rejected)


@operation(OPERATIONS, "POST", f"{_MESSAGE}/reports", PERSON, body=ReportRequest)
def report(call: Call) -> None:
    """Tell the moderators that an answer is bad."""
    given = call.given
    feedback.report(user=call.person, message_id=_message(call).pk, kind=given["report_type"], reason=given["reason"])


def _message(call: Call) -> ChatMessage:
    """The message of the path, which must be in the chat of the path."""
    found = access.get_message_for(call.person, call.id("message_id"))
    if found.chat_id != call.id("chat_id"):
        raise NotFound("There is no such message in this chat.", code="message_not_found")
    return found


def _require_prompt(call: Call, message_id: UUID) -> None:
    access.get_chat_for(call.person, call.id("chat_id"))
    if not ChatMessage.objects.filter(pk=message_id, chat=call.id("chat_id")).exists():
        raise NotFound("Message not found", code="message_not_found", field="parent_id")


def _as_the_reference(message_id: UUID, person: User) -> Encode:
    """The events as clients of the reference know them."""

    async def encode(event: Event) -> dict[str, Any] | None:
        if isinstance(event, Token):
            return {"event_type": "token", "text": event.text}
        if isinstance(event, Queued):
            return {"event_type": "pending", "queue_position": event.position, "queue_size": event.size}
        if isinstance(event, Done):
            return {"event_type": "message", "message": await _apart(find_and_show, message_id, person)}
        if isinstance(event, Failed):
            message = await _apart(find_and_show, message_id, person)
            return {"event_type": "error", "error": event.message, "message": message}
        return None

    return encode


async def _apart(act: Callable[..., Any], *args: Any) -> Any:
    """In a thread of its own, with a connection for this moment only."""

    def acted() -> Any:
        try:
            return act(*args)
        finally:
            connection.close()

    return await database_sync_to_async(acted, thread_sensitive=False)()
