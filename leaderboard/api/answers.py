"""Scores and boards in the representation of the wire, as plain data for `leaderboard.api.scores`."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.core.cache import cache

from leaderboard import jobs, levels, queries, streaks, tallies, time_frames
from leaderboard.hot import BoardRow, read_troll_board
from leaderboard.models import TrollStanding
from leaderboard.points import FLAGS, MEANS, score_of
from leaderboard.time_frames import Frame
from oasst.accounts import hot
from oasst.accounts.models import ApiClient, User
from oasst.api.compact_json import dump
from oasst.core.errors import NotFound

COUNTERS = (
    *("prompts", "replies_assistant", "replies_prompter", "labels_simple", "labels_full", "rankings_total"),
    *("accepted_prompts", "accepted_replies_assistant", "accepted_replies_prompter"),
    *("reply_ranked_1", "reply_ranked_2", "reply_ranked_3"),
)
WIRE_SPELLING = {"lang_mismatch": "lang_mismach"}  # our name → the misspelled name on the wire
Names = dict[UUID, tuple[str, str]]


def names_for(client: ApiClient, people: Iterable[UUID]) -> Names:
    """Return user id → (auth method, username), preferring the name that this client uses, for users with a name."""
    names: Names = {}
    for user_id, client_id, auth_method, username in hot.identities_of(people):
        if user_id not in names or client_id == client.pk:
            names[user_id] = (auth_method, username)
    return names


def _score(row: BoardRow, since: datetime | None, names: Names, now: datetime, *, highlighted: bool) -> dict[str, Any]:
    """`since` is the start of the frame."""
    user = row.person
    auth_method, username = names.get(user.pk) or ("local", str(user.pk))
    return {
        "rank": row.rank,
        "user_id": user.pk,
        "highlighted": highlighted,
        "username": username,
        "auth_method": auth_method,
        "display_name": user.display_name,
        "leader_score": row.score,
        "level": levels.number_of(row.score) if row.counts else 0,
        "base_date": since,
        "modified_date": row.updated_at or now,
        "rankings_good": 0,  # the reference never computes it
        **{name: row.counts[name] for name in COUNTERS},
        "streak_last_day_date": user.streak_started_at,
        "streak_days": streaks.streak_of(user, now).days if user.last_activity_at else None,
        "last_activity_date": user.last_activity_at,
    }


def _board(frame: Frame, rows: list[BoardRow], client: ApiClient) -> dict[str, Any]:
    now = datetime.now(UTC)
    names, since = names_for(client, (row.person.pk for row in rows)), time_frames.since(frame, now)
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows if row.updated_at), default=now),
        "leaderboard": [_score(row, since, names, now, highlighted=False) for row in rows],
    }


def _highlight(board: dict[str, Any], user_id: UUID) -> None:
    for row in board["leaderboard"]:
        row["highlighted"] = str(row["user_id"]) == str(user_id)  # ids are text in a cached board


# API clients ask for the same boards again and again, so boards of this many rows are cached.
CACHE_SECONDS = 2
MIN_CACHED_ROWS, MAX_CACHED_ROWS = 100, 1_000
_UPDATES = "boards:updates"


def _cached(kind: str, key: str, client: ApiClient, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a board for this client; a long one may be seconds old. `kind` is the member that holds its rows."""
    key = f"{kind}:{key}:{client.pk}"
    entries = cache.get_many([key, _UPDATES])
    update, text = entries.get(key) or (None, "")
    if text and update == entries.get(_UPDATES):
        board: dict[str, Any] = orjson.loads(text)
        return board
    board = make()
    if MIN_CACHED_ROWS <= len(board[kind]) <= MAX_CACHED_ROWS:
        cache.set(key, (entries.get(_UPDATES), dump(board)), CACHE_SECONDS)
    return board


def leaderboard(client: ApiClient, frame: Frame, *, viewer: User | None, max_count: int) -> dict[str, Any]:
    key = f"{frame.value}:{max_count}"
    board = _cached("leaderboard", key, client, lambda: _board(frame, queries.top(frame, size=max_count), client))
    if viewer:
        _highlight(board, viewer.pk)
    return board


