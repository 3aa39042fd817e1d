"""The best five of the last 24 hours, as the dashboard shows them.

Everybody who looks at a dashboard reads the same five rows, so they are kept in the cache for half a minute: a visit
costs no statement. Somebody who is banned or opts out stays on dashboards until then; boards themselves are current.
"""

from typing import Any

from django.core.cache import cache

from leaderboard import queries
from leaderboard.hot import BoardRow
from leaderboard.time_frames import Frame
from oasst.accounts.models import User

SIZE = 5
CACHE_SECONDS = 30
_KEY = "top-five:day"
_SHOWN = ("display_name", "role", "program_beside")


def top_five(viewer: User) -> list[BoardRow]:
    """Return up to five rows by points, without their counts, with the viewer's own row marked. No statement while they
    are in the cache, else one."""
    cached: list[dict[str, Any]] | None = cache.get(_KEY)
    if cached is None:
        cached = [_for_cache(row) for row in queries.top(Frame.DAY, above=0, size=SIZE)]
        cache.set(_KEY, cached, CACHE_SECONDS)
    return [_from_cache(entry, rank, viewer) for rank, entry in enumerate(cached, start=1)]


def _for_cache(row: BoardRow) -> dict[str, Any]:
    shown = {name: getattr(row.person, name) for name in _SHOWN}
    return {"id": str(row.person.pk), "score": row.score, "person": shown}


def _from_cache(entry: dict[str, Any], rank: int, viewer: User) -> BoardRow:
    person = User(pk=entry["id"], **entry["person"])
    return BoardRow(person, {}, entry["score"], rank=rank, is_me=entry["id"] == str(viewer.pk))
