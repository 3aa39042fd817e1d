"""Pseudonyms for the ids of users, and of messages on request. No database.

A pseudonym is the first half of an HMAC-SHA256, written as a UUID so that readers of the file still accept it. The key
is the site's secret or a given seed: without it nobody can find the id, with it the same id always becomes the same
pseudonym.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac

_SALT = "trees.interchange.pseudonyms"
_PEOPLE = frozenset({"user_id"})
# A tree has the id of its prompt, so both become the same.
_MESSAGES = frozenset({"message_id", "parent_id", "message_tree_id", "ranking_parent_id", "ranked_message_ids"})
SHORT_SEED = 16  # characters; a shorter seed can be guessed


class Pseudonyms:
    """Replace the ids of the `people` of this site, or all ids if there is a seed.

    Without a seed, imported ids that are not ids of users here stay as they are.
    """

    def __init__(self, seed: str | None = None, people: Collection[UUID] = ()) -> None:
        self._seed, self._people = seed, frozenset(people)

    @property
    def replaces_all_ids(self) -> bool:
        """Return True if ids of messages and unknown keys are hidden too."""
        return self._seed is not None

    def replace(self, value: Any) -> Any:
        """Return the same JSON value with its ids replaced, at any depth."""
        if isinstance(value, dict):
            return {key: self._replaced(key, inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.replace(inner) for inner in value]
        return value

    def _replaced(self, key: str, value: Any) -> Any:
        if key not in _PEOPLE | _MESSAGES or value in (None, ""):
            return self.replace(value)
        if isinstance(value, list) and key in _MESSAGES:
            return [self._replaced(key, inner) for inner in value]
        if self._seed is not None:  # other systems have ids of other types
            name = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            return self.pseudonym("user" if key in _PEOPLE else "message", name)
        if key in _PEOPLE and as_uuid(value) in self._people:
            return self.pseudonym("user", value)
        return self.replace(value)

    def pseudonym(self, collection: str, value: str) -> str:
        """Return the pseudonym of one id. `collection` is "user" or "message", or another kind of ids."""
        name = f"{collection}:{as_uuid(value) or value}"  # in any spelling
        digest = salted_hmac(_SALT, name, secret=self._seed, algorithm="sha256").digest()
        number = int.from_bytes(digest[:16])
        # Version 8 of RFC 9562: a UUID with custom bits.
        return str(UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62))


def as_uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def user_ids_in(values: Iterable[Any]) -> set[UUID]:
    """Return everything in these JSON values, at any depth, that may be the id of a user here."""
    user_ids: set[UUID] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            user_ids.update(user_id for key in _PEOPLE & value.keys() if (user_id := as_uuid(value[key])))
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return user_ids
