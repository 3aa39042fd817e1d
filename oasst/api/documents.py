"""The operation of each interface that returns its OpenAPI document."""

from collections.abc import Callable
from functools import cache
from typing import Any

from rest_framework import serializers

from oasst.api.fields import Schema
from oasst.api.interfaces import Interface, Json
from oasst.api.operations import Access, Call, Operation


def add_document(
    operations: list[Operation],
    interface: Interface,
    *,
    webhook_events: type[Schema] | None = None,
    description: str = "This contract as an OpenAPI document.",
) -> Callable[[], Json]:
    """Add the operation `openapi.json`, and return the function that builds the document."""

    @cache
    def document() -> Json:
        from oasst.api import openapi  # late, because it loads slowly

        return openapi.document(interface, operations, webhook_events=webhook_events)

    def get_schema(call: Call) -> Any:
        return document()

    get_schema.__doc__ = description
    answer = serializers.DictField(child=serializers.JSONField())
    operations.append(Operation("GET", "openapi.json", Access.OPEN, get_schema, answer=answer))
    return document
