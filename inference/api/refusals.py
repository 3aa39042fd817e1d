"""Refusals of the chat API: `detail` as in Open-Assistant's inference server, and our `code`."""

from typing import Any

from inference.api.schemas import SamplingParameters
from oasst.api.exceptions import DEFAULT_RETRY_AFTER, BadInput, Refusal, Refusals
from oasst.api.operations import Operation
from oasst.api.parsers import InvalidJson
from oasst.core.errors import Busy, DomainError, Invalid
from oasst.core.http.error_views import status_of

_STATUS = {
    "sign_in": 403,
    "token": 401,
    "token_expired": 401,
    "token_type": 400,
    "unauthorized_client": 401,
    "root_token": 401,
    "closed": 401,
    "chat_full": 413,
    "not_answerable": 400,
    "not_a_prompt": 400,
    "not_an_answer": 400,
    "two_cursors": 400,
    "bad_cursor": 400,
    "unknown_model": 422,
    "chat_off": 422,
    "too_many_turns": 429,
}


class ChatRefusals(Refusals):
    edge = "chat"
    crash = Refusal(500, {"detail": "Internal Server Error"})
    too_large = Refusal(413, {"detail": "The body is too large.", "code": "too_large"})
    garbled = Refusal(400, {"detail": "Bad Request"})

    def refused(self, error: DomainError, operation: Operation | None) -> Refusal:
        status = _status(error)
        detail: Any = error.message
        if status == 422 and error.field and error.code not in _STATUS:
            kind = f"value_error.{error.code}"
            detail = [{"loc": ["body", *_location(error.field)], "msg": error.message, "type": kind}]
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if status in (429, 503):
            headers["Retry-After"] = str(error.retry_after if isinstance(error, Busy) else DEFAULT_RETRY_AFTER)
        return Refusal(status, {"detail": detail, "code": error.code}, headers, error.code)

    def not_json(self, error: InvalidJson) -> Refusal:
        return Refusal(422, {"detail": [error.place]})

    def bad_input(self, error: BadInput) -> Refusal:
        if any(source == "path" for source, _ in error.details):  # a malformed id does not exist
            return Refusal(404, {"detail": "Not Found", "code": "not_found"})
        return Refusal(422, {"detail": list(error.problems()), "code": "bad_input"})


def _status(error: DomainError) -> int:
    if error.code in _STATUS:
        return _STATUS[error.code]
    if error.code == "message_not_found" and error.field:  # the body named it
        return 400
    if isinstance(error, Invalid):
        return 413 if error.code == "too_long" and error.field == "content" else 422 if error.field else 400
    return status_of(error)


_WIRE_NAMES = {"max_tokens": "max_new_tokens", "response_instructions": "user_response_instructions"}
_SETTINGS = frozenset(SamplingParameters().fields)


def _location(field: str) -> list[str]:
    name = _WIRE_NAMES.get(field, field)
    return ["sampling_parameters", name] if name in _SETTINGS else [name]
