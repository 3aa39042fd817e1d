"""The site's limits as throttles of DRF. They raise Busy, which says when to come again."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from oasst.core import ratelimit


class ProgramWrites(BaseThrottle):
    """What a program may change in a time, unless it is trusted."""

    def allow_request(self, request: Request, view: Any) -> bool:
        client: Any = request.auth
        if client is not None and request.method != "GET" and not client.trusted:
            ratelimit.spend(ratelimit.PROGRAM_WRITES, client.pk)
        return True
