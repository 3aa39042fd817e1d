"""The statements on tasks that run all day, by hand. Those that find a free place for a person would cost the ORM 30 ms
to compile and PostgreSQL 18 ms to plan each time, against 1 ms to run.

Each has a twin in tests/test_hot.py that says the same by the ORM.
"""

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


# These stand in the text, so that the plan that is kept knows them.
_REVIEWS, _RANKINGS = _literal(REVIEW_WORK), _literal(RANKING_WORK)
FREE = "opening.lang = %(lang)s AND (opening.held_until IS NULL OR opening.held_until <= %(now)s)"
# A place is for this person when it is free, when they have not declined that work about that message and have no open
# task for it, and when the work is not about their own: nobody reviews their own message or reviews a text twice,
# nobody ranks replies among which one is theirs or ranks twice, nobody gives a second standing reply.
# Read once for the statement: asked for each place, the planner may look for it among the open tasks of everybody.
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
REVIEWED = """EXISTS (
    SELECT FROM trees_review review
    WHERE review.revision_id = message.revision_id AND review.author_id = %(person)s AND review.kind = 'review')"""
RANKED = """EXISTS (
    SELECT FROM trees_ranking ranking WHERE ranking.parent_id = message.id AND ranking.author_id = %(person)s)"""
OWN_AMONG_REPLIES = """EXISTS (
    SELECT FROM trees_message reply
    WHERE reply.parent_id = message.id AND reply.author_id = %(person)s
      AND reply.review_result AND NOT reply.deleted)"""
REPLIED = """EXISTS (
    SELECT FROM trees_message reply
    WHERE reply.parent_id = message.id AND reply.author_id = %(person)s
      AND reply.review_result IS DISTINCT FROM false AND NOT reply.deleted)"""
# A place that was held while its message was decided, or given a new text, stays until it is used or left. Held no
# longer, it is for nobody until the tree looks again.
OF_USE = f"""CASE
    WHEN opening.work = ANY({_REVIEWS}) THEN message.review_result IS NULL
    ELSE message.review_result END"""
FITS = f"""
    {OF_USE} AND NOT {SKIPPED} AND NOT {HAS_BEGUN}
    AND CASE
        WHEN opening.work = ANY({_REVIEWS}) THEN message.author_id IS DISTINCT FROM %(person)s AND NOT {REVIEWED}
        WHEN opening.work = ANY({_RANKINGS}) THEN NOT {RANKED} AND NOT {OWN_AMONG_REPLIES}
        ELSE NOT {REPLIED}
        END
"""
# Why a free place is not for this person; the same conditions, each with its name.
CAUSE = f"""
    CASE
        WHEN {SKIPPED} THEN 'skipped'
        WHEN {HAS_BEGUN} THEN 'begun'
        WHEN opening.work = ANY({_REVIEWS}) THEN
            CASE WHEN message.author_id = %(person)s THEN 'own' WHEN {REVIEWED} THEN 'done' ELSE 'free' END
        WHEN opening.work = ANY({_RANKINGS}) THEN
            CASE WHEN {RANKED} THEN 'done' WHEN {OWN_AMONG_REPLIES} THEN 'own' ELSE 'free' END
        WHEN {REPLIED} THEN 'done'
        ELSE 'free' END
"""
# Nobody chooses differently between a hundred messages and thousands, and to look at each of them for each dashboard
# would cost the more, the more work there is.
COUNTED = 100
PLACES = f"trees_opening opening JOIN trees_message message ON message.id = opening.message_id WHERE {FREE} AND {FITS}"
ORDER = "ORDER BY opening.priority DESC, opening.id"  # the most wanted first


def _facts(person: User, lang: str, now: datetime) -> dict[str, Any]:
    return {"person": person.pk, "lang": lang, "now": now}


