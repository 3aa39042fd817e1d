"""The operations of the wire, one declared row each: who may call it, what it takes, what it gives.

The order of checks is the wire's: the syntax of the body, the key, every problem of path, query and body at once, the
person named in the header, then the domain. A module of operations is a list of functions under `@operation`;
`oasst.site.api_urls` turns the rows into URLs.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from rest_framework import serializers

from oasst.accounts.development_key import KNOWN_SECRET, opens_as_root
from oasst.accounts.identities import ME, find_person
from oasst.accounts.models import ApiClient, User
from oasst.api import cors
from oasst.api.authentication import count_wrong, find_client, find_token, key_of
from oasst.api.codes import Wire
from oasst.api.fields import Id, Shape, Text
from oasst.api.wire_json import dump
from oasst.core import ratelimit
from oasst.core.errors import Invalid, NotAllowed, NotFound
from oasst.core.idempotency import fingerprint_of, once_around_services

DEEPEST = 100
"""Levels of a body. What operations take has four."""


class Access(StrEnum):
    """Who may call an operation."""

    OPEN = "open"
    KEY = "key"  # any program that is not switched off, and each person through a token of theirs
    PROGRAM = "program"  # any program with a key of its own
    TRUSTED = "trusted"  # a front end of our own
    ROOT = "root"  # an operator, by a token of the settings
    MEMBER = "member"  # a person, also before they agree to the terms
    PERSON = "person"  # one who may contribute


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    access: Access
    act: Callable[["Call"], Any]
    path_fields: Mapping[str, Any] = field(default_factory=dict)  # of what stands in the path and is no id or name
    query: type[Shape] | None = None
    body: type[Shape] | None = None
    body_required: bool = True
    answer: Any = None  # the Shape of the answer, [Shape] for a list of them, or a field; None for no body
    status: int = 200
    viewer: bool = False  # asks who looks: X-OASST-USER. All others ignore that header
    key_late: bool = False  # bad input is named before a bad key
    fallback: Wire = Wire.GENERIC_ERROR  # the number of refusals that have none of their own
    errors: tuple[Wire, ...] = ()
    statuses: Mapping[Wire, int] = field(default_factory=dict)  # where this operation departs from the usual status
    plain: tuple[int, ...] = ()  # statuses of refusals without a number of their own
    repeatable: bool = True  # a POST that takes an Idempotency-Key
    media: str = "application/json"  # another one is given as lines of text that are made while they are read
    name: str = ""  # in the schema, where that of the function does not do
    events: type[Shape] | None = None  # of each Server-Sent Event, where the answer is, or may be, a stream of them
    also: Mapping[int, str] = field(default_factory=dict)  # further statuses that are no refusals, in words
    headers: Mapping[str, Any] = field(default_factory=dict)  # that it reads by itself: name → field
    tells: Mapping[str, str] = field(default_factory=dict)  # headers of its answer: name → in words

    @property
    def by_cursor(self) -> bool:
        """It gives pages."""
        return self.query is not None and "before" in _shared(self.query).fields


@dataclass
class Call:
    """One call of an operation with everything that it brought, checked."""

    request: HttpRequest
    operation: Operation
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    found_client: ApiClient | None = None
    viewer: User | None = None

    @property
    def client(self) -> ApiClient:
        assert self.found_client is not None, "an operation without a key has no client"
        return self.found_client

    @property
    def given(self) -> dict[str, Any]:
        """The body of an operation that requires one."""
        assert self.body is not None
        return self.body

    @property
    def person(self) -> User:
        """Who calls an operation that is open to people."""
        if self.viewer is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return self.viewer

    def id(self, name: str) -> UUID:
        found: UUID = self.path[name]
        return found


def operation(
    operations: list[Operation], method: str, path: str, access: Access, **more: Any
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Add the function to a module's list of operations."""

    def register(act: Callable[[Call], Any]) -> Callable[[Call], Any]:
        operations.append(Operation(method, path, access, act, **more))
        return act

    return register


def run(operation: Operation, request: HttpRequest, path: dict[str, str]) -> Any:
    """Check everything that the call brought and act. Gives the answer as plain data."""
    call = Call(request, operation)
    body = read_body(request) if operation.body else None
    if not operation.key_late:
        _check_access(call)
    check_input(call, path, body)
    if operation.key_late:
        _check_access(call)
    if operation.viewer:
        call.viewer = _find_viewer(call)
    if operation.method != "GET" and call.found_client is not None and not call.client.trusted:
        ratelimit.spend(ratelimit.PROGRAM_WRITES, call.client.pk)
    if operation.method == "POST" and "Idempotency-Key" in request.headers:
        return _once(call)
    return operation.act(call)


def _once(call: Call) -> Any:
    """The answer that the first call with this key got. A refusal changed nothing, so it may be tried again."""
    if not call.operation.repeatable:
        raise Invalid("This answer is not kept, so it can not be given twice.", code="key")
    request = call.request
    query = sorted((name, value) for name, value in request.GET.items() if name != "api_key")
    viewer = call.viewer and call.viewer.pk
    # Kept as text, so that the same bytes are sent again.
    kept = once_around_services(
        scope=f"api:{call.client.pk}",
        key=request.headers["Idempotency-Key"],
        fingerprint=fingerprint_of(request.path, query, request.body.hex(), viewer),
        act=lambda: dump(call.operation.act(call)),
    )
    return json.loads(kept)


