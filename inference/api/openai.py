"""`/v1/chat/completions` and `/v1/models` as OpenAI has them, for the token of a person.

A completion is a turn like any other: the same queue and engine. What a person asks beyond their answers at once waits
in line, and whoever hangs up ends it, also while it waits; so does the end of the process that they were connected to.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from inference.api.openai_input import Asked
from inference.api.openai_refusals import CODES, LONGEST_WAIT, OPENAI_REFUSALS, error_of
from inference.api.openai_schemas import Completion, CompletionRequest, Model, Models, StreamedPiece
from inference.chats import asking, offered_models
from inference.models import Turn
from inference.policy import current_policy
from inference.turns import lifecycle
from inference.turns.callers import callers
from inference.turns.events import Done, Event, Failed, Token
from inference.turns.sse import with_pauses
from inference.turns.watch import watch_turn
from oasst.api.fields import represent
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.renderers import rendered
from oasst.api.wire_json import dump
from oasst.core.errors import Invalid
from oasst.core.http.asgi_handler import Later

OPERATIONS: list[Operation] = []
PAUSE_SECONDS = 5.0
"""For so long a stream is put off, so that what fails at once has its own status; and so often one without news says
that it is there.
"""
IGNORED_HEADER = "X-Ignored-Parameters"
MOST_IGNORED, LONGEST_IGNORED = 1000, 60
"""Bytes of the whole list: proxies give all headers together a few kB, or fail. Characters of a name."""
_COMPLETION = represent(Completion)
_FINISH = {"length": "length"}  # all others: "stop"
# Ends without an answer: a status each, for those who wait for the whole of it.
_FAILURES = {"too_long": 400, "empty": 400, "invalid": 400, "queue_timeout": 503, "timeout": 504}


async def _guarded(coming: Coroutine[Any, Any, HttpResponseBase], request: HttpRequest) -> HttpResponseBase:
    """No view is left to refuse when it comes."""
    try:
        return await coming
    except Exception as error:
        refused = OPENAI_REFUSALS.of(error, None)
        if refused is None:
            raise
        return rendered(OPENAI_REFUSALS.respond(refused, request))


class _Line:
    """The open line of whoever asked. It closes with its response in any case: after the whole answer, where the caller
    left in the middle, and where nobody was there for the first byte. What is not over then, nobody will read.
    """

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
    tells={
        IGNORED_HEADER: "Names of what was sent and is not known here, percent-encoded, with commas between; `...` at "
        "the end where they are too many. Only where there are any."
    },
)
def completions(call: Call) -> HttpResponseBase:
    """Have a conversation answered, as a whole or as a stream."""
    asked: Asked = call.body
    turn = asking.complete(
        user=call.person, messages=asked.messages, policy=current_policy(), chosen=asked.chosen, model=asked.model
    )
    line = _Line(turn)
    request = call.request
    response = Later(request, lambda: _guarded(_streamed(line, asked) if asked.stream else _whole(line), request))
    response._resource_closers.append(line.close)  # type: ignore[attr-defined]
    if asked.ignored:
        response[IGNORED_HEADER] = _as_header(asked.ignored)
    return response


def _as_header(names: tuple[str, ...]) -> str:
    """Names that somebody invented, as a list that fits into a header and can hold nothing else."""
    shown: list[str] = []
    left = MOST_IGNORED
    for name in names:
        named = quote(name[:LONGEST_IGNORED], safe="", errors="replace")
        left -= len(named) + 2
        if left < 0:
            return ", ".join([*shown, "..."])
        shown.append(named)
    return ", ".join(shown)


async def _whole(line: _Line) -> Response:
    turn = line.turn
    last: Event | None = None
    async with aclosing(watch_turn(turn.pk, places=False)) as events:  # type: ignore[type-var]
        async for event in events:
            last = event
    line.over = True
    if not isinstance(last, Done):
        assert isinstance(last, Failed)
        return _failed(last)
    message = {"role": "assistant", "content": last.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(last)}
    completion = {**_head(turn, "chat.completion"), "choices": [choice], "usage": _usage(last)}
    return rendered(Response(_COMPLETION(completion)))


async def _streamed(line: _Line, asked: Asked) -> HttpResponseBase:
    """Begins with the first text, or after a pause; what fails before that has a status of its own."""
    events = with_pauses(watch_turn(line.turn.pk, places=False), PAUSE_SECONDS)
    first = await anext(events)
    if isinstance(first, Failed):
        line.over = True
        await events.aclose()  # type: ignore[attr-defined]
        return _failed(first)
    response = StreamingHttpResponse(_frames(line, asked, first, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


async def _frames(
    line: _Line, asked: Asked, first: Event | None, events: AsyncIterator[Event | None]
) -> AsyncIterator[str]:
    head = _head(line.turn, "chat.completion.chunk")
    usage = {"usage": None} if asked.include_usage else {}

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
                line.over = True
                yield chunk({}, _finish(event))
                if asked.include_usage:
                    yield _frame({**head, "choices": [], "usage": _usage(event)})
                break
            elif isinstance(event, Failed):
                line.over = True
                yield _frame(_failure(event)[1])
                break
            else:
                yield ": still here\n\n"
            event = await anext(events)
        yield "data: [DONE]\n\n"
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _frame(data: dict[str, Any]) -> str:
    return f"data: {dump(data)}\n\n"


def _failure(event: Failed) -> tuple[int, dict[str, Any]]:
    """The status and the error, which is the same in a stream."""
    status = _FAILURES.get(event.code, 500)
    return status, error_of(status, event.message, CODES.get(event.code, (status, event.code))[1])


def _failed(event: Failed) -> Response:
    status, error = _failure(event)
    headers = {"Retry-After": str(LONGEST_WAIT)} if status == 503 else {}
    return rendered(Response(error, status, headers=headers))


def _head(turn: Turn, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.pk.hex}",
        "object": kind,
        "created": int(turn.queued_at.timestamp()),
        "model": turn.model,
        "system_fingerprint": None,
    }


def _finish(done: Done) -> str:
    return _FINISH.get(done.finish_reason, "stop")


def _usage(done: Done) -> dict[str, int]:
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "dropped_messages": done.dropped_messages,
    }


# --- Models ---


def _shown(name: str) -> dict[str, Any]:
    created = int(offered_models.offered_since(name).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "oasst"}


@operation(OPERATIONS, "GET", "models", Access.PERSON, answer=Models)
def models(call: Call) -> Any:
    """The models that can be asked, or one of them by its name."""
    return {"object": "list", "data": [_shown(name) for name in offered_models.models_on_offer()]}


@operation(OPERATIONS, "GET", "models/<path:name>", Access.PERSON, answer=Model)
def model(call: Call) -> Any:
    """The models that can be asked, or one of them by its name."""
    name = call.path["name"]
    found = next((one for one in offered_models.models_on_offer() if name in (one, f"{one}/")), None)
    if found is None:
        raise Invalid(f"There is no model called {name[:100]!r} here.", code="unknown_model", field="model")
    return _shown(found)