def offered_kinds(person: User, lang: str, now: datetime) -> set[Kind]:
    """The kinds of which there is at least one place for this person. Stops at the first of each."""
    # LATERAL with LIMIT, since EXISTS is planned as a join: it reads every open place, and many of them make it hash
    # every message of the site. In the order of handing out, so that it walks the index and never the whole table.
    sql = f"""
        WITH {BEGUN} SELECT wanted.work FROM unnest({_literal(Work)}) AS wanted (work)
        CROSS JOIN LATERAL (SELECT FROM {PLACES} AND opening.work = wanted.work {ORDER} LIMIT 1) AS place
    """
    return {Kind(work) for (work,) in prepared.read(sql, _facts(person, lang, now))}


def count_messages(person: User, lang: str, now: datetime) -> dict[Kind, int]:
    """Kind → for how many messages this person could do it; `COUNTED` stands for that many or more."""
    # A message may have several places of a kind: it is looked at once.
    sql = f"""
        WITH {BEGUN}, free AS MATERIALIZED (SELECT DISTINCT message_id, work FROM trees_opening opening WHERE {FREE})
        SELECT wanted.work, count(*) FROM unnest({_literal(Work)}) AS wanted (work)
        CROSS JOIN LATERAL (
            SELECT FROM free opening JOIN trees_message message ON message.id = opening.message_id
            WHERE opening.work = wanted.work AND {FITS} LIMIT %(counted)s
        ) AS place
        GROUP BY wanted.work
    """
    facts = {**_facts(person, lang, now), "counted": COUNTED}
    return {Kind(work): number for work, number in prepared.read(sql, facts)}


def hold_opening(work: Work, person: User, lang: str, *, lease: UUID, now: datetime, until: datetime) -> UUID | None:
    """Hold the most wanted free place and return its message; None if there is none. One statement.

    SKIP LOCKED: of many people who ask at once each gets another place, and nobody waits.
    """
    sql = f"""
        WITH {BEGUN}, best AS MATERIALIZED (
            SELECT opening.id FROM {PLACES} AND opening.work = %(work)s
            {ORDER} LIMIT 1 FOR NO KEY UPDATE OF opening SKIP LOCKED
        )
        UPDATE trees_opening SET holder_id = %(person)s, lease = %(lease)s, held_until = %(until)s
        FROM best WHERE trees_opening.id = best.id
        RETURNING trees_opening.message_id
    """
    facts = {**_facts(person, lang, now), "work": work.value, "lease": lease, "until": until}
    return next((message_id for (message_id,) in prepared.read(sql, facts)), None)


def count_causes(person: User, lang: str, works: Iterable[Work], now: datetime) -> dict[str, int]:
    """How many free places of these kinds are not for this person, by cause: `own` (about their own words), `done`
    (they judged or answered it), `skipped`, `begun` (among their open tasks); `free` are for them after all.
    """
    sql = f"""
        WITH {BEGUN} SELECT {CAUSE} AS cause, count(*)
        FROM trees_opening opening JOIN trees_message message ON message.id = opening.message_id
        WHERE {FREE} AND {OF_USE} AND opening.work = ANY(%(works)s) GROUP BY cause
    """
    rows = prepared.read(sql, {**_facts(person, lang, now), "works": [work.value for work in works]})
    return {cause: number for cause, number in rows}  # noqa: C416 (as a dict they have no types)


def count_holders(person: User, lang: str, works: Iterable[Work], now: datetime) -> tuple[int, int]:
    """How many other people hold places of these kinds; and how many of them places that would be for this person if
    they left.
    """
    sql = f"""
        WITH {BEGUN} SELECT count(DISTINCT opening.holder_id),
            count(DISTINCT opening.holder_id) FILTER (WHERE {FITS})
        FROM trees_opening opening JOIN trees_message message ON message.id = opening.message_id
        WHERE opening.lang = %(lang)s AND opening.held_until > %(now)s AND opening.holder_id <> %(person)s
          AND opening.work = ANY(%(works)s)
    """
    facts = {**_facts(person, lang, now), "works": [work.value for work in works]}
    ((everybody, in_the_way),) = prepared.read(sql, facts)
    return everybody, in_the_way


