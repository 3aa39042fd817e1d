"""The names of acts. Each app registers its own when it is loaded, with the words that the log shows."""

import re
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[a-z_]+\.[a-z_]+")
_registered: dict[str, "Act"] = {}


@dataclass(frozen=True)
class Act:
    name: str
    """What the log stores, for ever: the kind of thing and the verb, such as message.delete."""
    label: Any
    """What the log shows, such as "removed a message"; marked for translation."""


def register(name: str, label: Any) -> Act:
    """Return a new act. Raise ValueError for an odd name, or one that is taken."""
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise ValueError(f"not the name of an act: {name}")
    if name in _registered:
        raise ValueError(f"two acts are named {name}")
    return _registered.setdefault(name, Act(name, label))


def all_acts() -> list[Act]:
    """Return all acts, by their names."""
    return [_registered[name] for name in sorted(_registered)]


def label_of(name: str) -> str:
    """Return the words for an act; the name itself for one that a former release had."""
    act = _registered.get(name)
    return str(act.label) if act else name
