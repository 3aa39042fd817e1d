"""Does what the site sent fit what it publishes? Asked of a JSON Schema validator, not of our own declarations."""

from typing import Any

import jsonschema_rs


def faults(document: dict[str, Any], name: str, data: Any) -> list[str]:
    """What is wrong with `data` as the shape of this name; empty when it fits."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    return [str(error) for error in validator.iter_errors(data)]
