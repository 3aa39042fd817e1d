"""Hand-written SQL for the statements on tasks that each request for work runs. Finding a free opening by the ORM costs
30 ms to compile and 18 ms to plan each time, against 1 ms to run.

tests/test_hot.py compares each with an ORM version of it.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from oasst.accounts.models import User
from oasst.core import prepared
from oasst.core.prepared import PreparedManager
from tasks.kinds import Kind
from trees.hot import SEARCH
from trees.lifecycle.states import RANKING_WORK, REVIEW_WORK, State, Work
from trees.models import Message

if TYPE_CHECKING:
    from tasks.models import Task


def _literal(works: Iterable[Work]) -> str:
    return "'{" + ",".join(sorted(work.value for work in works)) + "}'::varchar[]"


# Literals, not parameters, so that the stored plan knows the values.
_REVIEWS, _RANKINGS = _literal(REVIEW_WORK), _literal(RANKING_WORK)
FREE = "opening.lang = %(lang)s AND (opening.held_until IS NULL OR opening.held_until <= %(now)s)"
# A free opening fits a user who has not skipped that work on that message and has no open task for it. Nobody reviews
# their own message or a text twice, nobody ranks a set with their own reply or ranks it twice, and nobody writes a
# second reply to a message while their first is neither rejected nor deleted. MATERIALIZED: evaluated for each opening,
# the planner may scan the open tasks of all users.
BEGUN = """begun AS MATERIALIZED (
    SELECT task.message_id, task.kind FROM tasks_task task
    WHERE task.user_id = %(person)s AND task.status = 'open' AND task.expires_at > %(now)s)
"""
SKIPPED = f"""EXISTS (
    SELECT FROM trees_skip skip
    WHERE skip.message_id = opening.message_id AND skip.author_id = %(person)s
      AND skip.kind = CASE
          WHEN opening.work = ANY({_REVIEWS}) THEN 'review'
          WHEN opening.work = ANY({_RANKINGS}) THEN 'ranking'
          ELSE 'reply' END)"""
HAS_BEGUN = "EXISTS (SELECT FROM begun WHERE begun.message_id = opening.message_id AND begun.kind = opening.work)"
# Who gave a chat knows which answers are those of the model, so they do not judge them.
OWN = """(message.author_id = %(person)s) IS TRUE OR (message.synthetic AND EXISTS (
    SELECT FROM trees_message root WHERE root.id = message.tree_id AND root.author_id = %(person)s))"""
REVIEWED = """EXISTS (
    SELECT FROM trees_review review
    WHERE review.revision_id = message.revision_id AND review.author_id = %(person)s AND review.kind = 'review')"""
RANKED = """EXISTS (
    SELECT FROM trees_ranking ranking WHERE ranking.parent_id = message.id AND ranking.author_id = %(person)s)"""
OWN_AMONG_REPLIES = """EXISTS (
    SELECT FROM trees_message reply
    WHERE reply.parent_id = message.id AND reply.review_result AND NOT reply.deleted
      AND (reply.author_id = %(person)s OR (reply.synthetic AND EXISTS (
          SELECT FROM trees_message root WHERE root.id = reply.tree_id AND root.author_id = %(person)s))))"""
REPLIED = """EXISTS (
    SELECT FROM trees_message reply
    WHERE reply.parent_id = message.id AND reply.author_id = %(person)s
      AND reply.review_result IS DISTINCT FROM false AND NOT reply.deleted)"""
# An opening whose message was decided or edited while it was held remains until the tree advances, but fits nobody.
STILL_NEEDED = f"""CASE
    WHEN opening.work = ANY({_REVIEWS}) THEN message.review_result IS NULL
    ELSE message.review_result END"""
FITS = f"""
    {STILL_NEEDED} AND NOT {SKIPPED} AND NOT {HAS_BEGUN}
    AND CASE
        WHEN opening.work = ANY({_REVIEWS}) THEN NOT ({OWN}) AND NOT {REVIEWED}
        WHEN opening.work = ANY({_RANKINGS}) THEN NOT {RANKED} AND NOT {OWN_AMONG_REPLIES}
        ELSE NOT {REPLIED}
        END
"""
# The name of the first of these conditions that an opening fails, or 'free'.
CAUSE = f"""
    CASE
        WHEN {SKIPPED} THEN 'skipped'
        WHEN {HAS_BEGUN} THEN 'begun'
        WHEN opening.work = ANY({_REVIEWS}) THEN
            CASE WHEN {OWN} THEN 'own' WHEN {REVIEWED} THEN 'done' ELSE 'free' END
        WHEN opening.work = ANY({_RANKINGS}) THEN
            CASE WHEN {RANKED} THEN 'done' WHEN {OWN_AMONG_REPLIES} THEN 'own' ELSE 'free' END
        WHEN {REPLIED} THEN 'done'
        ELSE 'free' END
