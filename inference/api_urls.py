"""The REST contract of the chat below /inference/: every operation in one table. See docs/inference-api.md."""

from functools import cache
from typing import Any

from rest_framework import serializers

from inference.api import accounts, chats, configs, messages
from inference.api.authentication import ChatView
from inference.api.openapi_details import INTERFACE
from oasst.api import openapi
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.views import urls_of

OPERATIONS: list[Operation] = [
    *accounts.OPERATIONS,
    *chats.OPERATIONS,
    *messages.OPERATIONS,
    *configs.OPERATIONS,
]


@operation(OPERATIONS, "GET", "openapi.json", Access.OPEN, answer=serializers.DictField(child=serializers.JSONField()))
def get_schema(call: Call) -> Any:
    """This contract for machines, as an OpenAPI document."""
    return document()


@cache
def document() -> dict[str, Any]:
    """All operations as OpenAPI."""
    return openapi.document(INTERFACE, OPERATIONS)


urlpatterns = urls_of(OPERATIONS, ChatView, "inference")
