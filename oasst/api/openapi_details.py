"""What the OpenAPI document of the data set's interface says beyond its operations."""

from collections import defaultdict

from oasst.api.codes import Wire
from oasst.api.fields import Text
from oasst.api.interfaces import DETAIL, Interface, Json
from oasst.api.operations import Access, Operation
from oasst.api.views import DataView
from oasst.core.http import api_paths

_ACCESS = {
    Access.OPEN: ("Open to everybody.", []),
    Access.KEY: ("Needs the key of an API client, or a person's own token.", ["key", "key_in_query", "token"]),
    Access.PROGRAM: ("Needs the key of an API client.", ["key", "key_in_query"]),
    Access.TRUSTED: ("Needs the key of a trusted API client.", ["key", "key_in_query"]),
    Access.ROOT: ("Needs a root token of the site.", ["root"]),
}
_SCHEMES: dict[str, Json] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "key_in_query": {"type": "apiKey", "in": "query", "name": "api_key"},
    "token": {"type": "http", "scheme": "bearer", "description": "A person's own token, for that person."},
    "root": {"type": "http", "scheme": "bearer"},
}
_REFUSAL: Json = {
    "type": "object",
    "description": "Why not. Decide by `error_code` (0, or none, where there is no number); `message` is for people.",
    "properties": {"error_code": {"type": "integer"}, "message": {"type": "string"}, "detail": DETAIL},
}
_BY_STATUS = {
    400: "The request is garbled.",
    403: "Not open to this caller.",
    404: "There is no such path.",
    409: "It does not go with what is there, or this Idempotency-Key was used for another request.",
    410: "It is over.",
    413: "The body is too large.",
    422: "Path, query or body are not as described here; `detail` lists each place.",
    503: "Busy; try again after `Retry-After` seconds.",
}


def refusals(operation: Operation) -> dict[int, dict[Wire, str]]:
    """Status → number → in words: every refusal that this operation may give."""
    found: dict[int, dict[Wire, str]] = defaultdict(dict)

    def may(status: int, number: Wire) -> None:
        found[status][number] = number.name if number else _BY_STATUS[status]

    numbers = [*operation.errors, Wire.DATABASE_MAX_RETRIES_EXHAUSTED]
    if operation.access != Access.OPEN:
        numbers += [Wire.API_CLIENT_NOT_AUTHORIZED, Wire.TOO_MANY_REQUESTS]
    if operation.access in (Access.KEY, Access.TRUSTED):
        numbers.append(Wire.USER_DISABLED)  # a person's own token
    if operation.access == Access.ROOT:
        numbers.append(Wire.ROOT_TOKEN_NOT_AUTHORIZED)
    if operation.viewer:
        numbers.append(Wire.USER_NOT_FOUND)
    if operation.fallback:
        numbers.append(operation.fallback)
    for number in dict.fromkeys(numbers):
        may(operation.statuses.get(number, number.status), number)
    may(400, Wire.GENERIC_ERROR)
    if operation.query or operation.body or any(type(field) is not Text for field in operation.in_path.values()):
        may(422, Wire.GENERIC_ERROR)
    if operation.body or operation.method == "POST":
        may(413, Wire.GENERIC_ERROR)
    if operation.in_path:
        may(404, Wire.GENERIC_ERROR)
    if operation.method == "POST" and operation.repeatable:
        may(409, Wire.GENERIC_ERROR)
    for status in operation.plain:
        may(status, Wire.GENERIC_ERROR)
    return dict(sorted(found.items()))


def _in_words(operation: Operation) -> dict[int, str]:
    return {
        status: "; ".join(f"{number.value} {words}" for number, words in sorted(reasons.items()))
        for status, reasons in refusals(operation).items()
    }


INTERFACE = Interface(
    base=f"/{api_paths.DATA}".rstrip("/"),
    title="API of the data set",
    about="Open-Assistant's REST protocol. Inputs are taken leniently: numbers as text, text as numbers, an "
    "interaction without `type` by its members; members that are not named here are ignored.",
    access=_ACCESS,
    schemes=_SCHEMES,
    refusals=_in_words,
    refusal=_REFUSAL,
    view=DataView,
)
