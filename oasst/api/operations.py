"""The operations of the wires, one declared row each: who may call it, what it takes, what it gives.

A module of operations is a list of functions under `@operation`. `oasst.api.views` turns the rows into views of DRF and
says in which order a call is checked; `oasst.api.openapi` turns them into documents.
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
from oasst.api.codes import Wire
from oasst.api.fields import Id, Shape, Text, represent
from oasst.core.errors import Invalid, NotFound

_IDS = ("message_id", "task_id", "user_id", "chat_id", "webhook_id", "key_id")  # parts of paths that are UUIDs


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
        return self.query_shape is not None and "before" in self.query_shape.fields

    # One instance of each for all calls and threads: using a shape changes nothing in it but what `cached_property`
    # sets whole, and making one costs more than using it.

    @cached_property
    def in_path(self) -> dict[str, Any]:
        """The field of each part of the path that varies."""
        names = re.findall(r"<(?:\w+:)?(\w+)>", self.path)
        return {name: self.path_fields.get(name) or (Id() if name in _IDS else Text()) for name in names}

    @cached_property
    def query_shape(self) -> Shape | None:
        return self.query() if self.query else None

    @cached_property
    def body_shape(self) -> Shape | None:
        return self.body() if self.body else None

    @cached_property
    def represent(self) -> Callable[[Any], Any]:
        """Turns what the function gave into what is written."""
        return represent(self.answer)


@dataclass
class Call:
    """One call of an operation with everything that it brought, checked."""

    request: HttpRequest
    """Django's own: `auth/callback` reads the session of the browser."""
    operation: Operation
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    auth: Any = None
    """What the call was let in by: an `ApiClient`, or whatever the interface knows besides."""
    viewer: User | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer."""

    @property
    def client(self) -> ApiClient:
        assert isinstance(self.auth, ApiClient), "an operation without a key has no client"
        return self.auth

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
