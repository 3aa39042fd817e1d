"""How much a complaint weighs: people count by what they gave here, for how long, and by what moderators made of their
complaints; and a program that we do not trust is one voice.

Never writes. One statement a question, whatever the number of people.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from oasst.accounts.models import ApiClient, User
from trees.labels import LANG_MISMATCH, SPAM
from trees.lifecycle.policy import TreePolicy
from trees.models import Proposal, Reaction, Skip
from trees.moderation.proposals import EDITED

# By hand: who is one voice with whom is found for all before it is counted, and what each of them gave is read no
# further than to a number. The ORM has no WITH, and no LIMIT on what it counts for each row.

OVERRULED_FOR = timedelta(days=30)
"""Whose complaints were dismissed more often than upheld in this time weighs nothing."""

# A review that said what the others decided (trees.lifecycle.consensus.rejects).
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
# A person of the site, or of a front end of our own, speaks for themselves. Whoever signs in by an address or a service
# that came with a merge does so too, without an address of the account.
_ALONE = """(
    person.email IS NOT NULL
    OR EXISTS (SELECT FROM account_emailaddress address WHERE address.user_id = person.id AND address.verified)
    OR EXISTS (SELECT FROM socialaccount_socialaccount other WHERE other.user_id = person.id)
    OR EXISTS (
        SELECT FROM accounts_identity identity JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.trusted
    ))"""
# Of a program that is not trusted nobody knows whether its people exist, so all of them are its one voice. A token of
# one's own is no such program.
_VOICE = f"""
    CASE WHEN {_ALONE} THEN person.id
    ELSE coalesce((
        SELECT client.id FROM accounts_identity identity
        JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.person_id IS NULL ORDER BY client.id LIMIT 1
    ), person.id) END
"""
_PEOPLE_OF_PROGRAM = f"""
    SELECT person.id FROM accounts_identity known JOIN accounts_user person ON person.id = known.user_id
    WHERE known.api_client_id = %s AND NOT {_ALONE}
"""
_STANDS = "set_aside_id IS NULL AND voided_at IS NULL"
_FLAG, _SKIP = f"emoji = '{Reaction.RED_FLAG}'", f"kind = '{Skip.Kind.REPLY.value}'"


# This person complained about what a moderator decided, and had done so by then.
_BY_THEN = "coalesce(first_at, created_at) <= proposal.decided_at"
_COMPLAINED = f"""(
    EXISTS (SELECT FROM trees_reaction
        WHERE message_id = proposal.message_id AND author_id = person.id AND {_FLAG} AND {_BY_THEN})
    OR EXISTS (SELECT FROM trees_skip
        WHERE message_id = proposal.message_id AND author_id = person.id AND {_SKIP} AND {_BY_THEN})
)"""


def _by_another(who: str) -> str:
    """A condition: did somebody else than the author of the message decide?"""
    return f"({who} = (SELECT author_id FROM trees_message WHERE id = message_id)) IS NOT TRUE"


# Moderators said of this person's complaints more often that they are unfounded. A message counts once. That its author
# takes it back says nothing: two accounts could prove each other right.
_OVERRULED = f"""(
    SELECT count(*) FILTER (WHERE status = 'dismissed') > count(*) FILTER (WHERE status = 'upheld') FROM (
        SELECT message_id, status FROM trees_proposal proposal
        WHERE decided_at > %(remembered)s AND reason <> %(edited)s AND {_by_another("decided_by_id")}
          AND {_COMPLAINED}
        UNION
        SELECT message_id, status FROM trees_report
        WHERE reporter_id = person.id AND handled_at > %(remembered)s AND status <> 'open'
          AND {_by_another("handled_by_id")}
    ) AS decided)"""
# The other messages that are hidden, or whose trees are stopped, and who complained about them.
_ELSEWHERE = f"""
    SELECT proposal.message_id, complaint.author_id
    FROM trees_proposal proposal JOIN trees_message message ON message.id = proposal.message_id
    CROSS JOIN LATERAL (
        SELECT author_id FROM trees_reaction WHERE message_id = proposal.message_id AND {_FLAG} AND {_STANDS}
        UNION
        SELECT author_id FROM trees_skip WHERE message_id = proposal.message_id AND {_SKIP} AND {_STANDS}
    ) AS complaint
    WHERE proposal.status = 'open' AND (proposal.hides OR proposal.stops) AND NOT message.deleted
      AND proposal.message_id <> %(message)s"""
_COUNT = f"""
    WITH said AS MATERIALIZED (%(complaints)s), elsewhere AS MATERIALIZED ({_ELSEWHERE}), person AS MATERIALIZED (
        SELECT person.id, person.role, person.created_at, {_VOICE} AS voice FROM accounts_user person
        WHERE (person.id IN (SELECT author_id FROM said) OR person.id IN (SELECT author_id FROM elsewhere))
          AND person.enabled AND person.is_active AND person.deleted_at IS NULL
    ), busy AS (
        SELECT voice FROM elsewhere JOIN person ON person.id = author_id
        GROUP BY voice HAVING count(DISTINCT message_id) >= %(most_open)s
    ), heard AS (
        SELECT voice, role <> 'general' AS decides, %(accepted)s = 0 AS anybody, created_at <= %(young)s AS is_known,
               created_at <= %(grown)s AS is_grown, {_GIVEN} AS given, {_OVERRULED} AS overruled
        FROM person WHERE person.id IN (SELECT author_id FROM said)
    )
    SELECT count(DISTINCT voice), count(DISTINCT voice) FILTER (WHERE decides OR voice NOT IN (SELECT voice FROM busy))
    FROM heard
    WHERE decides
       OR (anybody OR is_known AND (given >= %(accepted)s OR is_grown AND given > 0)) AND NOT overruled
