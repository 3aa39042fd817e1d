"""Reading boards. Never writes.

What a person has just done counts for them at once: facts that the scores have not read yet are added to the person's
own row, here and wherever they look.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.core.cache import cache

from leaderboard import hot
from leaderboard.hot import BoardRow
from leaderboard.models import TrollStanding
from leaderboard.points import KINDS, worth
from leaderboard.time_frames import Frame
from oasst.accounts.models import User

Counts = Counter[str]


@dataclass
class Board:
    """The top of a board, and where the person who looks stands if that is further down."""

    rows: list[BoardRow]
    more: bool
    mine: BoardRow | None = None
    around: list[BoardRow] = field(default_factory=list)


def measure_of(counts: Mapping[str, int], measure: str) -> int:
    """The score that these counts give: what the database computes for whole rows."""
    if measure == "quality":
        return sum(kind.quality * counts[kind.name] for kind in KINDS.values())
    return sum(worth(kind.name, counts[kind.name]) for kind in KINDS.values() if measure in ("points", kind.activity))


def top(
    frame: Frame, *, lang: str = "", measure: str = "points", above: int = -1_000_000, start: int = 0, size: int = 100
) -> list[BoardRow]:
    """Rows of a board with a score above `above`, best first, equal scores by id. Who is banned or does not want to be
    seen is left out. One statement."""
    rows = hot.board_top(frame, lang, measure, above=above, start=start, size=size)
    for rank, row in enumerate(rows, start=start + 1):
        row.rank = rank
    return rows


def board(
    frame: Frame, *, viewer: User, lang: str = "", measure: str = "points", start: int = 0, size: int = 20
) -> Board:
    """One page of a board, with the viewer's own row and the window around it. Four statements, and a fifth once a
    minute for the ladder."""
    rows = top(frame, lang=lang, measure=measure, above=0, start=start, size=size + 1)
    result = Board(rows[:size], more=len(rows) > size)
    for row in result.rows:
        row.is_me = row.person.pk == viewer.pk
    mine = own_counts(viewer, lang=lang, frames=[frame])[frame]
    score = measure_of(mine, measure)
    if score <= 0 or not (viewer.enabled and viewer.show_on_leaderboard):
        return result
    result.mine = BoardRow(viewer, mine, score, is_me=True)
    here = next((row for row in result.rows if row.is_me), None)
    if here is not None and here.score == score:
        here.counts, result.mine.rank = mine, here.rank
        return result
    result.mine.rank = rank_of(frame, lang, measure, score, viewer.pk)
    result.around = around(frame, lang, measure, result.mine)
    return result


ABOVE, BELOW = 1, 2  # rows shown around one's own


def around(
    frame: Frame, lang: str, measure: str, mine: BoardRow, *, above: int = ABOVE, below: int = BELOW, least: int = 0
) -> list[BoardRow]:
    """Own row, whose rank is known, with so many just above and below it whose scores are more than `least`. One
    statement.
    """
    me = mine.person.pk
    near = hot.board_around(frame, lang, measure, score=mine.score, person_id=me, above=above, below=below, least=least)
    mine.updated_at = next((row.updated_at for row in near if row.person.pk == me), None)
    before = [row for row in near if (-row.score, row.person.pk) < (-mine.score, me)]
    after = [row for row in near if (-row.score, row.person.pk) > (-mine.score, me)][:below]
    before = before[max(0, len(before) - above) :]
    for number, row in enumerate([*before, mine, *after], start=(mine.rank or 1) - len(before)):
        row.rank = number
    return [*before, mine, *after]


RUNG = 100  # places from rung to rung of a ladder
LADDER_SECONDS, LADDER_KEPT = 60, 600
_TOP = 2**31 - 1  # no score is higher
_MARK = 8 + 32  # letters of a rung
_HIGHEST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Standpoint:
    """Where somebody stands on the board of one frame."""

    frame: Frame
    score: int
    person_id: UUID


def rank_of(frame: Frame, lang: str, measure: str, score: int, person_id: UUID) -> int:
    """The place of somebody with this score: one more than those above. One statement."""
    (rank,) = ranks_of(lang, measure, [Standpoint(frame, score, person_id)])
    return rank


def ranks_of(lang: str, measure: str, standpoints: list[Standpoint]) -> list[int]:
    """The place of each. One statement, whatever their number.

    Counted from the next rung of a ladder that is up to a minute old: counting from the top would read as many rows as
    there are people above. So the first places are exact, and those further down as they were a minute ago at worst.
    """
    ladders = _ladders({one.frame for one in standpoints}, lang, measure)
    wanted = []
    for one in standpoints:
        place, top, leader = _next_rung(ladders[one.frame], one)
        until = one.person_id if one.score == top else _HIGHEST_ID
        wanted.append(hot.Wanted(one.frame, place, top, leader, until, one.score, one.person_id))
    return hot.count_ranks(lang, measure, wanted)


def _mark(score: int, person_id: UUID) -> str:
    """Marks of people have the order of their places. A ladder is one text of them: read from the cache in no time,
    where a list of thousands takes longer than the rest of a page."""
    return f"{_TOP - score:08x}{person_id.hex}"


def _next_rung(ladder: str, standpoint: Standpoint) -> tuple[int, int, UUID]:
    """Place, score and person of the rung next above; without one, a place that is above the board."""
    mine = _mark(standpoint.score, standpoint.person_id)
    number = bisect_left(range(len(ladder) // _MARK), mine, key=lambda at: ladder[at * _MARK : (at + 1) * _MARK])
    if not number:
        return 0, _TOP, _HIGHEST_ID
    rung = ladder[(number - 1) * _MARK : number * _MARK]
    return number * RUNG, _TOP - int(rung[:8], 16), UUID(rung[8:])


def _climb(frame: Frame, lang: str, measure: str) -> str:
    return "".join(_mark(score, person_id) for score, person_id in hot.every_nth_of_board(frame, lang, measure, RUNG))


def _ladders(of: Iterable[Frame], lang: str, measure: str) -> dict[Frame, str]:
    """Every hundredth row of boards. Renewed once a minute while somebody looks, by one of those who look."""
    # "rungs:…" held lists: a process of an older release that still runs would fail on our texts, and we on its lists.
    keys = {frame: f"ladder:{frame.value}:{lang}:{measure}" for frame in of}
    kept, found = cache.get_many(keys.values()), {}
    for frame, key in keys.items():
        made_at, found[frame] = kept.get(key) or (0, "")
        age = time.time() - made_at
        if age > LADDER_SECONDS and (not made_at or cache.add(f"{key}:renewing", True, LADDER_SECONDS)):
            found[frame] = _climb(frame, lang, measure)
            cache.set(key, (time.time(), found[frame]), LADDER_KEPT)
    return found


def own_counts(person: User, *, lang: str = "", frames: Iterable[Frame] = Frame) -> dict[Frame, Counts]:
    """What a person did in each frame, with what the scores have not read yet. One statement.

    The unread is new work, so it is in every frame, and what became of it is open.
    """
    wanted = list(frames)
    found = hot.own_counts(person.pk, lang, wanted)
    unread = found.pop("")
    unread["provisional"] = sum(worth(kind, number) for kind, number in unread.items())
    return {frame: found.get(frame.value, Counter()) + unread for frame in wanted}


def troll_board(frame: Frame, *, enabled: bool | None = None, size: int = 100) -> list[TrollStanding]:
    """The moderators' board, most complaints first. It shows everybody. One statement."""
    return hot.troll_board(frame, [True, False] if enabled is None else [enabled], size)
