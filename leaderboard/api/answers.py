"""Scores and boards as the wire shows them. Plain data; the operations beside this only parse and answer."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from leaderboard import frames, jobs, queries, streaks, tallies
from leaderboard.frames import Frame
from leaderboard.kinds import FLAGS, MEANS
from leaderboard.levels import level_of
from leaderboard.models import TrollStanding
from leaderboard.queries import Row
from oasst.accounts.models import ApiClient, Identity, User
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
    rows = Identity.objects.filter(user__in=list(people)).order_by("pk")
    for user_id, client_id, *name in rows.values_list("user_id", "api_client_id", "auth_method", "username"):
        if user_id not in found or client_id == client.pk:
            found[user_id] = (name[0], name[1])
    return found


def _score(row: Row, frame: Frame, names: Names, now: datetime, *, highlighted: bool) -> dict[str, Any]:
    person = row.person
    auth_method, username = names.get(person.pk, ("local", str(person.pk)))
    return {
        "rank": row.rank,
        "user_id": person.pk,
        "highlighted": highlighted,
        "username": username,
        "auth_method": auth_method,
        "display_name": person.display_name,
        "leader_score": row.score,
        "level": level_of(row.score).number if row.counts else 0,
        "base_date": frames.since(frame, now),
        "modified_date": row.updated_at or now,
        "rankings_good": 0,  # never computed by the reference, and part of its sum
        **{name: row.counts[name] for name in COUNTERS},
        "streak_last_day_date": person.streak_started_at,
        "streak_days": streaks.streak_of(person, now).days if person.last_activity_at else None,
        "last_activity_date": person.last_activity_at,
    }


def _board(frame: Frame, rows: list[Row], client: ApiClient, viewer: UUID | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    names = names_for(client, (row.person.pk for row in rows))
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows if row.updated_at), default=now),
        "leaderboard": [_score(row, frame, names, now, highlighted=row.person.pk == viewer) for row in rows],
    }


def leaderboard(client: ApiClient, frame: Frame, *, viewer: User | None, max_count: int) -> dict[str, Any]:
    rows = queries.top(frame, size=max_count)
    return _board(frame, rows, client, viewer.pk if viewer else None)


def user_stats(client: ApiClient, user_id: UUID) -> dict[str, Any]:
    """Frame → score; nothing for somebody unknown; four zeros for who never did anything."""
    person = _find(client, user_id)
    if person is None:
        return {}
    now, names = datetime.now(UTC), names_for(client, [user_id])
    counts = queries.own_counts(person)
    idle = not any(counts.values())
    return {
        frame.value: _score(_own_row(person, frame, counts[frame]), frame, names, now, highlighted=True)
        for frame in Frame
        if idle or counts[frame]
    }


def user_stats_in(client: ApiClient, user_id: UUID, frame: Frame) -> dict[str, Any]:
    """Raises NotFound where the call above has no such key: the reference crashes there."""
    try:
        found: dict[str, Any] = user_stats(client, user_id)[frame.value]
    except KeyError:
        raise NotFound("There are no statistics of this user for this time frame.", code="user_not_found") from None
    return found


def user_window(client: ApiClient, user_id: UUID, frame: Frame, *, window_size: int) -> dict[str, Any] | None:
    """The board around a person: `window_size` + 1 rows, as the reference gives them; None for who is not on it."""
    person = _find(client, user_id)
    if person is None:
        raise NotFound("There is no such user.", code="user_not_found")
    row = _own_row(person, frame, queries.own_counts(person, frames=[frame])[frame])
    if row.rank is None:
        return None
    first = max(1, row.rank - window_size // 2)
    last = max(0, row.rank - window_size // 2) + window_size
    return _board(frame, queries.top(frame, start=first - 1, size=last - first + 1), client, user_id)


def _find(client: ApiClient, user_id: UUID) -> User | None:
    people = User.objects.filter(pk=user_id)
    if not client.trusted:
        people = people.filter(identities__api_client=client)
    return people.first()


def _own_row(person: User, frame: Frame, counts: Counter[str]) -> Row:
    row = Row(person, counts, queries.measure_of(counts, "points"))
    if counts and person.enabled and person.show_on_leaderboard:
        row.rank = queries.rank_of(frame, "", "points", row.score, person.pk)
    return row


def trollboard(client: ApiClient, frame: Frame, *, max_count: int, enabled: bool | None) -> dict[str, Any]:
    rows = list(queries.troll_board(frame, enabled=enabled, size=max_count))
    now, names = datetime.now(UTC), names_for(client, (row.person_id for row in rows))
    return {
        "time_frame": frame.value,
        "last_updated": max((row.updated_at for row in rows), default=now),
        "trollboard": [_troll(row, rank, frame, names, now) for rank, row in enumerate(rows, start=1)],
    }


def _troll(row: TrollStanding, rank: int, frame: Frame, names: Names, now: datetime) -> dict[str, Any]:
    person = row.person
    auth_method, username = names.get(person.pk, ("local", str(person.pk)))
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
        "base_date": frames.since(frame, now),
        "modified_date": row.updated_at,
        **{name: getattr(row, name) for name in ("red_flags", "upvotes", "downvotes", "spam_prompts")},
        **{name: row.mean(name) for name in MEANS},
        **flags,
    }


def update_boards() -> None:
    """What the clock does, now. There is nothing to compute anew: boards follow each act."""
    jobs.count_what_happened()
    tallies.move_on()
