"""Writes with an Idempotency-Key, which may be sent twice."""

import json
from collections.abc import Callable
from typing import Any

from oasst.api.compact_json import dump
from oasst.api.operations import Call
from oasst.core.errors import Invalid
from oasst.core.idempotency import fingerprint_of, once_outermost


def replay_or_run(call: Call, act: Callable[[], Any]) -> Any:
    """Run `act`, or return what the first call with this key returned. Refusals are not stored and may be retried."""
    if not call.operation.repeatable:
        raise Invalid("This answer is not kept, so it cannot be given twice.", code="key")
    request = call.request
    query = sorted((name, value) for name, value in request.GET.items() if name != "api_key")
    # Stored as text, so that the same bytes are sent again.
    stored = once_outermost(
        scope=f"api:{call.client.pk}",
        key=request.headers["Idempotency-Key"],
        fingerprint=fingerprint_of(request.path, query, request.body.hex(), call.viewer and call.viewer.pk),
        act=lambda: dump(act()),
    )
    return json.loads(stored)
