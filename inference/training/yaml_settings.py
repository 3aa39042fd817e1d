"""Settings as people write them: files of YAML, and single values on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from inference.training.errors import TrainingError


def read_yaml(file: Path, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Return the keys and values of a file. Raise TrainingError (`config`)."""
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{file} cannot be read: {error}", code="config") from error
    if found is None and may_be_empty:
        return {}
    if not isinstance(found, dict):
        raise TrainingError(f"{file} must have lines of the form key: value.", code="config")
    return {str(key): value for key, value in found.items()}


def parse_value(text: str) -> Any:
    """Return a value of the command line as YAML means it, or the text itself if it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return the values of settings that are written as key=value. Raise TrainingError (`config`)."""
    values = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise TrainingError(f"{change!r} is no setting: write key=value.", code="config")
        values[key.strip()] = parse_value(value)
    return values


def words(value: Any) -> Any:
    """Return a text with commas as a list; for settings that are lists."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value
