"""Checks: review tasks about a gold message, or about one that the user reviewed long ago.

They look like any other to their user, hold no opening and touch no tree; `trees.contributing.reviewers` learns from
the answers. Decision 0117 has the rules and reasons.
"""

import json
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from tasks.hot import BEGUN, BEST_FIRST, FITTING
from tasks.kinds import Kind, work_of
from tasks.models import Task
from tasks.supply import Supply
from trees.lifecycle.policy import CHECKS_ONE_IN, TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Review

# SQL by hand, with the conditions of `tasks.hot`: the ORM has no LATERAL.
_WINDOW = 2 * CHECKS_ONE_IN - 1  # latest reviews of a user that are looked at
_LOOKED_AT = 50  # old reviews from a random date back that may be repeated

# A user may get a check now: their reviews allow it, no other check of theirs is open, and there is other work of this
# kind for them. Without the last condition a check would look like work where there is none.
_MAY = f"""{BEGUN.rstrip()}, may AS MATERIALIZED (
    SELECT FROM (
        SELECT count(*) AS given, count(*) FILTER (WHERE kind = ANY(%(checks)s)) AS checks FROM (
            SELECT kind FROM trees_review WHERE author_id = %(person)s AND kind = ANY(%(by_task)s)
            ORDER BY created_at DESC LIMIT {_WINDOW}
        ) AS latest
    ) AS reviews
    WHERE given + 1 >= {CHECKS_ONE_IN} * (checks + 1)
      AND NOT EXISTS (
          SELECT FROM tasks_task task
          WHERE task.user_id = %(person)s AND task.status = 'open' AND task.check_kind <> ''
            AND task.expires_at > %(now)s
      )
      AND (SELECT true FROM {FITTING} AND opening.work = %(work)s {BEST_FIRST} LIMIT 1)
)"""
# The message stands as it did when it was decided, so does what is above it, and nothing in its tree is hidden until a
# moderator decides. Otherwise nobody would be asked to review it, and an API client could not be given it.
_STANDS = f"""
    NOT message.deleted AND NOT message.withdrawn AND tree.state <> '{State.HALTED_BY_MODERATOR.value}'
    AND NOT EXISTS (SELECT FROM trees_message other WHERE other.tree_id = tree.id AND other.hidden)
    AND NOT EXISTS (
        WITH RECURSIVE above AS (
            SELECT message.parent_id AS id
            UNION ALL
            SELECT one.parent_id FROM above JOIN trees_message one ON one.id = above.id
        )
        SELECT FROM above JOIN trees_message one ON one.id = above.id
        WHERE one.deleted OR one.withdrawn OR one.review_result IS NOT TRUE
    )
"""
# Who did anything in a conversation, or was only asked to, may know what became of its messages.
_TOOK_PART = """EXISTS (
    SELECT FROM trees_message other WHERE other.tree_id = tree.id AND (
        other.author_id = %(person)s
        OR EXISTS (SELECT FROM tasks_task task WHERE task.message_id = other.id AND task.user_id = %(person)s)
        OR EXISTS (SELECT FROM trees_review one WHERE one.message_id = other.id AND one.author_id = %(person)s)
        OR EXISTS (SELECT FROM trees_ranking one WHERE one.parent_id = other.id AND one.author_id = %(person)s)
        OR EXISTS (SELECT FROM trees_reaction one WHERE one.message_id = other.id AND one.author_id = %(person)s)
        OR EXISTS (SELECT FROM trees_report one WHERE one.message_id = other.id AND one.reporter_id = %(person)s)
        OR EXISTS (SELECT FROM trees_skip one WHERE one.message_id = other.id AND one.author_id = %(person)s)
        OR EXISTS (SELECT FROM trees_practice one WHERE one.message_id = other.id AND one.person_id = %(person)s)
    ))"""
