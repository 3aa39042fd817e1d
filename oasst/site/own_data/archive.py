"""Write the file with a person's own data: a ZIP of JSON files, made while it is sent, in constant memory.

Nothing is stored, so nothing has to expire or to be deleted with the account (decision 123).
"""

import json
import zipfile
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from oasst.accounts.authentication.sessions import OwnSession
from oasst.accounts.models import User
from oasst.site.own_data.contents import PARTS, PROFILE, Part

BATCH = 500  # rows that are read at once
CHUNK_BYTES = 64 * 1024


def archive(user: User, sessions: list[OwnSession]) -> Generator[bytes]:
    """Return the file in chunks. `sessions` are the browsers in which the user is signed in."""
    outlet = _Outlet()
    now = timezone.now()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as file:
        for name, pieces in _files(user, sessions, now):
            entry = zipfile.ZipInfo(name, now.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open(entry, "w") as written:
                for piece in pieces:
                    written.write(piece.encode())
                    if outlet.size >= CHUNK_BYTES:
                        yield outlet.take()
    yield outlet.take()


class _Outlet:
    """Where `zipfile` writes: it cannot seek, so each entry is followed by its size."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._chunks.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks, self.size = [], 0
        return taken


def _files(user: User, sessions: list[OwnSession], now: datetime) -> Iterator[tuple[str, Iterator[str]]]:
    """Return name and content of each file."""
    yield "README.txt", iter([_readme(now)])
    yield "profile.json", iter([_dump({column: getattr(user, column) for column in PROFILE})])
    yield (
        "sessions.json",
        _array(
            {"browser": row.program, "network": row.network, "began_at": row.began_at, "seen_at": row.seen_at}
            for row in sessions
        ),
    )
    for part in PARTS:
        yield f"{part.name}.json", _array(_rows(part, user))


def _readme(now: datetime) -> str:
    lines = [
        "Everything that this site holds about you, as of " + now.isoformat(timespec="seconds") + ".",
        "Not in it: passwords and keys, which are stored only as hashes, and notes of moderators.",
        "",
        "profile.json: your account",
        "sessions.json: the browsers in which you are signed in",
        *(f"{part.name}.json: {part.about}" for part in PARTS),
    ]
    return "\n".join(lines) + "\n"


def _rows(part: Part, user: User) -> Iterator[dict[str, Any]]:
    """Read the rows with a server-side cursor. Outside a transaction, it leaves none open while a slow client reads."""
    names = part.lookups()
    for row in part.rows(user).order_by("pk").values(*names.values()).iterator(BATCH):
        found = {name: row[lookup] for name, lookup in names.items()}
        yield found | {name: replace(found[name]) for name, replace in part.replaced.items()}


def _array(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Return a JSON array with one row a line."""
    separator = "[\n"
    for row in rows:
        yield separator + _dump(row)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
