"""Check that the outbox has exactly one event for each fact."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.models import Happening

Kind = Happening.Kind
# What these events report can be undone, which leaves no row to count.
_NOT_COUNTABLE = frozenset(
    kind.value
    for kind in (
        Kind.MESSAGE_REACTED,
        Kind.MESSAGE_REPORTED,
        Kind.REPORT_SETTLED,
        Kind.REMOVAL_PROPOSED,
        Kind.REMOVAL_UPHELD,
        Kind.REMOVAL_DISMISSED,
        Kind.MESSAGE_HIDDEN,
        Kind.LANGUAGE_CHANGED,
        Kind.MESSAGE_WITHDRAWN,
        Kind.WITHDRAWAL_ENDED,
        Kind.MESSAGE_DELETED,
        Kind.MESSAGE_RESTORED,
        Kind.MESSAGE_EDITED,
        Kind.MESSAGE_REOPENED,
        Kind.REVIEW_CHANGED,
        Kind.REVIEW_UNDONE,
        Kind.CHECK_UNDONE,
        Kind.RANKING_UNDONE,
        Kind.ACT_UNDONE,
        Kind.MODERATED,
        Kind.PERSON_PURGED,
        Kind.PURGE_UNDONE,
        Kind.PEOPLE_MERGED,
    )
)
# An undone judgment leaves the event of the judgment and its own.
_UNDONE = {
    Kind.REVIEW_UNDONE.value: Kind.MESSAGE_REVIEWED.value,
    Kind.CHECK_UNDONE.value: Kind.MESSAGE_CHECKED.value,
    Kind.RANKING_UNDONE.value: Kind.REPLIES_RANKED.value,
}
# A message that was edited, or whose votes a purge set aside, may have been decided several times.
_DECISIONS = frozenset({Kind.MESSAGE_ACCEPTED.value, Kind.MESSAGE_REJECTED.value})


def facts_are_told_once(facts: TreeFacts) -> Iterator[Difference]:
    expected = _expected(facts)
    decided_again = {message.pk for message in facts.messages.values() if message.edited}
    decided_again |= {vote.message_id for votes in facts.reviews.values() for vote in votes if not vote.counts}
    decided_again |= {message_id for message_id, kind in facts.events if message_id and kind == Kind.MESSAGE_REOPENED}
    for key in expected.keys() | facts.events.keys():
        message_id, kind = key
        if kind in _NOT_COUNTABLE or (kind in _DECISIONS and message_id in decided_again):
            continue
        number = facts.events[key]
        if expected[key] != number:
            yield Difference("facts_are_told_once", f"{kind} of message {message_id}", str(expected[key]), str(number))


def _expected(facts: TreeFacts) -> Counter[tuple[UUID | None, str]]:
    events: Counter[tuple[UUID | None, str]] = Counter()
    for message in facts.messages.values():
        if message.imported is None:
            events[message.pk, Kind.MESSAGE_POSTED.value] = 1
        events[message.pk, Kind.MESSAGE_REVIEWED.value] = len(facts.reviews.get(message.pk, ()))
        is_result_imported = message.given.get("review_result") is not None
        if message.review_result is not None and not is_result_imported:
            kind = Kind.MESSAGE_ACCEPTED if message.review_result else Kind.MESSAGE_REJECTED
            events[message.pk, kind.value] = 1
    events.update(facts.rankings_skips_and_checks)
    for (message_id, event), number in facts.events.items():
        if undone := _UNDONE.get(event):
            events[message_id, undone] += number
    events[facts.tree.pk, Kind.TREE_MOVED.value] = sum(1 for step in facts.transitions if step.from_state)
    events[facts.tree.pk, Kind.TREE_IMPORTED.value] = int(facts.is_imported)
    return events


CHECKS = (facts_are_told_once,)
