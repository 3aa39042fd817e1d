"""`/v1/chat/completions` and `/v1/models` as OpenAI has them, for the token of a person.

A completion is a turn like any other: the same queue and engine. What a person asks beyond their answers at once waits
in line, and whoever hangs up ends it, also while it waits; so does the end of the process that they were connected to.
"""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, path, re_path, resolve
from django.views.decorators.csrf import csrf_exempt

from inference.api.openai_input import Asked, read
from inference.chats import asking, offered_models
from inference.models import Turn
from inference.policy import current_policy
from inference.turns import lifecycle
from inference.turns.callers import callers
from inference.turns.events import Done, Event, Failed, Token
from inference.turns.sse import with_pauses
from inference.turns.watch import watch_turn
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.api.authentication import find_token
from oasst.api.wire_json import dump
from oasst.core import metrics
from oasst.core.errors import DomainError, Invalid, NotAllowed, Unreadable, as_domain_error
from oasst.core.http.asgi_handler import Later
from oasst.core.http.error_views import status_of

View = Callable[..., HttpResponseBase]

PAUSE_SECONDS = 5.0
"""For so long a stream is put off, so that what fails at once has its own status; and so often one without news says
that it is there.
"""
LONGEST_WAIT = 60
"""Seconds, in `Retry-After`: where more is said, client libraries give up at once. The sentence tells all of it."""
IGNORED_HEADER = "X-Ignored-Parameters"
MOST_IGNORED, LONGEST_IGNORED = 1000, 60
"""Bytes of the whole list: proxies give all headers together a few kB, or fail. Characters of a name."""
_FINISH = {"length": "length"}  # all others: "stop"
# Refusals of ours under the names that programs for OpenAI know. The rest keeps its own.
_CODES = {
    "token": (401, "invalid_api_key"),
    "unknown_model": (404, "model_not_found"),
    "chat_off": (404, "model_not_found"),
    "rate_limited": (429, "rate_limit_exceeded"),
    "too_many_turns": (429, "rate_limit_exceeded"),
    "too_long": (400, "context_length_exceeded"),
    "bad_setting": (400, "invalid_value"),
    "bad_value": (400, "invalid_value"),
    "unsupported_value": (400, "unsupported_value"),
}
# Ends without an answer: a status each, for those who wait for the whole of it.
_FAILURES = {"too_long": 400, "empty": 400, "invalid": 400, "queue_timeout": 503, "timeout": 504}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def edge(view: View) -> View:
    """Refusals in OpenAI's envelope."""

    @csrf_exempt
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Exception as error:
            return _as_answer(error)

    return inner


async def _guarded(coming: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    try:
        return await coming
    except Exception as error:
        return _as_answer(error)


def _as_answer(error: Exception) -> JsonResponse:
    known = as_domain_error(error)
    if known is None or known.code == "bad_request":  # Django logs those by itself
        raise error
    if isinstance(known, Unreadable):
        return error_answer(status_of(known), known.message, known.code)
    return refused(known)


def refused(error: DomainError) -> JsonResponse:
    metrics.domain_errors.labels(edge="openai", code=error.code).inc()
    status, code = _CODES.get(error.code, (status_of(error), error.code))
    response = error_answer(status, error.message, code, error.field)
    if status in (429, 503):
        response["Retry-After"] = str(min(getattr(error, "retry_after", 30), LONGEST_WAIT))
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def error_answer(status: int, message: str, code: str, param: str | None = None) -> JsonResponse:
    return JsonResponse(_error(status, message, code, param), status=status)


def _error(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


# --- Who and what ---


def _person(request: HttpRequest) -> User:
    token = find_token(request)
    if token is None:
        raise NotAllowed(
            "You need a token: make one in your profile and send it as `Authorization: Bearer`.", code="token"
        )
    require_contributor(token.user)
    return token.user


def _allow(request: HttpRequest, method: str) -> JsonResponse | None:
    if request.method == method:
        return None
    response = error_answer(405, f"This is for {method} alone.", "method_not_allowed")
    response["Allow"] = method
    return response


def _begin(request: HttpRequest) -> tuple[Asked, Turn]:
    user = _person(request)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Invalid("The body is no JSON.", code="not_json") from None
    policy = current_policy()
    asked = read(body, policy)
    turn = asking.complete(user=user, messages=asked.messages, policy=policy, chosen=asked.chosen, model=asked.model)
    return asked, turn


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


@edge
def completions(request: HttpRequest) -> HttpResponseBase:
    """Have a conversation answered, as a whole or as a stream."""
    if wrong := _allow(request, "POST"):
        return wrong
    asked, turn = _begin(request)
    line = _Line(turn)
    response = Later(request, lambda: _guarded(_streamed(line, asked) if asked.stream else _whole(line)))
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


async def _whole(line: _Line) -> HttpResponse:
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
    return JsonResponse({**_head(turn, "chat.completion"), "choices": [choice], "usage": _usage(last)})


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
    return status, _error(status, event.message, _CODES.get(event.code, (status, event.code))[1])


def _failed(event: Failed) -> JsonResponse:
    status, error = _failure(event)
    response = JsonResponse(error, status=status)
    if response.status_code == 503:
        response["Retry-After"] = str(LONGEST_WAIT)
    return response


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


@edge
def models(request: HttpRequest, name: str = "") -> HttpResponseBase:
    """The models that can be asked, or one of them by its name."""
    if wrong := _allow(request, "GET"):
        return wrong
    _person(request)
    found = [
        {
            "id": one,
            "object": "model",
            "created": int(offered_models.offered_since(one).timestamp()),
            "owned_by": "oasst",
        }
        for one in offered_models.models_on_offer()
        if name in ("", one, f"{one}/")
    ]
    if not name:
        return JsonResponse({"object": "list", "data": found})
    if not found:
        raise Invalid(f"There is no model called {name[:100]!r} here.", code="unknown_model", field="model")
    return JsonResponse(found[0])


@edge
def elsewhere(request: HttpRequest) -> HttpResponseBase:
    """The same with a slash at the end, for programs that add one; else 404."""
    if request.path_info.endswith("/"):
        try:
            found = resolve(request.path_info.rstrip("/"))
        except Resolver404:
            found = None
        if found is not None and found.func is not elsewhere and found.url_name:
            request.resolver_match = found  # so that it is counted and logged as what it is
            answered: HttpResponseBase = found.func(request, **found.kwargs)
            return answered
    return error_answer(404, "There is only /v1/chat/completions and /v1/models here.", "not_found")


urlpatterns = [
    path("chat/completions", completions, name="openai-completions"),
    path("models", models, name="openai-models"),
    path("models/<path:name>", models, name="openai-model"),
    re_path("", elsewhere),
]
