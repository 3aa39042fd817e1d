"""How much complaints weigh, by what their authors contributed, the age of their accounts, and moderators' decisions.

A complainant is a user, or all users of an API client that is not trusted: they count once. Never writes. One statement
per question, whatever the number of people.
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
from trees.moderation.proposals import TEXT_CHANGED

# Raw SQL: the ORM has neither WITH nor a LIMIT for what it counts per row. Complainants are found for all rows before
# they are counted, and contributions are counted only up to the number that is needed.

DECISIONS_REMEMBERED_FOR = timedelta(days=30)
"""A user whose complaints were dismissed more often than upheld in this time does not count."""

# A review that agrees with the decision (trees.lifecycle.consensus.is_rejecting).
_REJECTS = " OR ".join(f"coalesce((review.labels->>'{name}')::float, 0) >= 0.5" for name in (SPAM, LANG_MISMATCH))
# Contributions of one user, counted up to the number that is needed.
_CONTRIBUTIONS = f"""(
    SELECT count(*) FROM (
        SELECT FROM trees_message message
        WHERE message.author_id = person.id AND message.review_result AND NOT message.deleted
        UNION ALL
        SELECT FROM trees_review review JOIN trees_message message ON message.revision_id = review.revision_id
        WHERE review.author_id = person.id AND review.kind = 'review' AND review.set_aside_id IS NULL
          AND message.review_result = NOT ({_REJECTS})
        LIMIT greatest(%(accepted)s, 1)
    ) AS one)"""
# A user of this site, or of a trusted client, counts separately; so does a user whose address or linked account came
# with a merge.
_SEPARATELY = """(
    person.email IS NOT NULL
    OR EXISTS (SELECT FROM account_emailaddress address WHERE address.user_id = person.id AND address.verified)
    OR EXISTS (SELECT FROM socialaccount_socialaccount other WHERE other.user_id = person.id)
    OR EXISTS (
        SELECT FROM accounts_identity identity JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.trusted
    ))"""
# Nobody knows whether the users of an untrusted client exist, so all of them are one complainant. A user's own token
# does not count as such a client.
_COMPLAINANT = f"""
    CASE WHEN {_SEPARATELY} THEN person.id
    ELSE coalesce((
        SELECT client.id FROM accounts_identity identity
        JOIN accounts_apiclient client ON client.id = identity.api_client_id
        WHERE identity.user_id = person.id AND client.person_id IS NULL ORDER BY client.id LIMIT 1
    ), person.id) END
"""
_USERS_OF_CLIENT = f"""
    SELECT person.id FROM accounts_identity known JOIN accounts_user person ON person.id = known.user_id
    WHERE known.api_client_id = %s AND NOT {_SEPARATELY}
"""
_COUNTS = "set_aside_id IS NULL AND voided_at IS NULL"
_FLAG, _SKIP = f"emoji = '{Reaction.RED_FLAG}'", f"kind = '{Skip.Kind.REPLY.value}'"


# This user had complained when a moderator decided.
_BY_THEN = "coalesce(first_at, created_at) <= proposal.decided_at"
_COMPLAINED = f"""(
    EXISTS (SELECT FROM trees_reaction
        WHERE message_id = proposal.message_id AND author_id = person.id AND {_FLAG} AND {_BY_THEN})
    OR EXISTS (SELECT FROM trees_skip
        WHERE message_id = proposal.message_id AND author_id = person.id AND {_SKIP} AND {_BY_THEN})
)"""


def _by_another(who: str) -> str:
    """Return the condition that another person than the author decided."""
    return f"({who} = (SELECT author_id FROM trees_message WHERE id = message_id)) IS NOT TRUE"


# Moderators dismissed more of this user's complaints than they upheld, each message counted once. Decisions of the
# message's author do not count: two accounts could confirm each other.
_OVERRULED = f"""(
    SELECT count(*) FILTER (WHERE status = 'dismissed') > count(*) FILTER (WHERE status IN ('upheld', 'hidden')) FROM (
        SELECT message_id, status FROM trees_proposal proposal
        WHERE decided_at > %(remembered)s AND reason <> %(edited)s AND {_by_another("decided_by_id")}
          AND {_COMPLAINED}
        UNION
        SELECT message_id, status FROM trees_report
        WHERE reporter_id = person.id AND handled_at > %(remembered)s AND status <> 'open'
          AND {_by_another("handled_by_id")}
    ) AS decided)"""
# Other messages that are hidden or halt their trees, and who complained about them.
_OTHER_COMPLAINTS = f"""
    SELECT proposal.message_id, complaint.author_id
    FROM trees_proposal proposal JOIN trees_message message ON message.id = proposal.message_id
    CROSS JOIN LATERAL (
        SELECT author_id FROM trees_reaction WHERE message_id = proposal.message_id AND {_FLAG} AND {_COUNTS}
        UNION
        SELECT author_id FROM trees_skip WHERE message_id = proposal.message_id AND {_SKIP} AND {_COUNTS}
    ) AS complaint
    WHERE proposal.status = 'open' AND (proposal.hides OR proposal.stops) AND NOT message.deleted
      AND proposal.message_id <> %(message)s"""
_COUNT = f"""
    WITH these AS MATERIALIZED (%(complaints)s), others AS MATERIALIZED ({_OTHER_COMPLAINTS}), person AS MATERIALIZED (
        SELECT person.id, person.role, person.created_at, {_COMPLAINANT} AS complainant FROM accounts_user person
        WHERE (person.id IN (SELECT author_id FROM these) OR person.id IN (SELECT author_id FROM others))
          AND person.enabled AND person.is_active AND person.deleted_at IS NULL
    ), fully_used AS (
        SELECT complainant FROM others JOIN person ON person.id = author_id
        GROUP BY complainant HAVING count(DISTINCT message_id) >= %(most_open)s
    ), weighed AS (
        SELECT complainant, role <> 'general' AS decides, %(accepted)s = 0 AS everybody,
               created_at <= %(young)s AS is_known, created_at <= %(grown)s AS is_grown,
               {_CONTRIBUTIONS} AS contributed, {_OVERRULED} AS overruled
        FROM person WHERE person.id IN (SELECT author_id FROM these)
    )
    SELECT count(DISTINCT complainant), count(DISTINCT complainant) FILTER (
        WHERE decides OR complainant NOT IN (SELECT complainant FROM fully_used))
    FROM weighed
    WHERE decides
       OR (everybody OR is_known AND (contributed >= %(accepted)s OR is_grown AND contributed > 0)) AND NOT overruled
