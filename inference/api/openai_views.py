"""Operations of `/v1` as views, for the token of a person."""

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
from oasst.api.views import OPEN, OperationView, Policy, nothing_there
from oasst.core.errors import NotAllowed


class JsonParser(BaseParser):
    """Whatever the body says it is."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        return read_json(stream.body)


class HasToken(BasePermission):
    """A person who may contribute."""

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
def elsewhere(request: HttpRequest) -> HttpResponseBase:
    """The same with a slash at the end, for programs that add one; else 404."""
    if request.path_info.endswith("/"):
        try:
            found = resolve(request.path_info.rstrip("/"))
        except Resolver404:
            found = None
        if found is not None and found.func is not elsewhere and found.url_name:
            request.resolver_match = found  # so that it is counted and logged as what it is
            answered: HttpResponseBase = found.func(request, **found.kwargs)
            return answered
    return nothing_there(request, OPENAI_REFUSALS, "There is only /v1/chat/completions and /v1/models here.")
