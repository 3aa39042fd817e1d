"""Rate limits as DRF throttles. They raise Busy, which has the waiting time."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from oasst.core import ratelimit


class ClientWrites(BaseThrottle):
    """Limits the writes of untrusted API clients."""

    def allow_request(self, request: Request, view: Any) -> bool:
        client: Any = request.auth
        if client is not None and request.method != "GET" and not client.trusted:
            ratelimit.count_use(ratelimit.CLIENT_WRITES, client.pk)
        return True