"""


def _statement(rows: str) -> str:
    return _COUNT.replace("%(complaints)s", rows)


_FLAGS = _statement(f"SELECT author_id FROM trees_reaction WHERE message_id = %(message)s AND {_COUNTS} AND {_FLAG}")
_SKIPS = _statement(f"SELECT author_id FROM trees_skip WHERE message_id = %(message)s AND {_COUNTS} AND {_SKIP}")


@dataclass(frozen=True)
class ComplaintWeight:
    """How many complainants count, and how many of them may hide or halt something.

    A complainant may act on `complaint_most_open` other messages until a moderator has decided.
    """

    voices: int
    acting: int


def weigh_flags(message_id: UUID, policy: TreePolicy) -> ComplaintWeight:
    """Return the weight of the flags on this message. One statement."""
    return _weigh(_FLAGS, message_id, policy)


def weigh_skips(message_id: UUID, policy: TreePolicy) -> ComplaintWeight:
    """Return the weight of the skips of answering this message. One statement."""
    return _weigh(_SKIPS, message_id, policy)


def count_flags(message_id: UUID, policy: TreePolicy) -> int:
    """Return how many complainants flag this message. One statement."""
    return weigh_flags(message_id, policy).voices


def count_skips(message_id: UUID, policy: TreePolicy) -> int:
    """Return how many complainants skipped answering this message. One statement."""
    return weigh_skips(message_id, policy).voices


def counts_separately(user: User) -> bool:
    """Return True if this user counts separately: signs in here, or a trusted client knows them.

    One statement if the user has no address.
    """
    if user.email is not None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_SEPARATELY} FROM accounts_user person WHERE person.id = %s", [user.pk])
        return bool(cursor.fetchone()[0])


def users_of_client(client: ApiClient) -> RawSQL:
    """Return the ids of users who count only as this API client, for use in a filter."""
    return RawSQL(_USERS_OF_CLIENT, [client.pk])


def was_decided_lately(flag: Reaction) -> bool:
    """Return True if a moderator decided about the message lately, after this flag. One statement."""
    since = max(flag.known_since, timezone.now() - DECISIONS_REMEMBERED_FOR)
    return Proposal.objects.filter(message=flag.message_id, decided_at__gte=since).exclude(reason=TEXT_CHANGED).exists()


def messages_acted_on(person_id: UUID) -> list[UUID]:
    """Return the messages that are hidden or halt their tree and that this user complained about."""
    by_this_person = {"message": OuterRef("message"), "author": person_id, "voided_at": None}
    flags = Reaction.everything.filter(**by_this_person, emoji=Reaction.RED_FLAG)
    skips = Skip.everything.filter(**by_this_person, kind=Skip.Kind.REPLY)
    proposals = Proposal.objects.filter(Q(hides=True) | Q(stops=True), status=Proposal.Status.OPEN)
    return list(proposals.filter(Exists(flags) | Exists(skips)).order_by("message").values_list("message", flat=True))


def _weigh(statement: str, message_id: UUID, policy: TreePolicy) -> ComplaintWeight:
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(message_id, policy))
        return ComplaintWeight(*cursor.fetchone())


def _parameters(message_id: UUID, policy: TreePolicy) -> dict[str, UUID | int | str | datetime]:
    now = timezone.now()
    return {
        "message": message_id,
        "accepted": policy.complaint_min_accepted,
        "most_open": policy.complaint_most_open,
        "young": now - timedelta(days=policy.complaint_least_age_days),
        "grown": now - timedelta(days=max(policy.complaint_least_age_days, policy.complaint_min_age_days)),
        "remembered": now - DECISIONS_REMEMBERED_FOR,
        "edited": TEXT_CHANGED,
    }
