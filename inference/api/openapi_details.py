"""What the OpenAPI document of the chat says beyond its operations."""

from inference.api.views import ChatView
from oasst.api.interfaces import DETAIL, Interface, Json
from oasst.api.operations import Access, Operation
from oasst.core.http import api_paths

_PERSON = ["trusted_client", "token"]
_ACCESS: dict[Access, tuple[str, list[str]]] = {
    Access.OPEN: ("Open to everybody.", []),
    Access.TRUSTED: ("Needs a trusted program that names a person.", ["trusted_client"]),
    Access.ROOT: ("Needs a root token of the site.", ["root"]),
    Access.MEMBER: ("Needs a person.", _PERSON),
    Access.PERSON: ("Needs a person who agreed to the terms.", _PERSON),
}
_SCHEMES: dict[str, Json] = {
    "trusted_client": {
        "type": "apiKey",
        "in": "header",
        "name": "TrustedClient",
        "description": "Base64 of a JSON object with `api_key`, `client`, `user_id`, `provider_account_id` and "
        "`username`.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of `auth/…`, or one that the person made.",
    },
    "root": {"type": "http", "scheme": "bearer"},
}
_REFUSAL: Json = {
    "type": "object",
    "description": "Why not. Decide by `code`; `detail` is for people.",
    "properties": {"detail": DETAIL, "code": {"type": "string"}},
    "required": ["detail"],
}
_WORDS = {
    400: "Garbled, or it does not go with what is there.",
    401: "Token or `TrustedClient` is not valid, expired or revoked.",
    403: "Nobody came along, or they may not.",
    404: "There is none, or it is somebody else's.",
    409: "It does not go with what is there.",
    413: "Too large.",
    422: "The input is not as described here; `detail` lists each place.",
    429: "Too often, or too much at once.",
    503: "Busy; try again after `Retry-After` seconds.",
}


def refusals(operation: Operation) -> dict[int, str]:
    """Status → in words: every refusal that an operation of the chat may give."""
    found = {400, 429, 503, *operation.plain}  # wrong tokens are counted where none is needed, too
    if operation.access != Access.OPEN or operation.headers:
        found |= {401, 403}
    if operation.in_path:
        found.add(404)
    if operation.body or operation.query:
        found.add(422)
    if operation.body:
        found |= {404, 409, 413}  # a body may name things
    if operation.access in (Access.MEMBER, Access.PERSON, Access.TRUSTED):
        found.add(404)  # a trusted program may name somebody whom nobody knows yet
    return {status: _WORDS[status] for status in sorted(found)}


INTERFACE = Interface(
    base=f"/{api_paths.CHAT}".rstrip("/"),
    title="API of the chat",
    about="The REST contract of Open-Assistant's inference server: chats, messages and their answers as they come.",
    access=_ACCESS,
    schemes=_SCHEMES,
    refusals=refusals,
    refusal=_REFUSAL,
    view=ChatView,
)
