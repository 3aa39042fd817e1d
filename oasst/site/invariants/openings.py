"""Check that there are exactly the openings that the trees want.

Which parent has the openings for replies depends on the holds at the last step of the tree, and holds expire. So the
checks compare openings for reviews and rankings per message, and those for replies by their sum and parents' limits.
"""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from django.utils import timezone

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.lifecycle import demand
from trees.lifecycle.states import REPLY_WORK, TABLE, State, Work


def openings_are_offered(facts: TreeFacts) -> Iterator[Difference]:
    """Openings are only for work that the state offers, about messages that exist."""
    offers = TABLE[State(facts.tree.state)].offers
    paused = demand.find_paused(facts.as_locked_tree())
    for opening in facts.openings:
        message = facts.messages.get(opening.message_id)
        if message is None or message.deleted:
            expected = "about a message of its tree that is not deleted"
        elif opening.message_id in paused:
            expected = "about nothing that waits for a moderator"
        elif opening.work not in offers:
            expected = f"work that {facts.tree.state} offers"
        elif opening.lang != facts.tree.lang:
            expected = f"in the language of its tree ({facts.tree.lang})"
        else:
            continue
        yield Difference("openings_are_offered", f"opening {opening.pk}", expected, f"{opening}, {opening.lang}")


def judgements_wanted(facts: TreeFacts) -> Iterator[Difference]:
    """There are as many openings for reviews and rankings as are missing. Superfluous ones may stay while held."""
    wanted = _openings_wanted(facts)
    if wanted is None:
        return
    openings = [opening for opening in facts.openings if opening.work not in REPLY_WORK]
    stored = Counter((opening.message_id, Work(opening.work)) for opening in openings)
    held = Counter((opening.message_id, Work(opening.work)) for opening in openings if opening.held_until is not None)
    expected = {key: count for key, count in wanted.items() if key[1] not in REPLY_WORK}
    for key in stored.keys() | expected.keys():
        number = expected.get(key, 0)
        if stored[key] != max(number, min(stored[key], held[key])):
            yield Difference("judgements_wanted", f"{key[1]} on {key[0]}", f"{number} openings", f"{stored[key]}")


def replies_wanted(facts: TreeFacts) -> Iterator[Difference]:
    """There are as many openings for replies as the tree has room for, and no parent has more than its limit.

    Openings whose hold expired may be too many until the tree looks at them again when their task is over.
    """
    wanted = _openings_wanted(facts)
    if wanted is None or facts.tree.state != State.GROWING:
        return
    now = timezone.now()
    openings = [opening for opening in facts.openings if opening.work in REPLY_WORK]
    stored: Counter[UUID] = Counter(opening.message_id for opening in openings)
    expected = sum(count for key, count in wanted.items() if key[1] in REPLY_WORK)
    expired = sum(1 for opening in openings if opening.held_until is not None and not opening.is_held(now))
    if not expected <= stored.total() <= expected + expired:
        yield Difference("replies_wanted", f"tree {facts.tree.pk}", f"{expected} openings", str(stored.total()))
    locked = facts.as_locked_tree()
    children = demand.count_replies(locked)
    for message_id, number in stored.items():
        message = facts.messages.get(message_id)
        limit = demand.reply_limit(locked, message) if message else 0
        if message and number and children[message_id] + number > limit:
            yield Difference(
                "replies_wanted",
                f"message {message_id}",
                f"at most {limit} replies",
                f"{children[message_id]} and {number} openings",
            )


def priorities_are_true(facts: TreeFacts) -> Iterator[Difference]:
    """Stored priorities are those of the current facts, not those of the time when the opening was made."""
    if facts.root is None:
        return
    locked = facts.as_locked_tree()
    for opening in facts.openings:
        if message := facts.messages.get(opening.message_id):
            expected = demand.priority(locked, message, Work(opening.work))
            if opening.priority != expected:
                yield Difference("priorities_are_true", f"opening {opening.pk}", str(expected), str(opening.priority))


def _openings_wanted(facts: TreeFacts) -> dict[demand.OpeningKey, int] | None:
    """Return None for a tree without its prompt, which `tree_has_its_prompt` reports."""
    return None if facts.root is None else demand.openings_wanted(facts.as_locked_tree())


CHECKS = (openings_are_offered, judgements_wanted, replies_wanted, priorities_are_true)
