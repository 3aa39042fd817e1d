"""The OpenAPI details of the data API besides its operations."""

from collections import defaultdict

from oasst.api.error_codes import ErrorCode
from oasst.api.fields import TextField
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
    "description": "A refusal. Decide by `error_code` (0 or missing if there is no number); `message` is for people.",
    "properties": {"error_code": {"type": "integer"}, "message": {"type": "string"}, "detail": DETAIL},
}
_BY_STATUS = {
    400: "The request is garbled.",
    403: "Not open to this caller.",
    404: "There is no such path.",
    409: "In conflict with the current state, or this Idempotency-Key was used for another request.",
    410: "It is over.",
    413: "The body is too large.",
    422: "Path, query or body are not as described here; `detail` lists each place.",
    503: "Busy; try again after `Retry-After` seconds.",
}


def refusals(operation: Operation) -> dict[int, dict[ErrorCode, str]]:
    """Return status → number → description, for every refusal of this operation."""
    result: dict[int, dict[ErrorCode, str]] = defaultdict(dict)

    def may(status: int, number: ErrorCode) -> None:
        result[status][number] = number.name if number else _BY_STATUS[status]

    numbers = [*operation.errors, ErrorCode.DATABASE_MAX_RETRIES_EXHAUSTED]
    if operation.access != Access.OPEN:
        numbers += [ErrorCode.API_CLIENT_NOT_AUTHORIZED, ErrorCode.TOO_MANY_REQUESTS]
    if operation.access in (Access.KEY, Access.TRUSTED):
        numbers.append(ErrorCode.USER_DISABLED)  # with a user's own token
    if operation.access == Access.ROOT:
        numbers.append(ErrorCode.ROOT_TOKEN_NOT_AUTHORIZED)
    if operation.viewer:
        numbers.append(ErrorCode.USER_NOT_FOUND)
    if operation.fallback:
        numbers.append(operation.fallback)
    for number in dict.fromkeys(numbers):
        may(operation.statuses.get(number, number.status), number)
    may(400, ErrorCode.GENERIC_ERROR)
    if (
        operation.query
        or operation.body
        or any(type(field) is not TextField for field in operation.path_fields_by_name.values())
    ):
        may(422, ErrorCode.GENERIC_ERROR)
    if operation.body or operation.method == "POST":
        may(413, ErrorCode.GENERIC_ERROR)
    if operation.path_fields_by_name:
        may(404, ErrorCode.GENERIC_ERROR)
    if operation.method == "POST" and operation.repeatable:
        may(409, ErrorCode.GENERIC_ERROR)
    for status in operation.unnumbered_statuses:
        may(status, ErrorCode.GENERIC_ERROR)
    return dict(sorted(result.items()))


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
