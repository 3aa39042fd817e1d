"""The URLs below `/v1`, and their OpenAPI document, which is made from the table of operations here."""

from functools import cache
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import path
from rest_framework import serializers

from inference.api import openai
from inference.api.openai_schemas import Completion, CompletionRequest, Model, Models, StreamedPiece
from oasst.api import openapi
from oasst.api.answers import JSON
from oasst.api.openapi import Interface
from oasst.api.operations import Access, Operation
from oasst.core.http import api_paths

_WORDS = {
    400: "`error.param` is wrong or cannot be done here, or the conversation is too long.",
    401: "There is no such token.",
    403: "The person of the token may not.",
    404: "There is no such model.",
    413: "The body is too large.",
    429: "Too often, or too much at once.",
    500: "The model failed.",
    503: "Busy, or it waited in the queue for too long (`queue_timeout`); try again after `Retry-After` seconds.",
    504: "Writing the answer took too long.",
}


def _refusals(operation: Operation) -> dict[int, str]:
    found = set() if operation.access == Access.OPEN else {401, 403, 429, 503}
    found |= {400, 404, 413, 500, 504} if operation.body else set()
    found |= {404} if "<" in operation.path else set()
    return {status: _WORDS[status] for status in sorted(found)}


@openai.edge
def get_schema(request: HttpRequest) -> HttpResponseBase:
    """This contract for machines, as an OpenAPI document."""
    if request.method == "GET":
        return JsonResponse(document())
    response = openai.error_answer(405, "This is for GET alone.", "method_not_allowed")
    response["Allow"] = "GET"
    return response


OPERATIONS = [
    Operation(
        "POST",
        "chat/completions",
        Access.PERSON,
        openai.completions,
        body=CompletionRequest,
        answer=Completion,
        events=StreamedPiece,
        tells={
            openai.IGNORED_HEADER: "Names of what was sent and is not known here, percent-encoded, with commas "
            "between; `...` at the end where they are too many. Only where there are any."
        },
    ),
    Operation("GET", "models", Access.PERSON, openai.models, answer=Models),
    Operation("GET", "models/<name>", Access.PERSON, openai.models, name="model", answer=Model),
    Operation(
        "GET", "openapi.json", Access.OPEN, get_schema, answer=serializers.DictField(child=serializers.JSONField())
    ),
]
INTERFACE = Interface(
    base=f"/{api_paths.OPENAI}".rstrip("/"),
    title="API of the chat, as with OpenAI",
    about="What programs that were made for OpenAI's API need of it. A slash at the end of a path changes nothing.",
    access={Access.OPEN: "Open to everybody.", Access.PERSON: "Needs a token of a person who agreed to the terms."},
    keys={Access.OPEN: [], Access.PERSON: [{"token": []}]},
    schemes={"token": {"type": "http", "scheme": "bearer", "description": "A token that the person made."}},
    refusals=_refusals,
    envelopes={JSON: "Error"},
    components={},
    etags=False,
)


@cache
def document() -> dict[str, Any]:
    """All operations as OpenAPI."""
    return openapi.document(INTERFACE, OPERATIONS)


urlpatterns = [path("openapi.json", get_schema, name="openai-schema"), *openai.urlpatterns]
