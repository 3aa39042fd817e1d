"""Find among very many texts, one after the other, those that repeat the wording of an earlier one. No site is needed.

Earlier texts lie in a temporary SQLite file, so memory does not grow with them. Two texts have nearly the same wording
if they share LEAST_WORDING of their n-grams (trees.enrichment.sketches).
"""

import json
from collections.abc import Collection

from trees.enrichment import sketches
from trees.interchange.reading.temporary_database import room_on_disk, temporary_database

MAX_CANDIDATES = 200
"""Earlier texts that one text is compared with. Far more than the few that have a band in common by chance."""
_TABLES = """
CREATE TABLE texts (number INTEGER PRIMARY KEY, kind TEXT, key TEXT, text BLOB);
CREATE TABLE bands (band INTEGER, number INTEGER, PRIMARY KEY (band, number)) WITHOUT ROWID;
"""
_CANDIDATES = """
SELECT key, text FROM texts WHERE kind = ? AND number IN
(SELECT number FROM bands WHERE band IN (SELECT value FROM json_each(?))) ORDER BY number LIMIT ?
"""


def kind_of(lang: str, *, is_prompt: bool) -> str:
    """Return what two texts must have in common to be compared."""
    return f"{'prompt' if is_prompt else 'reply'} {lang.lower()}"


class Wordings:
    """The texts that came so far and repeated none. Close it at the end; a process that ends leaves nothing either."""

    def __init__(self) -> None:
        self._database = temporary_database(_TABLES)
        self._database.execute("BEGIN")  # one transaction, or each text would be written to the disk

    def close(self) -> None:
        self._database.close()

    def earlier(self, text: str, *, kind: str, key: str, different: Collection[str] = ()) -> str | None:
        """Return the key of the first text of this kind with nearly the same wording, or None.

        If there is none, later texts are compared with this one too: so the first of a group always stays, and a text
        is only ever measured against texts that stay. Those whose keys are in `different` are not looked at. Texts
        that are too short to be compared repeat nothing. Raise Invalid if the disk is full.
        """
        grams = sketches.grams(text)
        bands = sketches.bands(grams)
        if not bands:
            return None
        with room_on_disk():
            for other, content in self._database.execute(_CANDIDATES, (kind, json.dumps(bands), MAX_CANDIDATES)):
                if other not in different and _similarity(grams, content) >= sketches.LEAST_WORDING:
                    found: str = other
                    return found
            self._add(text, kind, key, bands)
        return None

    def _add(self, text: str, kind: str, key: str, bands: list[int]) -> None:
        content = text[: sketches.MAX_LENGTH].encode("utf-8", "surrogatepass")
        insert = "INSERT INTO texts (kind, key, text) VALUES (?, ?, ?)"
        number = self._database.execute(insert, (kind, key, content)).lastrowid
        rows = ((band, number) for band in bands)
        self._database.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", rows)


def _similarity(grams: frozenset[str], content: bytes) -> float:
    return sketches.similarity(grams, sketches.grams(content.decode("utf-8", "surrogatepass")))