"""
# Counting stops here: a dashboard does not need more, and counting all would cost more with each message.
COUNT_LIMIT = 100
FITTING = f"trees_opening opening JOIN trees_message message ON message.id = opening.message_id WHERE {FREE} AND {FITS}"
BEST_FIRST = "ORDER BY opening.priority DESC, opening.deferred, opening.id"


def _parameters(user: User, lang: str, now: datetime) -> dict[str, Any]:
    return {"person": user.pk, "lang": lang, "now": now}


def available_kinds(user: User, lang: str, now: datetime) -> set[Kind]:
    """Return the kinds that have at least one opening for this user."""
    # LATERAL with LIMIT, since PostgreSQL plans EXISTS as a join that reads every opening and may hash every message.
    # Best first, so that it walks the index and not the table.
    sql = f"""
        WITH {BEGUN} SELECT kinds.work FROM unnest({_literal(Work)}) AS kinds (work)
        CROSS JOIN LATERAL (SELECT FROM {FITTING} AND opening.work = kinds.work {BEST_FIRST} LIMIT 1) AS found
    """
    return {Kind(work) for (work,) in prepared.fetch_rows(sql, _parameters(user, lang, now))}


def count_available_messages(user: User, lang: str, now: datetime) -> dict[Kind, int]:
    """Return kind → the number of messages on which this user could do it, at most `COUNT_LIMIT`."""
    # DISTINCT: a message may have several openings of a kind.
    sql = f"""
        WITH {BEGUN}, free AS MATERIALIZED (SELECT DISTINCT message_id, work FROM trees_opening opening WHERE {FREE})
        SELECT kinds.work, count(*) FROM unnest({_literal(Work)}) AS kinds (work)
        CROSS JOIN LATERAL (
            SELECT FROM free opening JOIN trees_message message ON message.id = opening.message_id
            WHERE opening.work = kinds.work AND {FITS} LIMIT %(counted)s
        ) AS found
        GROUP BY kinds.work
    """
    parameters = {**_parameters(user, lang, now), "counted": COUNT_LIMIT}
    return {Kind(work): number for work, number in prepared.fetch_rows(sql, parameters)}


def hold_opening(work: Work, user: User, lang: str, *, lease: UUID, now: datetime, until: datetime) -> UUID | None:
    """Hold the best free opening and return the id of its message; None if there is none. One statement.

    SKIP LOCKED: users who ask at the same time get different openings, and nobody waits.
    """
    sql = f"""
        WITH {BEGUN}, best AS MATERIALIZED (
            SELECT opening.id FROM {FITTING} AND opening.work = %(work)s
            {BEST_FIRST} LIMIT 1 FOR NO KEY UPDATE OF opening SKIP LOCKED
        )
        UPDATE trees_opening SET holder_id = %(person)s, lease = %(lease)s, held_until = %(until)s
        FROM best WHERE trees_opening.id = best.id
        RETURNING trees_opening.message_id
    """
    parameters = {**_parameters(user, lang, now), "work": work.value, "lease": lease, "until": until}
    return next((message_id for (message_id,) in prepared.fetch_rows(sql, parameters)), None)


def count_unavailable_by_cause(
    user: User, lang: str, works: Iterable[Work], now: datetime
) -> dict[tuple[Work, str], int]:
    """Return (work, cause) → the number of free openings that do not fit this user: `own` (about their own words),
    `done` (they judged or answered it), `skipped`, `begun` (among their open tasks). `free` counts those that do fit.
    """
    sql = f"""
        WITH {BEGUN} SELECT opening.work, {CAUSE} AS cause, count(*)
        FROM trees_opening opening JOIN trees_message message ON message.id = opening.message_id
        WHERE {FREE} AND {STILL_NEEDED} AND opening.work = ANY(%(works)s) GROUP BY opening.work, cause
    """
    rows = prepared.fetch_rows(sql, {**_parameters(user, lang, now), "works": [work.value for work in works]})
    return {(Work(work), cause): number for work, cause, number in rows}


def count_holders(user: User, lang: str, works: Iterable[Work], now: datetime) -> tuple[int, int]:
    """Return the number of other users who hold openings of these kinds, and of those whose opening fits this user."""
    sql = f"""
        WITH {BEGUN} SELECT count(DISTINCT opening.holder_id),
            count(DISTINCT opening.holder_id) FILTER (WHERE {FITS})
        FROM trees_opening opening JOIN trees_message message ON message.id = opening.message_id
        WHERE opening.lang = %(lang)s AND opening.held_until > %(now)s AND opening.holder_id <> %(person)s
          AND opening.work = ANY(%(works)s)
    """
    parameters = {**_parameters(user, lang, now), "works": [work.value for work in works]}
    ((holders, fitting),) = prepared.fetch_rows(sql, parameters)
    return holders, fitting


# States as literals, so that the stored plan can use partial indexes.
_review, _waiting, _growing, _ranking, _backlog = (
    f"'{state.value}'"
    for state in (
        *(State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING),
        *(State.RANKING, State.BACKLOG_RANKING),
    )
)
_SUPPLY = f"""\
SELECT supply.*, capacity.reviews, capacity.replies, capacity.rankings, capacity.since,
    capacity.checked_kinds, capacity.seconds
