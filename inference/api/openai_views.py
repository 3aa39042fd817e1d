"""The view class of `/v1`, for the token of a user."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from inference.api.openai_refusals import OPENAI_REFUSALS
from oasst.accounts.access import require_contributor
from oasst.api.authentication import TokenAuthentication
from oasst.api.operations import Access
from oasst.api.parsers import read_json
from oasst.api.views import OPEN, OperationView, Policy, not_found
from oasst.core.errors import NotAllowed


class JsonParser(BaseParser):
    """Parses every body as JSON, whatever its content type."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        return read_json(stream.body)


class HasToken(BasePermission):
    """Needs the token of a user who may contribute."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            raise NotAllowed(
                "You need a token: make one in your profile and send it as `Authorization: Bearer`.", code="token"
            )
        require_contributor(request.user)
        return True


class OpenAIView(OperationView):
    parser_classes = (JsonParser,)
    policies = {Access.OPEN: OPEN, Access.PERSON: Policy((TokenAuthentication,), (HasToken,))}
    refusals = OPENAI_REFUSALS
    etags = False


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponseBase:
    """Serve known paths with a slash at the end, which some clients add; return 404 for others."""
    if request.path_info.endswith("/"):
        try:
            match = resolve(request.path_info.rstrip("/"))
        except Resolver404:
            match = None
        if match is not None and match.func is not unknown_path and match.url_name:
            request.resolver_match = match  # for metrics and logs
            response: HttpResponseBase = match.func(request, **match.kwargs)
            return response
    return not_found(request, OPENAI_REFUSALS, "There is only /v1/chat/completions and /v1/models here.")
