"""Who calls, and what they hear when they may not: the edge in front of every operation of the chat.

A person comes by a program that may speak for its people (`TrustedClient`), with an access token of theirs, or with a
token that they made. Cookies open nothing here, so no page of another site can use one. What is refused is
`{"detail": …}`, as clients of the reference know it, and beside it our `code`.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest
from rest_framework import serializers

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.authentication import program_sessions
from oasst.accounts.identities import find_person
from oasst.accounts.models import ApiClient, Identity, ProgramSession, User
from oasst.api.authentication import count_wrong, find_client, find_token
from oasst.api.exceptions import Refusal, places
from oasst.api.fields import Shape, Text
from oasst.api.operations import Access, BadInput, Call, NotJson, Operation, check_input, read_body, require_root
from oasst.api.views import OperationView, report_crash
from oasst.core import metrics, ratelimit
from oasst.core.errors import Busy, DomainError, Invalid, NotAllowed, Unreadable, as_domain_error
from oasst.core.http.error_views import status_of

Opened = TypeVar("Opened")
AUTH_METHOD = "chat"
"""How people are named whom a trusted program vouches for, apart from those of the data set's wire."""


class ChatView(OperationView):
    """Operations of the chat."""

    def run(self, operation: Operation, request: HttpRequest, path: dict[str, str]) -> Any:
        call = Call(request, operation)
        _check_access(call)
        check_input(call, path, read_body(request) if operation.body else None)
        return operation.act(call)

    def refusal(self, error: Exception, operation: Operation, request: HttpRequest) -> Refusal:
        found = _refusal(error)
        if found is None:
            report_crash(operation, request)
            return Refusal(500, {"detail": "Internal Server Error"})
        return found


# --- Who ---


def _check_access(call: Call) -> None:
    access = call.operation.access
    if access == Access.ROOT:
        require_root(call.request)
    if access not in (Access.MEMBER, Access.PERSON):
        return
    call.viewer = find_caller(call)
    if call.viewer is not None:
        (require_contributor if access == Access.PERSON else require_member)(call.viewer)


def find_caller(call: Call) -> User | None:
    """The person; None for somebody whom a trusted program names and nobody knows yet."""
    if "TrustedClient" in call.request.headers:
        return trusted_caller(call.request).find()
    bearer = bearer_of(call.request)
    if program_sessions.is_access_token(bearer):
        return with_wrong_ones_counted(call.request, program_sessions.session_of, bearer).user
    token = find_token(call.request)
    return token.user if token else None


def with_wrong_ones_counted(request: HttpRequest, open_with: Callable[[str], Opened], token: str) -> Opened:
    """What the token opens. One that opens nothing is counted by the address; Busy after too many."""
    try:
        return open_with(token)
    except NotAllowed as error:
        if error.code == "token":
            count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise


def session_of(request: HttpRequest) -> ProgramSession | None:
    """The session that the access token of this request belongs to; None for callers of another kind."""
    if "TrustedClient" in request.headers or not program_sessions.is_access_token(bearer_of(request)):
        return None
    return program_sessions.session_of(bearer_of(request))


def bearer_of(request: HttpRequest) -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise NotAllowed("Not authenticated", code="sign_in")
    return given.strip()


@dataclass(frozen=True)
class TrustedCaller:
    """A program and the person it speaks for, as it names them."""

    client: ApiClient
    name: str
    account_id: str
    display_name: str

    def find(self) -> User | None:
        """One of the program's own people: by this name, or by our id of somebody whom it knows on the other wire."""
        known = find_person(self.client, AUTH_METHOD, self.name)
        return known or self.known_elsewhere()

    def known_elsewhere(self) -> User | None:
        try:
            person_id = UUID(self.account_id)
        except ValueError:
            return None
        found = Identity.objects.select_related("user").filter(api_client=self.client, user=person_id).first()
        if found is None:
            return None
        found.user.vouched_for = True
        return found.user


class _Claim(Shape):
    """What the header TrustedClient holds."""

    api_key = Text(max_length=200)
    client = Text(max_length=256)
    user_id = Text(max_length=128, allow_blank=False)
    provider_account_id = Text(default="", allow_null=True, max_length=256)
    username = Text(default="", allow_null=True, max_length=256)


@cache
def _claim() -> _Claim:
    return _Claim()


def trusted_caller(request: HttpRequest) -> TrustedCaller:
    """Raises NotAllowed `unauthorized_client`."""
    refused = NotAllowed("Unauthorized client", code="unauthorized_client")
    try:
        given = base64.b64decode(request.headers.get("TrustedClient", ""), validate=True)
        claim = _claim().run_validation(json.loads(given))
        client = find_client(claim["api_key"], request)
    except (ValueError, binascii.Error, RecursionError, serializers.ValidationError, NotAllowed) as error:
        raise refused from error
    if not client.trusted:
        raise refused
    name, account_id = claim["user_id"], claim["provider_account_id"] or ""
    return TrustedCaller(client, name, account_id, claim["username"] or name)


# --- What they hear ---

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
_UNREADABLE = {
    "too_large": Refusal(413, {"detail": "The body is too large.", "code": "too_large"}),
    "bad_request": Refusal(400, {"detail": "Bad Request"}),
}
_COME_BACK_AFTER = 30


def _refusal(error: Exception) -> Refusal | None:
    if isinstance(error, NotJson):
        return Refusal(422, {"detail": error.problems})
    if isinstance(error, BadInput):
        if any(source == "path" for source, _ in error.details):  # no id: nothing has it
            return Refusal(404, {"detail": "Not Found", "code": "not_found"})
        problems = [place for source, details in error.details for place in places(details, (source,))]
        return Refusal(422, {"detail": problems, "code": "bad_input"})
    refused = as_domain_error(error)
    if isinstance(refused, Unreadable):
        return _UNREADABLE[refused.code]
    return _of_the_domain(refused) if refused else None


def _of_the_domain(error: DomainError) -> Refusal:
    metrics.domain_errors.labels(edge="chat", code=error.code).inc()
    status = _status(error)
    detail: Any = error.message
    if status == 422 and error.field and error.code not in _STATUS:
        detail = [{"loc": ["body", *_place_of(error.field)], "msg": error.message, "type": f"value_error.{error.code}"}]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status in (429, 503):
        headers["Retry-After"] = str(error.retry_after if isinstance(error, Busy) else _COME_BACK_AFTER)
    return Refusal(status, {"detail": detail, "code": error.code}, headers, error.code)


def _status(error: DomainError) -> int:
    if error.code in _STATUS:
        return _STATUS[error.code]
    if error.code == "message_not_found" and error.field:  # it was named in the body
        return 400
    if isinstance(error, Invalid):
        return 413 if error.code == "too_long" and error.field == "content" else 422 if error.field else 400
    return status_of(error)


_OUR_NAMES = {"max_tokens": "max_new_tokens", "response_instructions": "user_response_instructions"}
_SETTINGS = ("max_tokens", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty")


def _place_of(field: str) -> list[str]:
    name = _OUR_NAMES.get(field, field)
    return ["sampling_parameters", name] if field in _SETTINGS else [name]
