"""Every URL of the site, from Django's resolver, for tests that must cover all of them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from inference.api_urls import OPERATIONS as CHAT_OPERATIONS
from oasst.api.operations import Operation
from oasst.site.api_urls import OPERATIONS as WIRE_OPERATIONS

TABLES: dict[str, list[Operation]] = {"/api/v1/": WIRE_OPERATIONS, "/inference/": CHAT_OPERATIONS}
"""The two APIs are tables already: prefix → operations."""
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Url:
    route: str
    """As in the patterns, without the leading slash: `messages/<uuid:message_id>/`."""
    name: str
    view: Any

    @property
    def is_admin(self) -> bool:
        return self.route.startswith("admin/")


def every_url() -> Iterator[Url]:
    """Return all URLs but those of the two operation tables. If one pattern hides another, both are returned."""
    for url in _walk(get_resolver(), ""):
        if not f"/{url.route}".startswith(tuple(TABLES)):
            yield url


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Url]:
    for pattern in resolver.url_patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield Url(route, pattern.name or "", pattern.callback)


def every_operation() -> Iterator[tuple[str, Operation]]:
    """Return (prefix, operation) of both APIs."""
    for prefix, operations in TABLES.items():
        for operation in operations:
            yield prefix, operation


def address(route: str, values: Mapping[str, object]) -> str | None:
    """Return the route with its arguments filled in; None if one has no value or it is a regular expression."""
    if "(?P" in route or any(name not in values for name in _ARGUMENT.findall(route)):
        return None
    return _ARGUMENT.sub(lambda found: str(values[found[1]]), route)
