"""Access, refusals and title of the chat API, for its OpenAPI document."""

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
    "description": "A refusal. Decide by `code`; `detail` is for people.",
    "properties": {"detail": DETAIL, "code": {"type": "string"}},
    "required": ["detail"],
}
_DESCRIPTIONS = {
    400: "Malformed, or in conflict with the current state.",
    401: "Token or `TrustedClient` is not valid, expired or revoked.",
    403: "Not signed in, or not allowed.",
    404: "Not there, or of another user.",
    409: "In conflict with the current state.",
    413: "Too large.",
    422: "The input is not as described here; `detail` lists each place.",
    429: "Too often, or too much at once.",
    503: "Busy; try again after `Retry-After` seconds.",
}


def refusals(operation: Operation) -> dict[int, str]:
    """Return status → description of every refusal that an operation of the chat may give."""
    statuses = {400, 429, 503, *operation.unnumbered_statuses}  # wrong tokens are counted even where none is needed
    if operation.access != Access.OPEN or operation.headers:
        statuses |= {401, 403}
    if operation.path_fields_by_name:
        statuses.add(404)
    if operation.body or operation.query:
        statuses.add(422)
    if operation.body:
        statuses |= {404, 409, 413}  # a body may name other objects
    if operation.access in (Access.MEMBER, Access.PERSON, Access.TRUSTED):
        statuses.add(404)  # a trusted client may name an unknown user
    return {status: _DESCRIPTIONS[status] for status in sorted(statuses)}


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
