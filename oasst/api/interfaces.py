"""What an interface for programs is, beyond its table of operations: who opens which of them, how they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oasst.api.operations import Access, Operation
from oasst.api.renderers import JSON, PROBLEM
from oasst.api.views import OperationView

Json = dict[str, Any]


def reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_PLACES: Json = {"type": "array", "items": reference("Place")}
DETAIL: Json = {
    "description": "What is wrong in a sentence, or each place that is wrong.",
    "anyOf": [{"type": "string"}, _PLACES],
}
_ENVELOPES: dict[str, Json] = {
    "Place": {
        "type": "object",
        "description": "What is wrong in one place of path, query or body.",
        "properties": {
            "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
            "msg": {"type": "string"},
            "type": {"type": "string"},
        },
        "required": ["loc", "msg", "type"],
    },
    "Problem": {
        "type": "object",
        "description": "A refusal after RFC 9457, for whoever accepts that. `code` is the reason in a word.",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "error_code": {"type": "integer"},
            "errors": _PLACES,
        },
        "required": ["type", "title", "status", "detail", "code", "error_code", "errors"],
    },
}


@dataclass(frozen=True)
class Interface:
    """What the operations of one interface have in common."""

    base: str
    """The path in front of all operations."""
    title: str
    about: str
    access: Mapping[Access, tuple[str, list[str]]]
    """In words, and the schemes that open it, any one of them."""
    schemes: Mapping[str, Json]
    refusals: Callable[[Operation], Mapping[int, str]]
    """Status → in words: every refusal that an operation may give."""
    refusal: Json | None
    """The shape of a refusal; None where it is one of the declared, `Error`."""
    view: type[OperationView]

    @property
    def envelopes(self) -> dict[str, str]:
        """Media type → the component that a refusal has the shape of."""
        return {JSON: "Refusal", PROBLEM: "Problem"} if self.refusal else {JSON: "Error"}

    @property
    def components(self) -> dict[str, Json]:
        return {"Refusal": self.refusal, **_ENVELOPES} if self.refusal else {}
