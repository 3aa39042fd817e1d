"""Scores and boards as the wire shows them. Plain data; the operations beside this only parse and answer."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.core.cache import cache

from leaderboard import jobs, levels, queries, streaks, tallies, time_frames
from leaderboard.hot import BoardRow
from leaderboard.models import TrollStanding
from leaderboard.points import FLAGS, MEANS
from leaderboard.time_frames import Frame
from oasst.accounts import hot
from oasst.accounts.models import ApiClient, User
from oasst.api.wire_json import dump
from oasst.core.errors import NotFound

COUNTERS = (
    *("prompts", "replies_assistant", "replies_prompter", "labels_simple", "labels_full", "rankings_total"),
    *("accepted_prompts", "accepted_replies_assistant", "accepted_replies_prompter"),
    *("reply_ranked_1", "reply_ranked_2", "reply_ranked_3"),
)
SPELT = {"lang_mismatch": "lang_mismach"}  # on the wire
Names = dict[UUID, tuple[str, str]]


def names_for(client: ApiClient, people: Iterable[UUID]) -> Names:
    """Person → (auth method, username) as this client calls them, else as anybody does, else by our own id."""
    found: Names = {}
    for user_id, client_id, auth_method, username in hot.names_of(people):
        if user_id not in found or client_id == client.pk:
            found[user_id] = (auth_method, username)
    return found


def _score(row: BoardRow, since: datetime | None, names: Names, now: datetime, *, highlighted: bool) -> dict[str, Any]:
    """`since` is where the frame begins."""
    person = row.person
    person_id = person.pk
    auth_method, username = names.get(person_id) or ("local", str(person_id))
    return {
        "rank": row.rank,
        "user_id": person_id,
        "highlighted": highlighted,
        "username": username,
        "auth_method": auth_method,
        "display_name": person.display_name,
        "leader_score": row.score,
        "level": levels.number_of(row.score) if row.counts else 0,
        "base_date": since,
        "modified_date": row.updated_at or now,
        "rankings_good": 0,  # never computed by the reference, and part of its sum
        **{name: row.counts[name] for name in COUNTERS},
        "streak_last_day_date": person.streak_started_at,
        "streak_days": streaks.streak_of(person, now).days if person.last_activity_at else None,
        "last_activity_date": person.last_activity_at,
    }


def _board(frame: Frame, rows: list[BoardRow], client: ApiClient) -> dict[str, Any]:
    now = datetime.now(UTC)
    names, since = names_for(client, (row.person.pk for row in rows)), time_frames.since(frame, now)
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows if row.updated_at), default=now),
        "leaderboard": [_score(row, since, names, now, highlighted=False) for row in rows],
    }


def _highlight(board: dict[str, Any], person_id: UUID) -> None:
    """Ids are text in a board that was kept."""
    for row in board["leaderboard"]:
        row["highlighted"] = str(row["user_id"]) == str(person_id)


KEPT = 2
KEPT_FROM, KEPT_TO = 100, 1_000
"""Seconds for which boards of so many rows are kept: programs ask for the same one again and again."""
_UPDATES = "boards:updates"


def _kept(kind: str, which: str, client: ApiClient, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A board as this client sees it: as it is or, a long one, as it was seconds ago. Its rows are called `kind`."""
    key = f"{kind}:{which}:{client.pk}"
    found = cache.get_many([key, _UPDATES])
    update, text = found.get(key) or (None, "")
    if text and update == found.get(_UPDATES):
        kept: dict[str, Any] = orjson.loads(text)
        return kept
    made = make()
    if KEPT_FROM <= len(made[kind]) <= KEPT_TO:
        cache.set(key, (found.get(_UPDATES), dump(made)), KEPT)
    return made


def leaderboard(client: ApiClient, frame: Frame, *, viewer: User | None, max_count: int) -> dict[str, Any]:
    which = f"{frame.value}:{max_count}"
    board = _kept("leaderboard", which, client, lambda: _board(frame, queries.top(frame, size=max_count), client))
    if viewer:
        _highlight(board, viewer.pk)
    return board