def user_stats(client: ApiClient, user_id: UUID, frames: Iterable[Frame] = Frame) -> dict[str, dict[str, Any]]:
    """Return frame → score for the frames in which the user did something. An unknown user has none; a user who never
    did anything has zeros in each frame. Four statements.
    """
    user = _find(client, user_id)
    if user is None:
        return {}
    now, names = datetime.now(UTC), names_for(client, [user_id])
    counts = queries.own_counts(user)
    idle = not any(counts.values())
    rows = _own_rows(user, {frame: counts[frame] for frame in frames if idle or counts[frame]})
    return {
        frame.value: _score(row, time_frames.since(frame, now), names, now, highlighted=True)
        for frame, row in rows.items()
    }


def user_stats_in(client: ApiClient, user_id: UUID, frame: Frame) -> dict[str, Any]:
    """Return the score of one frame. Raise NotFound if `user_stats` has none: the reference crashes there."""
    stats = user_stats(client, user_id, [frame])
    if not stats:
        raise NotFound("There are no statistics of this user for this time frame.", code="user_not_found")
    return stats[frame.value]


def user_window(client: ApiClient, user_id: UUID, frame: Frame, *, window_size: int) -> dict[str, Any] | None:
    """Return `window_size` + 1 rows of the board around a user, as in the reference; None for users without a rank."""
    user = _find(client, user_id)
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    row = _own_rows(user, queries.own_counts(user, frames=[frame]))[frame]
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


def _own_rows(user: User, counts: dict[Frame, Counter[str]]) -> dict[Frame, BoardRow]:
    """Return the user's row in each of these frames, with its rank if the board shows them. One statement."""
    rows = {frame: BoardRow(user, by, score_of(by, "points")) for frame, by in counts.items()}
    ranked = [frame for frame, row in rows.items() if row.counts and user.enabled and user.show_on_leaderboard]
    if ranked:
        positions = [queries.BoardPosition(frame, rows[frame].score, user.pk) for frame in ranked]
        for frame, rank in zip(ranked, queries.ranks_of("", "points", positions), strict=True):
            rows[frame].rank = rank
    return rows


def trollboard(client: ApiClient, frame: Frame, *, max_count: int, enabled: bool | None) -> dict[str, Any]:
    """Return the moderators' board of all users (None), of those who are banned (False) or not banned (True)."""
    key = f"{frame.value}:{max_count}:{enabled}"
    return _cached("trollboard", key, client, lambda: _trollboard(client, frame, max_count, enabled))


def _trollboard(client: ApiClient, frame: Frame, max_count: int, enabled: bool | None) -> dict[str, Any]:
    rows = read_troll_board(frame, [True, False] if enabled is None else [enabled], max_count)
    now = datetime.now(UTC)
    names, since = names_for(client, (row.person_id for row in rows)), time_frames.since(frame, now)
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows), default=now),
        "trollboard": [_troll(row, rank, since, names) for rank, row in enumerate(rows, start=1)],
    }


def _troll(row: TrollStanding, rank: int, since: datetime | None, names: Names) -> dict[str, Any]:
    """`since` is the start of the frame."""
    user = row.person
    auth_method, username = names.get(user.pk) or ("local", str(user.pk))
    flags = {WIRE_SPELLING.get(name, name): getattr(row, name) for name in FLAGS}
    return {
        "rank": rank,
        "user_id": user.pk,
        "highlighted": False,
        "username": username,
        "auth_method": auth_method,
        "display_name": user.display_name,
        "last_activity_date": user.last_activity_at,
        "enabled": user.enabled,
        "deleted": user.deleted_at is not None,
        "show_on_leaderboard": user.show_on_leaderboard,
        "troll_score": row.score,
        "base_date": since,
        "modified_date": row.updated_at,
        **{name: getattr(row, name) for name in ("red_flags", "upvotes", "downvotes", "spam_prompts")},
        **{name: row.mean(name) for name in MEANS},
        **flags,
    }


def update_boards() -> None:
    """Run the periodic jobs of the boards now. Nothing is recomputed, since boards follow each contribution."""
    jobs.count_what_happened()
    tallies.advance_frames()
    cache.set(_UPDATES, str(uuid4()), 2 * CACHE_SECONDS)  # invalidates cached boards, so the caller sees the update
