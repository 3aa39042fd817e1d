"""The wire protocol below /api/v1/: every operation that there is, in one table."""

from functools import cache
from typing import Any

from rest_framework import serializers

from inference.api import toxicity
from leaderboard.api import cached_stats, scores
from oasst.api import keys, openapi, openapi_details
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.views import urls_of
from oasst.site import api_admin
from tasks.api import tasks
from trees.api import codes as codes
from trees.api import export, flags, labels, messages, stats, users, webhooks

OPERATIONS: list[Operation] = [
    *tasks.OPERATIONS,
    *labels.OPERATIONS,
    *messages.OPERATIONS,
    *users.OPERATIONS,
    *stats.OPERATIONS,
    *scores.OPERATIONS,
    *cached_stats.OPERATIONS,
    *flags.OPERATIONS,
    *toxicity.OPERATIONS,
    *export.OPERATIONS,
    *webhooks.OPERATIONS,
    *keys.OPERATIONS,
    *api_admin.OPERATIONS,
]


@operation(OPERATIONS, "GET", "openapi.json", Access.OPEN, answer=serializers.DictField(child=serializers.JSONField()))
def get_schema(call: Call) -> Any:
    """This document."""
    return document()


INTERFACE = openapi_details.interface(api_admin.API_PREFIX)


@cache
def document() -> dict[str, Any]:
    """All operations as OpenAPI."""
    return openapi.document(INTERFACE, OPERATIONS, told=webhooks.AnyEvent)


urlpatterns = urls_of(OPERATIONS)
