"""The people of the team page, from the JSON file that TEAM_FILE names:

    [{"name": "Moderators", "people": [{"name": "Ada L.", "role": "English", "url": "https://example.org/ada"}]}]

`role` and `url` may be missing. The file is read again when it changes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)


class BadTeamFile(ValueError):
    """The file cannot be read, or has another form. The message says what is wrong."""


@dataclass(frozen=True)
class Member:
    name: str
    role: str = ""
    url: str = ""


@dataclass(frozen=True)
class Group:
    name: str
    people: tuple[Member, ...]


_known: tuple[tuple[str, float], list[Group]] | None = None
"""Path and time of the last change of the file that was read, and its groups."""


def groups() -> list[Group]:
    """Return the groups of the team; an empty list without a file, or if the file is wrong, which is logged once."""
    global _known
    if not settings.TEAM_FILE:
        return []
    try:
        version = (settings.TEAM_FILE, Path(settings.TEAM_FILE).stat().st_mtime)
    except OSError:
        version = (settings.TEAM_FILE, 0.0)
    if _known is None or _known[0] != version:
        try:
            found = read_team(Path(settings.TEAM_FILE))
        except BadTeamFile as error:
            log.warning("team_file_not_read", reason=str(error))
            found = []
        _known = (version, found)
    return _known[1]


def has_team() -> bool:
    return bool(groups())


def read_team(path: Path) -> list[Group]:
    """Read the file. Raise BadTeamFile."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise BadTeamFile(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadTeamFile(f"{path} is not JSON: {error}") from error
    if not isinstance(data, list):
        raise BadTeamFile(f"{path} must be a list of groups")
    return [_group(entry) for entry in data]


def _group(entry: Any) -> Group:
    if not isinstance(entry, dict) or not isinstance(entry.get("people"), list):
        raise BadTeamFile("each group has a name and a list of people")
    return Group(_text(entry, "name"), tuple(_member(person) for person in entry["people"]))


def _member(entry: Any) -> Member:
    if not isinstance(entry, dict):
        raise BadTeamFile("each person has a name, and may have role and url")
    url = _text(entry, "url", "")
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise BadTeamFile(f"{url!r} is no address; write https://…")
    return Member(_text(entry, "name"), _text(entry, "role", ""), url)


def _text(entry: dict[str, Any], name: str, default: str | None = None) -> str:
    value = entry.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise BadTeamFile(f"{name} must be a text")
    return value.strip()
