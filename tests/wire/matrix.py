"""Who may call which operation: the one table, which is both the test and the documentation (docs/wire.md)."""

from oasst.api.codes import Wire
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
_NO = f"403/{Wire.API_CLIENT_NOT_AUTHORIZED.value}"
_NOT_ROOT = f"403/{Wire.ROOT_TOKEN_NOT_AUTHORIZED.value}"
_BANNED = f"503/{Wire.USER_DISABLED.value}"
YES = "yes"


def expected(operation: Operation, caller: str) -> str:
    """`yes`, or the status and number of the refusal."""
    access = operation.access
    if access == Access.OPEN:
        return YES
    if access == Access.ROOT:
        return YES if caller == "root token" else _NOT_ROOT
    if caller == "banned person":
        return _BANNED if Wire.USER_DISABLED in operation.errors else YES
    opens = {
        "trusted program": True,
        "program": access in (Access.KEY, Access.PROGRAM),
        "own token": access == Access.KEY,
    }
    return YES if opens.get(caller) else _NO


def table() -> str:
    """As Markdown."""
    lines = ["| Operation | " + " | ".join(CALLERS) + " |", "|---" * (len(CALLERS) + 1) + "|"]
    for one in OPERATIONS:
        cells = (expected(one, caller) for caller in CALLERS)
        lines.append(f"| `{one.method} {one.path}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)