# The states stand in the text, so that the plan that is kept may use the indexes that hold some of them only.
_review, _waiting, _growing, _ranking, _backlog = (
    f"'{state.value}'"
    for state in (
        *(State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING),
        *(State.RANKING, State.BACKLOG_RANKING),
    )
)
_SUPPLY = f"""\
SELECT supply.*, capacity.reviews, capacity.replies, capacity.rankings, capacity.since
FROM (
    SELECT
        count(*) FILTER (WHERE state = {_review}), (
            SELECT count(*) FROM (
                SELECT FROM trees_messagetree WHERE lang = %(lang)s AND state = {_waiting}
                LIMIT %(most_waiting)s
            ) AS waiting
        ),
        count(*) FILTER (WHERE state = {_growing} AND id NOT IN (
            -- What is hidden there keeps the tree from moving on, and nobody can work on it until a moderator decides.
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


def count_supply(lang: str, *, most_waiting: int, writing_since: datetime) -> tuple[Any, ...]:
    """The conversations of a language by where they are, as `tasks.supply.Supply` names them up to `being_written`, and
    what its people did lately: reviews, replies, rankings, and since when; None where nothing was ever counted.
    """
    facts = {"lang": lang, "most_waiting": most_waiting, "writing_since": writing_since}
    return prepared.read(_SUPPLY, facts)[0]


class TaskManager(PreparedManager["Task"]):
    def locked(self, task_id: UUID, user: User) -> "Task | None":
        """One's own task for change, with its person and its message as they are now; needs an open transaction."""
        rows = prepared.read(_lock_statement(self.model), [task_id, user.pk])
        if not rows:
            return None
        of_task, of_user = len(self.model._meta.concrete_fields), len(User._meta.concrete_fields)
        task = prepared.as_model(self.model, rows[0][:of_task])
        task.user = prepared.as_model(User, rows[0][of_task : of_task + of_user])
        if task.message_id:
            task.message = prepared.as_model(Message, rows[0][of_task + of_user :], SEARCH)
        return task

    def of_client(self, client_id: UUID, task_id: UUID) -> "list[Task]":
        return self.prepared("WHERE one.api_client_id = %s AND one.id = %s", [client_id, task_id])

    def acknowledged_as(self, client_id: UUID, frontend_message_id: str) -> "list[Task]":
        """The task to which an API client gave this id, or none."""
        by_name = "WHERE one.api_client_id = %s AND one.frontend_message_id = %s"
        return self.prepared(by_name, [client_id, frontend_message_id])

    def bind(self, task_id: UUID, client_id: UUID, frontend_message_id: str, now: datetime) -> bool:
        """Give a task the id that its API client has for it, unless it has one, is done or ran out. Raises
        IntegrityError where another task of the client has this id.
        """
        bound = prepared.run(
            """
            UPDATE tasks_task SET frontend_message_id = %s, acknowledged_at = %s
            WHERE id = %s AND api_client_id = %s AND frontend_message_id IS NULL AND expires_at > %s
              AND status IN ('open', 'skipped')
            """,
            [frontend_message_id, now, task_id, client_id, now],
        )
        return bool(bound)

    def count_begun(self, user: User, since: datetime) -> int:
        """How many open tasks this person has begun since then."""
        sql = "SELECT count(*) FROM tasks_task WHERE user_id = %s AND status = 'open' AND created_at > %s"
        return cast(int, prepared.read(sql, [user.pk, since])[0][0])


@cache
def _lock_statement(model: "type[Task]") -> str:
    return f"""
        SELECT {prepared.columns(model, "task")}, {prepared.columns(User, "person")},
            {prepared.columns(Message, "message", SEARCH)}
        FROM tasks_task task JOIN accounts_user person ON person.id = task.user_id
        LEFT JOIN trees_message message ON message.id = task.message_id
        WHERE task.id = %s AND task.user_id = %s FOR NO KEY UPDATE OF task
    """
