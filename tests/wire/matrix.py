"""The table of who may call which operation, for the tests and for docs/wire.md."""

from oasst.api.error_codes import ErrorCode
from oasst.api.operations import Access, Operation
from oasst.site.api_urls import OPERATIONS

SIGNED_IN = ("member", "moderator", "administrator")
CALLERS = (
    *("nobody", "wrong key", "program", "own token", "trusted program", "root token", "banned person"),
    *SIGNED_IN,
)
"""`own token`: of a person, for themselves, whatever their office. `banned person`: a trusted program speaks for one.
The last three are signed in on the pages, without a key: whatever their office, a cookie opens nothing here.
"""
_NO = f"403/{ErrorCode.API_CLIENT_NOT_AUTHORIZED.value}"
_NOT_ROOT = f"403/{ErrorCode.ROOT_TOKEN_NOT_AUTHORIZED.value}"
_BANNED = f"503/{ErrorCode.USER_DISABLED.value}"
YES = "yes"


def expected(operation: Operation, caller: str) -> str:
    """Return `yes`, or the status and number of the refusal."""
    access = operation.access
    if access == Access.OPEN:
        return YES
    if access == Access.ROOT:
        return YES if caller == "root token" else _NOT_ROOT
    if caller == "banned person":
        return _BANNED if ErrorCode.USER_DISABLED in operation.errors else YES
    opens = {
        "trusted program": True,
        "program": access in (Access.KEY, Access.PROGRAM),
        "own token": access == Access.KEY,
    }
    return YES if opens.get(caller) else _NO


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| Operation | " + " | ".join(CALLERS) + " |", "|---" * (len(CALLERS) + 1) + "|"]
    for one in OPERATIONS:
        cells = (expected(one, caller) for caller in CALLERS)
        lines.append(f"| `{one.method} {one.path}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)