def read_body(request: HttpRequest) -> Any:
    """The JSON of the body; `empty` when there is none. Another media type is a body that is no object."""
    raw = request.body
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        return raw.decode(errors="replace") if raw else serializers.empty
    if not raw:
        return serializers.empty
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotJson(getattr(error, "pos", 0)) from error
    # Python reads what it then can not write or compare again: a little below its own limit that is a crash.
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and _is_deep(body):
        raise NotJson(0, f"nested more than {DEEPEST} levels deep")
    return body


def _is_deep(body: Any) -> bool:
    """Is it nested in more than `DEEPEST` levels? Level by level, since recursion is what must not happen."""
    level = [body]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return True


class NotJson(Exception):
    """The body is no JSON, or none that is read."""

    def __init__(self, position: int, message: str = "this is not JSON") -> None:
        self.problems = [
            {"loc": ["body", position], "msg": message, "type": "value_error.jsondecode"},
        ]


class BadInput(Exception):
    """What is wrong with path, query and body, all of it."""

    def __init__(self, details: list[tuple[str, Any]]) -> None:
        self.details = details


def check_input(call: Call, path: dict[str, str], body: Any) -> None:
    problems: list[tuple[str, Any]] = []

    def check(source: str, field: Any, value: Any, name: str = "") -> Any:
        try:
            return field.run_validation(value)
        except serializers.ValidationError as error:
            problems.append((source, {name: error.detail} if name else error.detail))

    call.path = {
        name: check("path", call.operation.path_fields.get(name) or _path_field(name), value, name)
        for name, value in path.items()
    }
    if call.operation.query:
        given = {name: call.request.GET[name] for name in call.request.GET}
        call.query = check("query", _shared(call.operation.query), given)
    if call.operation.body:
        if body is serializers.empty or body is None:  # null is none, too
            if call.operation.body_required:
                problems.append(("body", [serializers.ErrorDetail("field required", "required")]))
        else:
            call.body = check("body", _shared(call.operation.body), body)
    if problems:
        raise BadInput(problems)


@cache
def _shared(shape: type[Shape]) -> Shape:
    """One instance for all calls: checking changes nothing in it, and making one costs more than using it."""
    return shape()


_ID, _NAME = Id(), Text()


def is_id(name: str) -> bool:
    """This part of a path is one of our ids."""
    return name in ("message_id", "task_id", "user_id", "chat_id", "webhook_id", "key_id")


def _path_field(name: str) -> serializers.Field[Any, Any, Any, Any]:
    return _ID if is_id(name) else _NAME


def _check_access(call: Call) -> None:
    access = call.operation.access
    if access == Access.OPEN:
        return
    # A page of another site that a person looks at could send what needs no preflight, with a key that it guessed.
    foreign = call.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if foreign and not cors.may_read(call.request):
        raise NotAllowed("Pages of other sites may not call this.", code="foreign_site")
    if access == Access.ROOT:
        require_root(call.request)
        return
    call.found_client = _find_caller(call)
    if access == Access.TRUSTED and not call.found_client.trusted:
        raise NotAllowed("This is for trusted API clients.", code="not_trusted")


def _find_caller(call: Call) -> ApiClient:
    """The program of the key, or what a person is by a token of their own."""
    key = key_of(call.request)
    if not key and call.operation.access != Access.PROGRAM and (token := find_token(call.request)):
        own: ApiClient = token.user.own_program
        return own
    return find_client(key, call.request)


def require_root(request: HttpRequest) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    known = [token for token in settings.ROOT_TOKENS if hmac.compare_digest(token.encode(), given.strip().encode())]
    if KNOWN_SECRET in known and not opens_as_root(request):
        known = []
    if scheme.lower() != "bearer" or not known:
        if given:
            count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise NotAllowed(
            "This needs the root token of the site, one of ROOT_TOKENS (1234 only on a site of one machine, without a "
            "proxy). Without one, `./manage.py create_api_client` makes programs and their keys.",
            code="root_token",
        )


def _find_viewer(call: Call) -> User | None:
    given = call.request.GET.get("oasst_user") or call.request.headers.get("X-OASST-USER") or ""
    if not given and call.client.person_id is not None:
        given = ":".join(ME)
    auth_method, _, username = given.partition(":")
    if not auth_method or not username:
        return None
    person = None if "\0" in given else find_person(call.client, auth_method, username)
    if person is None:
        raise NotFound("This API client has no such user.", code="user_not_found")
    return person


def require_pair(auth_method: str | None, username: str | None) -> tuple[str, str] | None:
    """Both halves of an identity, or neither. Raises Invalid `identity_incomplete`."""
    if auth_method and username:
        return auth_method, username
    if auth_method or username:
        raise Invalid("auth_method and username must come together.", code="identity_incomplete")
    return None


def by_path(operations: Iterable[Operation]) -> dict[str, dict[str, Operation]]:
    """Path → method → operation, in the order in which they were declared."""
    table: dict[str, dict[str, Operation]] = {}
    for one in operations:
        table.setdefault(one.path, {})[one.method] = one
    return table
