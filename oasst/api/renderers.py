"""Render responses as compact JSON, whatever the client accepts."""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from oasst.api.compact_json import dump

JSON = "application/json"
PROBLEM = "application/problem+json"


class CompactJsonRenderer(BaseRenderer):
    media_type = JSON
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        response: Response = (renderer_context or {})["response"]
        return b"" if response.status_code == 204 else dump(data).encode(errors="replace")


_WIRE = CompactJsonRenderer()


class FixedNegotiation(BaseContentNegotiation):
    """Always selects the only parser and renderer of an interface."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        only = next(iter(renderers))
        return only, only.media_type


def render_now(response: Response, renderer: BaseRenderer = _WIRE) -> Response:
    """Render the response, also outside of a view."""
    response.accepted_renderer, response.accepted_media_type = renderer, renderer.media_type
    response.renderer_context = {}  # type: ignore[attr-defined]
    response.render()
    # Free the data, and break the reference cycle between response and context.
    response.data, response.renderer_context = None, {}  # type: ignore[attr-defined]
    # DRF omits the type if there is no body, but API clients expect it.
    response.headers.setdefault("Content-Type", response.content_type or renderer.media_type)
    return response
