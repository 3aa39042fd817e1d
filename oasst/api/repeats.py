"""A write that was sent twice, told by its Idempotency-Key."""

import json
from collections.abc import Callable
from typing import Any

from oasst.api.operations import Call
from oasst.api.wire_json import dump
from oasst.core.errors import Invalid
from oasst.core.idempotency import fingerprint_of, once_around_services


def once(call: Call, act: Callable[[], Any]) -> Any:
    """The answer that the first call with this key got. A refusal changed nothing, so it may be tried again."""
    if not call.operation.repeatable:
        raise Invalid("This answer is not kept, so it cannot be given twice.", code="key")
    request = call.request
    query = sorted((name, value) for name, value in request.GET.items() if name != "api_key")
    # Kept as text, so that the same bytes are sent again.
    kept = once_around_services(
        scope=f"api:{call.client.pk}",
        key=request.headers["Idempotency-Key"],
        fingerprint=fingerprint_of(request.path, query, request.body.hex(), call.viewer and call.viewer.pk),
        act=lambda: dump(act()),
    )
    return json.loads(kept)
