"""Free places: which openings a person may take.

SQL by hand: this is asked on every request for work, and the ORM took longer to write the statement (some 60 ms of CPU)
than PostgreSQL takes to answer it.
"""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from oasst.accounts.models import User
from tasks.kinds import Kind
from trees.models import Skip
from trees.states import REPLY_WORK, REVIEW_WORK, Work

# Free, and not begun or declined by this person.
_FREE = """
    opening.lang = %(lang)s AND opening.work = '{work}'
    AND (opening.held_until IS NULL OR opening.held_until <= %(now)s)
    AND NOT EXISTS (
        SELECT FROM tasks_task task
        WHERE task.message_id = opening.message_id AND task.user_id = %(person)s
          AND task.kind = '{work}' AND task.status = 'open' AND task.expires_at > %(now)s
    )
    AND NOT EXISTS (
        SELECT FROM trees_skip skip
        WHERE skip.message_id = opening.message_id AND skip.author_id = %(person)s AND skip.kind = '{skip}'
    )
"""
# Not about their own words, and not judged by them already.
_REVIEW = """
    AND NOT EXISTS (
        SELECT FROM trees_message message
        WHERE message.id = opening.message_id AND (
            message.author_id = %(person)s OR EXISTS (
                SELECT FROM trees_review review
                WHERE review.revision_id = message.revision_id AND review.author_id = %(person)s
                  AND review.kind = 'review'
            )
        )
    )
"""
# One standing reply a person; a rejected one does not count.
_REPLY = """
    AND NOT EXISTS (
        SELECT FROM trees_message mine
        WHERE mine.parent_id = opening.message_id AND mine.author_id = %(person)s
          AND NOT mine.deleted AND mine.review_result IS DISTINCT FROM false
    )
"""
_RANKING = """
    AND NOT EXISTS (
        SELECT FROM trees_message mine
        WHERE mine.parent_id = opening.message_id AND mine.author_id = %(person)s
          AND NOT mine.deleted AND mine.review_result
    )
    AND NOT EXISTS (
        SELECT FROM trees_ranking ranking
        WHERE ranking.parent_id = opening.message_id AND ranking.author_id = %(person)s
    )
"""


@cache
def _free_for(work: Work) -> str:
    if work in REVIEW_WORK:
        return _FREE.format(work=work.value, skip=Skip.Kind.REVIEW.value) + _REVIEW
    if work in REPLY_WORK:
        return _FREE.format(work=work.value, skip=Skip.Kind.REPLY.value) + _REPLY
    return _FREE.format(work=work.value, skip=Skip.Kind.RANKING.value) + _RANKING


@cache
def _offered() -> str:
    return " UNION ALL ".join(
        f"SELECT '{work.value}' WHERE EXISTS (SELECT FROM trees_opening opening WHERE {_free_for(work)})"
        for work in Work
    )


@cache
def _counted() -> str:
    return " UNION ALL ".join(
        f"SELECT '{work.value}', count(DISTINCT opening.message_id) FROM trees_opening opening WHERE {_free_for(work)}"
        for work in Work
    )


def offered_kinds(person: User, lang: str, now: datetime) -> set[Kind]:
    """The kinds of which there is at least one place for this person. One statement that stops at the first of each."""
    return {Kind(work) for (work,) in _rows(_offered(), person=person.pk, lang=lang, now=now)}


def count_messages(person: User, lang: str, now: datetime) -> dict[Kind, int]:
    """Kind → for how many messages this person could do it. One statement."""
    return {Kind(work): number for work, number in _rows(_counted(), person=person.pk, lang=lang, now=now)}


def hold(work: Work, person: User, lang: str, *, lease: UUID, now: datetime, until: datetime) -> UUID | None:
    """Hold the most wanted free place and return its message; None if there is none. One statement.

    SKIP LOCKED: of many people who ask at once each gets another place, and nobody waits.
    """
    rows = _rows(
        f"""
        WITH place AS MATERIALIZED (
            SELECT opening.id FROM trees_opening opening
            WHERE {_free_for(work)}
            ORDER BY opening.priority DESC, opening.id
            LIMIT 1
            FOR UPDATE OF opening SKIP LOCKED
        )
        UPDATE trees_opening SET holder_id = %(person)s, lease = %(lease)s, held_until = %(until)s
        FROM place WHERE trees_opening.id = place.id
        RETURNING trees_opening.message_id
        """,
        person=person.pk,
        lang=lang,
        now=now,
        lease=lease,
        until=until,
    )
    return rows[0][0] if rows else None


def _rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
