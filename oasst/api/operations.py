"""Declarations of API operations: who may call them, what they take and what they return.

Modules of operations consist of functions with `@operation`. `oasst.api.views` turns them into DRF views and
`oasst.api.openapi` into documents.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from oasst.accounts.models import ApiClient, User
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import Schema, TextField, UUIDField, make_representer
from oasst.core.errors import Invalid, NotFound

_IDS = ("message_id", "task_id", "user_id", "chat_id", "webhook_id", "key_id")  # path parameters that are UUIDs


class Access(StrEnum):
    """Who may call an operation."""

    OPEN = "open"
    KEY = "key"  # any enabled API client, and any user with their own token
    PROGRAM = "program"  # any enabled API client, but no user's token
    TRUSTED = "trusted"  # a trusted API client
    ROOT = "root"  # an operator with one of ROOT_TOKENS
    MEMBER = "member"  # a user, also before they agree to the terms
    PERSON = "person"  # a user who may contribute


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    access: Access
    act: Callable[["Call"], Any]
    path_fields: Mapping[str, Any] = field(default_factory=dict)  # path parameters that are neither id nor text
    query: type[Schema] | None = None
    body: type[Schema] | None = None
    body_required: bool = True
    answer: Any = None  # a Schema, [Schema] for a list, or a field; None for no body
    status: int = 200
    viewer: bool = False  # reads X-OASST-USER, which other operations ignore
    input_before_key: bool = False  # report bad input before a bad key
    fallback: ErrorCode = ErrorCode.GENERIC_ERROR  # the number of refusals without their own number
    errors: tuple[ErrorCode, ...] = ()
    statuses: Mapping[ErrorCode, int] = field(default_factory=dict)  # other statuses than usual, by number
    unnumbered_statuses: tuple[int, ...] = ()  # statuses of refusals without a number
    repeatable: bool = True  # a POST that accepts an Idempotency-Key
    media: str = "application/json"  # other types are streamed lines of text
    name: str = ""  # operation id, if not the name of the function
    events: type[Schema] | None = None  # schema of the Server-Sent Events, if the response may be such a stream
    other_statuses: Mapping[int, str] = field(default_factory=dict)  # more successful statuses → description
    headers: Mapping[str, Any] = field(default_factory=dict)  # request headers that it reads itself: name → field
    response_headers: Mapping[str, str] = field(default_factory=dict)  # response headers: name → description

    @property
    def is_paginated(self) -> bool:
        """True if it returns pages."""
        return self.query_schema is not None and "before" in self.query_schema.fields

    # All calls and threads share one instance of each, because creating a serializer costs more than using it, and
    # using it is thread-safe.

    @cached_property
    def path_fields_by_name(self) -> dict[str, Any]:
        """Return the field of each path parameter."""
        names = re.findall(r"<(?:\w+:)?(\w+)>", self.path)
        return {name: self.path_fields.get(name) or (UUIDField() if name in _IDS else TextField()) for name in names}

    @cached_property
    def query_schema(self) -> Schema | None:
        return self.query() if self.query else None

    @cached_property
    def body_schema(self) -> Schema | None:
        return self.body() if self.body else None

    @cached_property
    def represent(self) -> Callable[[Any], Any]:
        """Return the function that turns the result of `act` into plain data."""
        return make_representer(self.answer)


@dataclass
class Call:
    """A call of an operation with validated input."""

    request: HttpRequest
    """Django's request, because `auth/callback` reads the session of the browser."""
    operation: Operation
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    auth: Any = None
    """`request.auth`: an `ApiClient`, or another object of the interface."""
    viewer: User | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Response headers."""

    @property
    def client(self) -> ApiClient:
        assert isinstance(self.auth, ApiClient), "an operation without a key has no client"
        return self.auth

    @property
    def required_body(self) -> dict[str, Any]:
        """Return the body of an operation that requires one."""
        assert self.body is not None
        return self.body

    @property
    def user(self) -> User:
        """Return the user of an operation for users."""
        if self.viewer is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return self.viewer

    def id(self, name: str) -> UUID:
        value: UUID = self.path[name]
        return value


def operation(
    operations: list[Operation], method: str, path: str, access: Access, **more: Any
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Add the function to a module's list of operations."""

    def register(act: Callable[[Call], Any]) -> Callable[[Call], Any]:
        operations.append(Operation(method, path, access, act, **more))
        return act

    return register


def require_complete_identity(auth_method: str | None, username: str | None) -> tuple[str, str] | None:
    """Return both parts of an identity, or None if both are missing. Raise Invalid `identity_incomplete`."""
    if auth_method and username:
        return auth_method, username
    if auth_method or username:
        raise Invalid("auth_method and username must come together.", code="identity_incomplete")
    return None


def group_by_path(operations: Iterable[Operation]) -> dict[str, dict[str, Operation]]:
    """Return path → method → operation, in the order of declaration."""
    table: dict[str, dict[str, Operation]] = {}
    for op in operations:
        table.setdefault(op.path, {})[op.method] = op
    return table
