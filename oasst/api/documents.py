"""The operation of each interface that gives its OpenAPI document."""

from collections.abc import Callable
from functools import cache
from typing import Any

from rest_framework import serializers

from oasst.api.fields import Shape
from oasst.api.interfaces import Interface, Json
from oasst.api.operations import Access, Call, Operation


def add_document(
    operations: list[Operation],
    interface: Interface,
    *,
    told: type[Shape] | None = None,
    words: str = "This contract for machines, as an OpenAPI document.",
) -> Callable[[], Json]:
    """Add the operation that gives all of them as an OpenAPI document, and return what makes it."""

    @cache
    def document() -> Json:
        from oasst.api import openapi  # takes a while to load

        return openapi.document(interface, operations, told=told)

    def get_schema(call: Call) -> Any:
        return document()

    get_schema.__doc__ = words
    answer = serializers.DictField(child=serializers.JSONField())
    operations.append(Operation("GET", "openapi.json", Access.OPEN, get_schema, answer=answer))
    return document