"""


def _statement(rows: str) -> str:
    return _COUNT.replace("%(complaints)s", rows)


_FLAGS = _statement(f"SELECT author_id FROM trees_reaction WHERE message_id = %(message)s AND {_STANDS} AND {_FLAG}")
_SKIPS = _statement(f"SELECT author_id FROM trees_skip WHERE message_id = %(message)s AND {_STANDS} AND {_SKIP}")


@dataclass(frozen=True)
class Heard:
    """How many voices complain, and how many of them may hide or stop something: not those that do so elsewhere as
    often as the policy lets them (`complaint_most_open`), until a moderator has decided there.
    """

    voices: int
    acting: int


def hear_flags(message_id: UUID, policy: TreePolicy) -> Heard:
    """Who flags this message. One statement."""
    return _hear(_FLAGS, message_id, policy)


def hear_skips(message_id: UUID, policy: TreePolicy) -> Heard:
    """Who did not want to answer this message. One statement."""
    return _hear(_SKIPS, message_id, policy)


def count_flags(message_id: UUID, policy: TreePolicy) -> int:
    """How many voices flag this message. One statement."""
    return hear_flags(message_id, policy).voices


def count_skips(message_id: UUID, policy: TreePolicy) -> int:
    """How many voices did not want to answer this message. One statement."""
    return hear_skips(message_id, policy).voices


def speaks_alone(person: User) -> bool:
    """Is this somebody of their own: by a sign-in here, or because a trusted program knows them? One statement where
    there is no address.
    """
    if person.email is not None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_ALONE} FROM accounts_user person WHERE person.id = %s", [person.pk])
        return bool(cursor.fetchone()[0])


def people_of_program(program: ApiClient) -> RawSQL:
    """The ids of all whom this program knows and who do not speak alone, to be used in a filter."""
    return RawSQL(_PEOPLE_OF_PROGRAM, [program.pk])


def is_remembered(flag: Reaction) -> bool:
    """Did moderators decide lately about the message since this was said of it, be it of an earlier text? One
    statement.
    """
    since = max(flag.known_since, timezone.now() - OVERRULED_FOR)
    return Proposal.objects.filter(message=flag.message_id, decided_at__gte=since).exclude(reason=EDITED).exists()


def messages_acted_on(person_id: UUID) -> list[UUID]:
    """What is hidden, or stops its tree, and this person complained about, be it that it weighs or not."""
    by_this_person = {"message": OuterRef("message"), "author": person_id, "voided_at": None}
    flags = Reaction.everything.filter(**by_this_person, emoji=Reaction.RED_FLAG)
    skips = Skip.everything.filter(**by_this_person, kind=Skip.Kind.REPLY)
    acting = Proposal.objects.filter(Q(hides=True) | Q(stops=True), status=Proposal.Status.OPEN)
    return list(acting.filter(Exists(flags) | Exists(skips)).order_by("message").values_list("message", flat=True))


def _hear(statement: str, message_id: UUID, policy: TreePolicy) -> Heard:
    with connection.cursor() as cursor:
        cursor.execute(statement, _facts(message_id, policy))
        return Heard(*cursor.fetchone())


def _facts(message_id: UUID, policy: TreePolicy) -> dict[str, UUID | int | str | datetime]:
    now = timezone.now()
    return {
        "message": message_id,
        "accepted": policy.complaint_min_accepted,
        "most_open": policy.complaint_most_open,
        "young": now - timedelta(days=policy.complaint_least_age_days),
        "grown": now - timedelta(days=max(policy.complaint_least_age_days, policy.complaint_min_age_days)),
        "remembered": now - OVERRULED_FOR,
        "edited": EDITED,
    }
