"""How much a complaint weighs: people count by what they gave here, and a program that we do not trust is one voice.

Never writes. One statement a question, whatever the number of people.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from trees.models import Reaction, Skip
from trees.policy import LANG_MISMATCH, SPAM, TreePolicy

# A review that said what the others decided (trees.consensus.rejects).
_REJECTS = " OR ".join(f"coalesce((review.labels->>'{name}')::float, 0) >= 0.5" for name in (SPAM, LANG_MISMATCH))
# What one person gave, read no further than to the number that is asked for.
_GIVEN = f"""(
    SELECT count(*) FROM (
        SELECT FROM trees_message message
        WHERE message.author_id = person.id AND message.review_result AND NOT message.deleted
        UNION ALL
        SELECT FROM trees_review review JOIN trees_message message ON message.revision_id = review.revision_id
        WHERE review.author_id = person.id AND review.kind = 'review' AND review.set_aside_id IS NULL
          AND message.review_result = NOT ({_REJECTS})
        LIMIT greatest(%(accepted)s, 1)
    ) AS one)"""
# A person of the site, or of a front end of our own, speaks for themselves; of a program that is not trusted nobody
# knows whether its people exist, so all of them are its one voice. A token of one's own is no such program.
_VOICE = """
    CASE WHEN person.email IS NOT NULL OR EXISTS (
        SELECT FROM accounts_identity identity JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.trusted
    ) THEN person.id
    ELSE coalesce((
        SELECT client.id FROM accounts_identity identity
        JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.person_id IS NULL ORDER BY client.id LIMIT 1
    ), person.id) END
"""
_COUNT = f"""
    WITH person AS MATERIALIZED (
        SELECT person.id, person.email, person.role, person.created_at FROM accounts_user person
        WHERE person.id IN (%(complaints)s) AND person.enabled AND person.is_active AND person.deleted_at IS NULL
    ), heard AS (
        SELECT person.id, {_VOICE} AS voice, person.role <> 'general' OR %(accepted)s = 0 AS surely,
               person.created_at <= %(grown)s AS is_grown, {_GIVEN} AS given
        FROM person
    )
    SELECT count(DISTINCT voice) FROM heard
    WHERE surely OR given >= %(accepted)s OR (is_grown AND given > 0)
"""
_COUNTED = "message_id = %(message)s AND set_aside_id IS NULL AND voided_at IS NULL"


def _statement(rows: str) -> str:
    return _COUNT.replace("%(complaints)s", rows)


_FLAGS = _statement(f"SELECT author_id FROM trees_reaction WHERE {_COUNTED} AND emoji = '{Reaction.RED_FLAG}'")
_SKIPS = _statement(f"SELECT author_id FROM trees_skip WHERE {_COUNTED} AND kind = '{Skip.Kind.REPLY.value}'")


def count_flags(message_id: UUID, policy: TreePolicy) -> int:
    """How many voices flag this message. One statement."""
    return _count(_FLAGS, message_id, policy)


def count_skips(message_id: UUID, policy: TreePolicy) -> int:
    """How many voices did not want to answer this message. One statement."""
    return _count(_SKIPS, message_id, policy)


def _count(statement: str, message_id: UUID, policy: TreePolicy) -> int:
    facts: dict[str, UUID | int | datetime] = {
        "message": message_id,
        "accepted": policy.complaint_min_accepted,
        "grown": timezone.now() - timedelta(days=policy.complaint_min_age_days),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, facts)
        return int(cursor.fetchone()[0])