def user_stats(client: ApiClient, user_id: UUID, wanted: Iterable[Frame] = Frame) -> dict[str, Any]:
    """Frame → score, for those of the frames that the person has something in; nothing for somebody unknown, zeros for
    who never did anything. Four statements.
    """
    person = _find(client, user_id)
    if person is None:
        return {}
    now, names = datetime.now(UTC), names_for(client, [user_id])
    counts = queries.own_counts(person)
    idle = not any(counts.values())
    rows = _own_rows(person, {frame: counts[frame] for frame in wanted if idle or counts[frame]})
    return {
        frame.value: _score(row, time_frames.since(frame, now), names, now, highlighted=True)
        for frame, row in rows.items()
    }


def user_stats_in(client: ApiClient, user_id: UUID, frame: Frame) -> dict[str, Any]:
    """Raises NotFound where the call above has no such key: the reference crashes there."""
    found = user_stats(client, user_id, [frame])
    if not found:
        raise NotFound("There are no statistics of this user for this time frame.", code="user_not_found")
    answer: dict[str, Any] = found[frame.value]
    return answer


def user_window(client: ApiClient, user_id: UUID, frame: Frame, *, window_size: int) -> dict[str, Any] | None:
    """The board around a person: `window_size` + 1 rows, as the reference gives them; None for who is not on it."""
    person = _find(client, user_id)
    if person is None:
        raise NotFound("There is no such user.", code="user_not_found")
    row = _own_rows(person, queries.own_counts(person, frames=[frame]))[frame]
    if row.rank is None:
        return None
    above = min(window_size // 2, row.rank - 1)
    below = max(0, row.rank - window_size // 2) + window_size - row.rank
    rows = queries.around(frame, "", "points", row, above=above, below=below, least=-1)
    board = _board(frame, rows, client)
    _highlight(board, user_id)
    return board


def _find(client: ApiClient, user_id: UUID) -> User | None:
    return hot.find_user(user_id, known_to=None if client.trusted else client.pk)


def _own_rows(person: User, counts: dict[Frame, Counter[str]]) -> dict[Frame, BoardRow]:
    """The person's row in each of these frames, with its rank if they are shown there. One statement."""
    rows = {frame: BoardRow(person, one, queries.measure_of(one, "points")) for frame, one in counts.items()}
    ranked = [frame for frame, row in rows.items() if row.counts and person.enabled and person.show_on_leaderboard]
    if ranked:
        places = [queries.Standpoint(frame, rows[frame].score, person.pk) for frame in ranked]
        for frame, rank in zip(ranked, queries.ranks_of("", "points", places), strict=True):
            rows[frame].rank = rank
    return rows


def trollboard(client: ApiClient, frame: Frame, *, max_count: int, enabled: bool | None) -> dict[str, Any]:
    which = f"{frame.value}:{max_count}:{enabled}"
    return _kept("trollboard", which, client, lambda: _trollboard(client, frame, max_count, enabled))


def _trollboard(client: ApiClient, frame: Frame, max_count: int, enabled: bool | None) -> dict[str, Any]:
    rows = queries.troll_board(frame, enabled=enabled, size=max_count)
    now = datetime.now(UTC)
    names, since = names_for(client, (row.person_id for row in rows)), time_frames.since(frame, now)
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows), default=now),
        "trollboard": [_troll(row, rank, since, names) for rank, row in enumerate(rows, start=1)],
    }


def _troll(row: TrollStanding, rank: int, since: datetime | None, names: Names) -> dict[str, Any]:
    """`since` is where the frame begins."""
    person = row.person
    auth_method, username = names.get(person.pk) or ("local", str(person.pk))
    flags = {SPELT.get(name, name): getattr(row, name) for name in FLAGS}
    return {
        "rank": rank,
        "user_id": person.pk,
        "highlighted": False,
        "username": username,
        "auth_method": auth_method,
        "display_name": person.display_name,
        "last_activity_date": person.last_activity_at,
        "enabled": person.enabled,
        "deleted": person.deleted_at is not None,
        "show_on_leaderboard": person.show_on_leaderboard,
        "troll_score": row.score,
        "base_date": since,
        "modified_date": row.updated_at,
        **{name: getattr(row, name) for name in ("red_flags", "upvotes", "downvotes", "spam_prompts")},
        **{name: row.mean(name) for name in MEANS},
        **flags,
    }


def update_boards() -> None:
    """What the clock does, now. There is nothing to compute anew: boards follow each act."""
    jobs.count_what_happened()
    tallies.move_on()
    cache.set(_UPDATES, str(uuid4()), 2 * KEPT)  # whoever asked for it sees it
