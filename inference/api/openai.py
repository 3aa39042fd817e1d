"""`/v1/chat/completions` and `/v1/models` as in OpenAI's API, for the token of a user.

A completion is a turn in the same queue as those of the pages. It ends when its client closes the connection, and when
the process with that connection ends.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from inference.api.openai_input import ParsedRequest
from inference.api.openai_refusals import CODES, MAX_RETRY_AFTER, OPENAI_REFUSALS, error_object
from inference.api.openai_schemas import Completion, CompletionRequest, Model, Models, StreamedPiece
from inference.chats import asking
from inference.models import Turn
from inference.policy import current_policy
from inference.registry import offer
from inference.turns import lifecycle
from inference.turns.callers import callers
from inference.turns.events import Done, Event, Failed, Token
from inference.turns.sse import with_heartbeats
from inference.turns.watch import watch_turn
from oasst.api.compact_json import dump
from oasst.api.fields import make_representer
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.renderers import render_now
from oasst.core.http.asgi_handler import DeferredResponse

OPERATIONS: list[Operation] = []
HEARTBEAT_SECONDS = 5.0
"""A stream starts after this time at the latest; an earlier failure has its own status. Also the heartbeat interval."""
IGNORED_HEADER = "X-Ignored-Parameters"
IGNORED_HEADER_BYTES, IGNORED_NAME_LENGTH = 1000, 60
"""Bytes of the header, because proxies allow a few kB for all of them; characters of one name."""
_COMPLETION = make_representer(Completion)
# The status of a failed turn, by error code.
_FAILURES = {"too_long": 400, "empty": 400, "invalid": 400, "queue_timeout": 503, "timeout": 504}


async def _guarded(response: Coroutine[Any, Any, HttpResponseBase], request: HttpRequest) -> HttpResponseBase:
    """Turn errors into refusals, because the view has returned when they happen."""
    try:
        return await response
    except Exception as error:
        refusal = OPENAI_REFUSALS.refusal_for(error, None)
        if refusal is None:
            raise
        return render_now(OPENAI_REFUSALS.respond(refusal, request))


class _Caller:
    """The client that waits for a turn. The response closes it, however it ends, and then an unfinished turn stops."""

    def __init__(self, turn: Turn) -> None:
        self.turn, self.over = turn, False
        callers.add(turn.pk)

    def close(self) -> None:
        callers.remove(self.turn.pk)
        if not self.over:
            lifecycle.stop(self.turn.pk)


# --- Completions ---


@operation(
    OPERATIONS,
    "POST",
    "chat/completions",
    Access.PERSON,
    body=CompletionRequest,
    answer=Completion,
    events=StreamedPiece,
    response_headers={
        IGNORED_HEADER: "Names of unknown parameters, percent-encoded, with commas between; `...` at the end if there "
        "are too many. Only if there are any."
    },
)
def completions(call: Call) -> HttpResponseBase:
    """Answer a conversation, in one response or as a stream."""
    parsed: ParsedRequest = call.body
    turn = asking.complete(
        user=call.user, messages=parsed.messages, policy=current_policy(), chosen=parsed.chosen, model=parsed.model
    )
    caller = _Caller(turn)
    request = call.request
    response = DeferredResponse(
        request, lambda: _guarded(_streamed(caller, parsed) if parsed.stream else _whole(caller), request)
    )
    response._resource_closers.append(caller.close)  # type: ignore[attr-defined]
    if parsed.ignored:
        response[IGNORED_HEADER] = _as_header(parsed.ignored)
    return response


def _as_header(names: tuple[str, ...]) -> str:
    """Return names from the request as a header value: percent-encoded, and cut to its size."""
    parts: list[str] = []
    left = IGNORED_HEADER_BYTES
    for name in names:
        part = quote(name[:IGNORED_NAME_LENGTH], safe="", errors="replace")
        left -= len(part) + 2
        if left < 0:
            return ", ".join([*parts, "..."])
        parts.append(part)
    return ", ".join(parts)


async def _whole(caller: _Caller) -> Response:
    turn = caller.turn
    last: Event | None = None
    async with aclosing(watch_turn(turn.pk, queued=False)) as events:  # type: ignore[type-var]
        async for event in events:
            last = event
    caller.over = True
    if not isinstance(last, Done):
        assert isinstance(last, Failed)
        return _failed(last)
    message = {"role": "assistant", "content": last.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(last)}
    completion = {**_head(turn, "chat.completion"), "choices": [choice], "usage": _usage(last)}
    return render_now(Response(_COMPLETION(completion)))


async def _streamed(caller: _Caller, parsed: ParsedRequest) -> HttpResponseBase:
    """Start with the first text or after a pause. A failure before that has its own status."""
    events = with_heartbeats(watch_turn(caller.turn.pk, queued=False), HEARTBEAT_SECONDS)
    first = await anext(events)
    if isinstance(first, Failed):
        caller.over = True
        await events.aclose()  # type: ignore[attr-defined]
        return _failed(first)
    response = StreamingHttpResponse(_frames(caller, parsed, first, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


async def _frames(
    caller: _Caller, parsed: ParsedRequest, first: Event | None, events: AsyncIterator[Event | None]
) -> AsyncIterator[str]:
    head = _head(caller.turn, "chat.completion.chunk")
    usage = {"usage": None} if parsed.include_usage else {}

    def chunk(delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _frame({**head, "choices": [choice], **usage})

    event = first
    try:
        yield chunk({"role": "assistant", "content": ""})
        while True:
            if isinstance(event, Token):
                yield chunk({"content": event.text})
            elif isinstance(event, Done):
                caller.over = True
                yield chunk({}, _finish(event))
                if parsed.include_usage:
                    yield _frame({**head, "choices": [], "usage": _usage(event)})
                break
            elif isinstance(event, Failed):
                caller.over = True
                yield _frame(_status_and_error(event)[1])
                break
            else:
                yield ": still here\n\n"
            event = await anext(events)
        yield "data: [DONE]\n\n"
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _frame(data: dict[str, Any]) -> str:
    return f"data: {dump(data)}\n\n"


def _status_and_error(event: Failed) -> tuple[int, dict[str, Any]]:
    """Return the status and the error object, which is the same in a stream."""
    status = _FAILURES.get(event.code, 500)
    return status, error_object(status, event.message, CODES.get(event.code, (status, event.code))[1])


def _failed(event: Failed) -> Response:
    status, error = _status_and_error(event)
    headers = {"Retry-After": str(MAX_RETRY_AFTER)} if status == 503 else {}
    return render_now(Response(error, status, headers=headers))


def _head(turn: Turn, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.pk.hex}",
        "object": kind,
        "created": int(turn.queued_at.timestamp()),
        "model": turn.model,
        "system_fingerprint": None,
    }


def _finish(done: Done) -> str:
    return "length" if done.finish_reason == "length" else "stop"


def _usage(done: Done) -> dict[str, int]:
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "dropped_messages": done.dropped_messages,
    }


# --- Models ---


def _model_objects(names: list[str]) -> list[dict[str, Any]]:
    since = offer.offered_since(names)
    return [
        {"id": name, "object": "model", "created": int(since[name].timestamp()), "owned_by": "oasst"} for name in names
    ]


@operation(OPERATIONS, "GET", "models", Access.PERSON, answer=Models)
def models(call: Call) -> Any:
    """The models that can be asked, or one of them by its name."""
    return {"object": "list", "data": _model_objects(offer.models_for(call.viewer))}


@operation(OPERATIONS, "GET", "models/<path:name>", Access.PERSON, answer=Model)
def model(call: Call) -> Any:
    """The models that can be asked, or one of them by its name."""
    name = call.path["name"]
    found = next((known for known in offer.models_for(call.viewer) if name in (known, f"{known}/")), None)
    if found is None:
        raise offer.unknown_model(name)
    return _model_objects([found])[0]
