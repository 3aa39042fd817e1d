"""Reading boards. Never writes.

A contribution counts for its author at once: events that the scores do not contain yet are added to the viewer's own
row.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.core.cache import cache

from leaderboard import hot
from leaderboard.hot import BoardRow
from leaderboard.points import score_of, worth
from leaderboard.time_frames import Frame
from oasst.accounts.models import User

Counts = Counter[str]


@dataclass
class Board:
    """A page of a board, and the rows around the viewer if they are not on it."""

    rows: list[BoardRow]
    more: bool
    mine: BoardRow | None = None
    around: list[BoardRow] = field(default_factory=list)


def top(
    frame: Frame, *, lang: str = "", measure: str = "points", above: int = -1_000_000, start: int = 0, size: int = 100
) -> list[BoardRow]:
    """Return rows of a board with their ranks: scores above `above`, best first, equal scores by id. Banned and hidden
    users are left out. One statement."""
    rows = hot.read_board_top(frame, lang, measure, above=above, start=start, size=size)
    for rank, row in enumerate(rows, start=start + 1):
        row.rank = rank
    return rows


def board(
    frame: Frame, *, viewer: User, lang: str = "", measure: str = "points", start: int = 0, size: int = 20
) -> Board:
    """Return one page of a board with the viewer's own row and the rows around it. Four statements, and a fifth once a
    minute for the ladder."""
    rows = top(frame, lang=lang, measure=measure, above=0, start=start, size=size + 1)
    result = Board(rows[:size], more=len(rows) > size)
    for row in result.rows:
        row.is_me = row.person.pk == viewer.pk
    mine = own_counts(viewer, lang=lang, frames=[frame])[frame]
    score = score_of(mine, measure)
    if score <= 0 or not (viewer.enabled and viewer.show_on_leaderboard):
        return result
    result.mine = BoardRow(viewer, mine, score, is_me=True)
    on_page = next((row for row in result.rows if row.is_me), None)
    if on_page is not None and on_page.score == score:
        on_page.counts, result.mine.rank = mine, on_page.rank
        return result
    result.mine.rank = rank_of(frame, lang, measure, score, viewer.pk)
    result.around = around(frame, lang, measure, result.mine)
    return result


ABOVE, BELOW = 1, 2  # rows around the viewer's own


def around(
    frame: Frame, lang: str, measure: str, mine: BoardRow, *, above: int = ABOVE, below: int = BELOW, least: int = 0
) -> list[BoardRow]:
    """Return `mine`, whose rank is set, with up to `above` rows above and `below` rows below it, with scores above
    `least`. One statement.
    """
    me = mine.person.pk
    near = hot.read_board_around(
        frame, lang, measure, score=mine.score, person_id=me, above=above, below=below, least=least
    )
    mine.updated_at = next((row.updated_at for row in near if row.person.pk == me), None)
    before = [row for row in near if (-row.score, row.person.pk) < (-mine.score, me)]
    after = [row for row in near if (-row.score, row.person.pk) > (-mine.score, me)][:below]
    before = before[max(0, len(before) - above) :]
    for number, row in enumerate([*before, mine, *after], start=(mine.rank or 1) - len(before)):
        row.rank = number
    return [*before, mine, *after]


RUNG = 100  # ranks from rung to rung of a ladder
LADDER_SECONDS, LADDER_KEPT = 60, 600
_TOP = 2**31 - 1  # no score is higher
_RUNG_LENGTH = 8 + 32  # hexadecimal digits of score and id
_HIGHEST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class BoardPosition:
    """The position of a user on the board of one frame."""

    frame: Frame
    score: int
    person_id: UUID


def rank_of(frame: Frame, lang: str, measure: str, score: int, person_id: UUID) -> int:
    """Return the rank of a user with this score. One statement."""
    (rank,) = ranks_of(lang, measure, [BoardPosition(frame, score, person_id)])
    return rank


def ranks_of(lang: str, measure: str, positions: list[BoardPosition]) -> list[int]:
    """Return the rank at each of these positions. One statement for any number of them.

    Counted from the nearest rung above of a ladder that is up to a minute old, since counting from the top would read
    all rows above. So the first `RUNG` ranks are exact, and the others are at most a minute old.
    """
    ladders = _ladders({position.frame for position in positions}, lang, measure)
    requests = []
    for position in positions:
        rank, top, leader = _rung_above(ladders[position.frame], position)
        until = position.person_id if position.score == top else _HIGHEST_ID
        requests.append(hot.RankRequest(position.frame, rank, top, leader, until, position.score, position.person_id))
    return hot.count_ranks(lang, measure, requests)


def _rung(score: int, person_id: UUID) -> str:
    """Return a text that sorts like the rank. A ladder is one string of rungs, since reading a list of thousands from
    the cache takes longer than the rest of a page.
    """
    return f"{_TOP - score:08x}{person_id.hex}"


def _rung_above(ladder: str, position: BoardPosition) -> tuple[int, int, UUID]:
    """Return rank, score and user id of the nearest rung above; without one, rank 0 above the board."""
    rungs, own = range(0, len(ladder), _RUNG_LENGTH), _rung(position.score, position.person_id)
    number = bisect_left(rungs, own, key=lambda start: ladder[start : start + _RUNG_LENGTH])
    if not number:
        return 0, _TOP, _HIGHEST_ID
    start = rungs[number - 1]
    rung = ladder[start : start + _RUNG_LENGTH]
    return number * RUNG, _TOP - int(rung[:8], 16), UUID(rung[8:])


def _read_ladder(frame: Frame, lang: str, measure: str) -> str:
    """Return a new ladder: the rungs of a board from the top, joined."""
    return "".join(_rung(score, person_id) for score, person_id in hot.read_every_nth(frame, lang, measure, RUNG))


def _ladders(frames: Iterable[Frame], lang: str, measure: str) -> dict[Frame, str]:
    """Return the ladder of each frame: every hundredth row. One of the readers renews it once a minute."""
    # Not "rungs:…", under which an older release that may still run keeps lists.
    keys = {frame: f"ladder:{frame.value}:{lang}:{measure}" for frame in frames}
    cached, ladders = cache.get_many(keys.values()), {}
    for frame, key in keys.items():
        made_at, ladders[frame] = cached.get(key) or (0, "")
        age = time.time() - made_at
        if age > LADDER_SECONDS and (not made_at or cache.add(f"{key}:renewing", True, LADDER_SECONDS)):
            ladders[frame] = _read_ladder(frame, lang, measure)
            cache.set(key, (time.time(), ladders[frame]), LADDER_KEPT)
    return ladders


def own_counts(user: User, *, lang: str = "", frames: Iterable[Frame] = Frame) -> dict[Frame, Counts]:
    """Return frame → the user's counts, including events that the scores do not contain yet. One statement.

    Those events are new, so they count in every frame, with an open outcome.
    """
    frames = list(frames)
    by_frame = hot.read_own_counts(user.pk, lang, frames)
    uncounted = by_frame.pop("")
    uncounted["provisional"] = sum(worth(kind, number) for kind, number in uncounted.items())
    return {frame: by_frame.get(frame.value, Counter()) + uncounted for frame in frames}
