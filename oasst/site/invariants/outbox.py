"""Does the outbox tell each fact once?"""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.models import Happening

Kind = Happening.Kind
# What people can take back leaves no row behind to count.
_COMES_AND_GOES = frozenset(
    kind.value
    for kind in (
        Kind.MESSAGE_REACTED,
        Kind.MESSAGE_REPORTED,
        Kind.REPORT_SETTLED,
        Kind.REMOVAL_PROPOSED,
        Kind.REMOVAL_UPHELD,
        Kind.REMOVAL_DISMISSED,
        Kind.MESSAGE_WITHDRAWN,
        Kind.WITHDRAWAL_ENDED,
        Kind.MESSAGE_DELETED,
        Kind.MESSAGE_RESTORED,
        Kind.MESSAGE_EDITED,
        Kind.MESSAGE_REOPENED,
        Kind.PERSON_PURGED,
        Kind.PURGE_UNDONE,
        Kind.PEOPLE_MERGED,
    )
)
# Told once for each text that was decided; a message that was edited, or whose votes a purge took, had several.
_DECISIONS = frozenset({Kind.MESSAGE_ACCEPTED.value, Kind.MESSAGE_REJECTED.value})


def facts_are_told_once(facts: TreeFacts) -> Iterator[Difference]:
    expected = _expected(facts)
    several = {message.pk for message in facts.messages.values() if message.edited}
    several |= {one.message_id for given in facts.reviews.values() for one in given if not one.stands}
    several |= {message_id for message_id, kind in facts.happenings if message_id and kind == Kind.MESSAGE_REOPENED}
    for key in expected.keys() | facts.happenings.keys():
        message_id, kind = key
        if kind in _COMES_AND_GOES or (kind in _DECISIONS and message_id in several):
            continue
        if expected[key] != facts.happenings[key]:
            yield Difference(
                "facts_are_told_once",
                f"{kind} of message {message_id}",
                str(expected[key]),
                str(facts.happenings[key]),
            )


def _expected(facts: TreeFacts) -> Counter[tuple[UUID | None, str]]:
    told: Counter[tuple[UUID | None, str]] = Counter()
    for message in facts.messages.values():
        if message.imported is None:
            told[message.pk, Kind.MESSAGE_POSTED.value] = 1
        told[message.pk, Kind.MESSAGE_REVIEWED.value] = len(facts.reviews.get(message.pk, ()))
        came_decided = message.given.get("review_result") is not None
        if message.review_result is not None and not came_decided:
            kind = Kind.MESSAGE_ACCEPTED if message.review_result else Kind.MESSAGE_REJECTED
            told[message.pk, kind.value] = 1
    told.update(facts.told)
    told[facts.tree.pk, Kind.TREE_MOVED.value] = sum(1 for move in facts.transitions if move.from_state)
    told[facts.tree.pk, Kind.TREE_IMPORTED.value] = int(facts.is_imported)
    return told


CHECKS = (facts_are_told_once,)
