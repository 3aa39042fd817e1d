"""The URLs below `/v1` and their OpenAPI document, made from the table of operations."""

from inference.api import openai
from inference.api.openai_views import OpenAIView, unknown_path
from oasst.api.documents import add_document
from oasst.api.interfaces import Interface
from oasst.api.operations import Access, Operation
from oasst.api.views import make_urls
from oasst.core.http import api_paths

_DESCRIPTIONS = {
    400: "`error.param` is wrong or cannot be done here, or the conversation is too long.",
    401: "There is no such token.",
    403: "The user of the token is not allowed.",
    404: "There is no such model.",
    413: "The body is too large.",
    429: "Too often, or too much at once.",
    500: "The model failed.",
    503: "Busy, or it waited in the queue for too long (`queue_timeout`); try again after `Retry-After` seconds.",
    504: "Writing the answer took too long.",
}


def _refusals(operation: Operation) -> dict[int, str]:
    statuses = set() if operation.access == Access.OPEN else {401, 403, 429, 503}
    statuses |= {400, 404, 413, 500, 504} if operation.body else set()
    statuses |= {404} if "<" in operation.path else set()
    return {status: _DESCRIPTIONS[status] for status in sorted(statuses)}


OPERATIONS = [*openai.OPERATIONS]
INTERFACE = Interface(
    base=f"/{api_paths.OPENAI}".rstrip("/"),
    title="API of the chat, as with OpenAI",
    about="The part of OpenAI's API that its clients need. A slash at the end of a path changes nothing.",
    access={
        Access.OPEN: ("Open to everybody.", []),
        Access.PERSON: ("Needs a token of a person who agreed to the terms.", ["token"]),
    },
    schemes={"token": {"type": "http", "scheme": "bearer", "description": "A token that the person made."}},
    refusals=_refusals,
    refusal=None,
    view=OpenAIView,
)
document = add_document(OPERATIONS, INTERFACE)
urlpatterns = make_urls(OPERATIONS, OpenAIView, "openai", unknown_path)
