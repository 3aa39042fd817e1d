"""`Interface`: what an API has besides its operations, for its OpenAPI document."""

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
        "description": "A refusal as in RFC 9457, for clients that accept it. `code` is the reason in a word.",
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
    """What the operations of one API have in common."""

    base: str
    """The path prefix of all operations."""
    title: str
    about: str
    access: Mapping[Access, tuple[str, list[str]]]
    """A description, and the alternative security schemes."""
    schemes: Mapping[str, Json]
    refusals: Callable[[Operation], Mapping[int, str]]
    """Status → description, for every refusal of an operation."""
    refusal: Json | None
    """The schema of a refusal; None if it is the declared schema `Error`."""
    view: type[OperationView]

    @property
    def envelopes(self) -> dict[str, str]:
        """Media type → the component with the schema of a refusal."""
        return {JSON: "Refusal", PROBLEM: "Problem"} if self.refusal else {JSON: "Error"}

    @property
    def components(self) -> dict[str, Json]:
        return {"Refusal": self.refusal, **_ENVELOPES} if self.refusal else {}
