"""Check what the site sent against what it publishes, by a JSON Schema validator and not by our own declarations."""

from typing import Any

import jsonschema_rs


def validation_errors(document: dict[str, Any], name: str, data: Any) -> list[str]:
    """Return the errors of `data` as this schema; empty if it fits."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    return [str(error) for error in validator.iter_errors(data)]