_GOLD = f"""
    WITH {_MAY} SELECT drawn.message_id FROM may CROSS JOIN LATERAL (
        SELECT one.message_id FROM (VALUES (1, %(good)s), (2, NOT %(good)s)) AS side (place, good)
        CROSS JOIN LATERAL (
            SELECT gold.message_id FROM trees_goldmessage gold
            JOIN trees_message message ON message.id = gold.message_id AND message.revision_id = gold.revision_id
            JOIN trees_messagetree tree ON tree.id = message.tree_id
            WHERE gold.active AND gold.lang = %(lang)s AND gold.work = %(work)s AND gold.good = side.good
              AND gold.draw >= %(from)s AND message.review_result = gold.good AND {_STANDS} AND NOT {_TOOK_PART}
            ORDER BY gold.draw LIMIT 1
        ) AS one
        ORDER BY side.place LIMIT 1
    ) AS drawn
"""
_REPEAT = f"""
    WITH {_MAY} SELECT drawn.message_id FROM may CROSS JOIN LATERAL (
        SELECT first.message_id FROM (
            SELECT message_id, revision_id, created_at FROM trees_review
            WHERE author_id = %(person)s AND kind = 'review' AND set_aside_id IS NULL AND created_at < %(before)s
            ORDER BY created_at DESC LIMIT {_LOOKED_AT}
        ) AS first
        JOIN trees_message message ON message.id = first.message_id AND message.revision_id = first.revision_id
        JOIN trees_messagetree tree ON tree.id = message.tree_id
        WHERE message.lang = %(lang)s AND message.review_result IS NOT NULL AND {_STANDS}
          AND %(work)s = CASE
              WHEN message.parent_id IS NULL THEN '{Work.LABEL_INITIAL_PROMPT.value}'
              WHEN message.role = 'assistant' THEN '{Work.LABEL_ASSISTANT_REPLY.value}'
              ELSE '{Work.LABEL_PROMPTER_REPLY.value}' END
          AND NOT EXISTS (
              SELECT FROM tasks_task task
              WHERE task.message_id = message.id AND task.user_id = %(person)s AND task.check_kind <> ''
          )
        ORDER BY first.created_at DESC LIMIT 1
    ) AS drawn
"""


def draw(task: Task, until: datetime, supply: Supply, policy: TreePolicy) -> UUID | None:
    """Return the message for a check and store on the task that it is one, held until then; usually return None.

    One statement if the dice say so, in a language with enough gold messages, else none.
    """
    if task.collective or task.kind not in supply.checked_kinds or random.random() >= policy.check_share:
        return None
    parameters: dict[str, Any] = {
        "person": task.user_id,
        "lang": task.lang,
        "work": str(work_of(Kind(task.kind))),
        "now": task.created_at,
        "checks": [kind.value for kind in Review.CHECKS],
        "by_task": [kind.value for kind in Review.BY_TASK],
    }
    if random.random() < policy.check_repeats:
        kind, sql = Review.Kind.REPEAT, _REPEAT
        parameters["before"] = _random_date(task.created_at, policy)
    else:
        # Bad texts are rare, so one is looked for in half of the cases, and a good one where there is none.
        kind, sql = Review.Kind.GOLD, _GOLD
        parameters |= {"good": random.random() < 0.5, "from": random.random()}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        drawn = cursor.fetchone()
    if drawn is None:
        return None
    task.check_kind, task.check_held_until = kind.value, until
    message_id: UUID = drawn[0]
    return message_id


def _random_date(now: datetime, policy: TreePolicy) -> datetime:
    """Return from when back a review may be repeated: between once and twice the age that it needs."""
    return now - timedelta(days=policy.repeat_age_days) * (1 + random.random())


def measure(policy: TreePolicy) -> None:
    """Store for each language for which kinds of review there are enough gold messages. One statement."""
    own = {lang: rules.check_least_pool for lang, rules in policy.by_language.items()}
    # SQL by hand: the ORM cannot group the result of a grouping.
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE tasks_capacity SET checked_kinds = coalesce(pool.kinds, '{{}}')
            FROM tasks_capacity known LEFT JOIN (
                SELECT lang, array_agg(work ORDER BY work) AS kinds FROM (
                    SELECT gold.lang, gold.work FROM trees_goldmessage gold
                    JOIN trees_message message USING (revision_id)
                    JOIN trees_messagetree tree ON tree.id = message.tree_id
                    WHERE gold.active AND message.review_result = gold.good AND {_STANDS}
                    GROUP BY gold.lang, gold.work
                    HAVING count(*) >= coalesce((%(own)s::jsonb ->> gold.lang)::int, %(enough)s)
                ) AS large GROUP BY lang
            ) AS pool USING (lang)
            WHERE tasks_capacity.lang = known.lang AND tasks_capacity.checked_kinds <> coalesce(pool.kinds, '{{}}')
            """,
            {"enough": policy.check_least_pool, "own": json.dumps(own)},
        )