FROM (
    SELECT
        count(*) FILTER (WHERE state = {_review}), (
            SELECT count(*) FROM (
                SELECT FROM trees_messagetree WHERE lang = %(lang)s AND state = {_waiting}
                LIMIT %(max_waiting)s
            ) AS waiting
        ),
        count(*) FILTER (WHERE state = {_growing} AND id NOT IN (
            -- Trees that cannot move on until a moderator decides about a hidden message, and that offer no work.
            SELECT waits.tree_id FROM (
                SELECT tree_id FROM trees_proposal WHERE status = 'open' AND hides
                UNION ALL SELECT tree_id FROM trees_withdrawal WHERE status = 'open'
            ) AS waits WHERE NOT EXISTS (SELECT FROM trees_opening opening WHERE opening.tree_id = waits.tree_id)
        )),
        count(*) FILTER (WHERE state = {_ranking} AND won_prompt_lottery_at IS NOT NULL),
        count(*) FILTER (WHERE state = {_ranking}),
        EXISTS (SELECT FROM trees_messagetree WHERE lang = %(lang)s AND state = {_backlog}), (
            SELECT count(*) FROM tasks_task
            WHERE kind = 'initial_prompt' AND lang = %(lang)s AND status = 'open' AND created_at >= %(writing_since)s
        )
    FROM trees_messagetree WHERE lang = %(lang)s AND state IN ({_review}, {_growing}, {_ranking})
) AS supply
LEFT JOIN tasks_capacity capacity ON capacity.lang = %(lang)s
"""


def count_supply(lang: str, *, max_waiting: int, writing_since: datetime) -> tuple[Any, ...]:
    """Return the counts of a language in the order of the fields of `tasks.supply.Supply` up to `being_written`, then
    the recent reviews, replies and rankings, their start, and the kinds of review with checks; these five are None if
    nothing was ever counted. At the end kind → the median of the seconds that a task took.
    """
    parameters = {"lang": lang, "max_waiting": max_waiting, "writing_since": writing_since}
    *counts, seconds = prepared.fetch_rows(_SUPPLY, parameters)[0]
    return (*counts, json.loads(seconds) if seconds else {})


class TaskManager(PreparedManager["Task"]):
    def locked(self, task_id: UUID, user: User) -> "Task | None":
        """Return the user's own task, locked, with its user and message read again. Needs an open transaction."""
        rows = prepared.fetch_rows(_lock_statement(self.model), [task_id, user.pk])
        if not rows:
            return None
        of_task, of_user = len(self.model._meta.concrete_fields), len(User._meta.concrete_fields)
        task = prepared.build_instance(self.model, rows[0][:of_task])
        task.user = prepared.build_instance(User, rows[0][of_task : of_task + of_user])
        if task.message_id:
            task.message = prepared.build_instance(Message, rows[0][of_task + of_user :], SEARCH)
        return task

    def of_client(self, client_id: UUID, task_id: UUID) -> "list[Task]":
        return self.fetch("WHERE one.api_client_id = %s AND one.id = %s", [client_id, task_id])

    def acknowledged_as(self, client_id: UUID, frontend_message_id: str) -> "list[Task]":
        """Return the task that an API client acknowledged with this id, or an empty list."""
        where = "WHERE one.api_client_id = %s AND one.frontend_message_id = %s"
        return self.fetch(where, [client_id, frontend_message_id])

    def bind(self, task_id: UUID, client_id: UUID, frontend_message_id: str, now: datetime) -> bool:
        """Store the API client's own id for a task. Return False if it has one already, is done or expired. Raise
        IntegrityError if another task of the client has this id.
        """
        bound = prepared.execute(
            """
            UPDATE tasks_task SET frontend_message_id = %s, acknowledged_at = %s
            WHERE id = %s AND api_client_id = %s AND frontend_message_id IS NULL AND expires_at > %s
              AND status IN ('open', 'skipped')
            """,
            [frontend_message_id, now, task_id, client_id, now],
        )
        return bool(bound)

    def count_begun(self, user: User, since: datetime) -> int:
        """Count the open tasks that this user began after `since`."""
        sql = "SELECT count(*) FROM tasks_task WHERE user_id = %s AND status = 'open' AND created_at > %s"
        return cast(int, prepared.fetch_rows(sql, [user.pk, since])[0][0])


@cache
def _lock_statement(model: "type[Task]") -> str:
    return f"""
        SELECT {prepared.column_list(model, "task")}, {prepared.column_list(User, "person")},
            {prepared.column_list(Message, "message", SEARCH)}
        FROM tasks_task task JOIN accounts_user person ON person.id = task.user_id
        LEFT JOIN trees_message message ON message.id = task.message_id
        WHERE task.id = %s AND task.user_id = %s FOR NO KEY UPDATE OF task
    """
