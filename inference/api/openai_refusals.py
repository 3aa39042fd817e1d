"""Refusals in OpenAI's error format."""

from collections.abc import Mapping
from typing import Any

from oasst.api.exceptions import DEFAULT_RETRY_AFTER, BadInput, Refusal, Refusals
from oasst.api.operations import Operation
from oasst.api.parsers import InvalidJson
from oasst.core.errors import DomainError, Invalid
from oasst.core.http.error_views import status_of

MAX_RETRY_AFTER = 60
"""Maximum of `Retry-After`, in seconds: for more, client libraries give up at once. The message has the whole time."""
# Our error codes with the status and code that OpenAI clients know. Others keep their own.
CODES = {
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
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_object(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _refusal(
    status: int, message: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Refusal:
    return Refusal(status, error_object(status, message, code, param), headers or {}, code)


class OpenAIRefusals(Refusals):
    edge = "openai"
    crash = _refusal(500, "This is our fault, not yours. It has been written down.", "server_error")
    too_large = _refusal(413, "The body is too large.", "too_large")
    garbled = _refusal(400, "Something in the request was missing or garbled.", "bad_request")
    as_problems = False

    def refused(self, error: DomainError, operation: Operation | None) -> Refusal:
        status, code = CODES.get(error.code, (status_of(error), error.code))
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if status in (429, 503):
            headers["Retry-After"] = str(min(getattr(error, "retry_after", DEFAULT_RETRY_AFTER), MAX_RETRY_AFTER))
        return _refusal(status, error.message, code, error.field, headers)

    def not_json(self, error: InvalidJson) -> Refusal:
        return self.count_and_refuse(Invalid("The body is no JSON.", code="not_json"))

    def bad_input(self, error: BadInput) -> Refusal:
        if any(source == "path" for source, _ in error.details):
            return self.count_and_refuse(Invalid("There is no such model here.", code="unknown_model", field="model"))
        return self.count_and_refuse(Invalid("The body must be a JSON object.", code="not_an_object"))

    def plain_refusal(self, status: int, words: str, headers: Mapping[str, str] | None = None) -> Refusal:
        if status == 405:
            methods = (headers or {})["Allow"]
            return _refusal(405, f"This is for {methods} alone.", "method_not_allowed", headers=headers)
        return _refusal(status, words, "not_found" if status == 404 else "refused", headers=headers)


OPENAI_REFUSALS = OpenAIRefusals()
