"""Other ids in place of those of people, and of messages where that is asked for. No database.

An id becomes the first half of an HMAC-SHA256, written as a UUID, so that whatever reads a file goes on reading it. The
key is the site's secret, or a seed that the caller gave: without it nobody finds the id again, with it the same id
becomes the same pseudonym each time.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac

_SALT = "trees.interchange.pseudonyms"
_PEOPLE = frozenset({"user_id"})
# The id of a tree is that of its prompt, so both become the same.
_MESSAGES = frozenset({"message_id", "parent_id", "message_tree_id", "ranking_parent_id", "ranked_message_ids"})
SHORT_SEED = 16  # characters: of less all can be tried


class Pseudonyms:
    """Whose ids are replaced: those of the `people` of this site, or with a seed all ids.

    Ids of people that came with a file are not people of this site and stay as they are, without a seed.
    """

    def __init__(self, seed: str | None = None, people: Collection[UUID] = ()) -> None:
        self._seed, self._people = seed, frozenset(people)

    @property
    def hides_everything(self) -> bool:
        """Not only people: ids of messages too, and keys of a file that nobody here knows."""
        return self._seed is not None

    def replace(self, value: Any) -> Any:
        """The same JSON value with other ids in it, also deep inside."""
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
        if self._seed is not None:  # other programs have ids of other types, which name people too
            name = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            return self._pseudonym("user" if key in _PEOPLE else "message", name)
        if key in _PEOPLE and as_uuid(value) in self._people:
            return self._pseudonym("user", value)
        return self.replace(value)

    def _pseudonym(self, collection: str, value: str) -> str:
        about = f"{collection}:{as_uuid(value) or value}"  # however it is spelled
        digest = salted_hmac(_SALT, about, secret=self._seed, algorithm="sha256").digest()
        number = int.from_bytes(digest[:16])
        # Version 8 of RFC 9562: a UUID whose bits mean what its maker wants.
        return str(UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62))


def as_uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def user_ids_in(values: Iterable[Any]) -> set[UUID]:
    """Everything in these JSON values, also deep inside, that could be the id of a person of this site."""
    found: set[UUID] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found.update(one for key in _PEOPLE & value.keys() if (one := as_uuid(value[key])))
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found
