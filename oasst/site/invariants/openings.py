"""Is there exactly the work that the trees want?

Which parent gets a reply depends on who held what when the tree last moved, and holds run out by themselves. What does
not depend on it is checked: reviews and rankings message by message, replies by their sum and by each parent's limit.
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
    """Only work that the state offers, about messages that are there."""
    offers = TABLE[State(facts.tree.state)].offers
    paused = demand.paused(facts.as_locked_tree())
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
    """As many places for reviews and rankings as are missing. A held one too many stays until it is used or left."""
    places = _places(facts)
    if places is None:
        return
    found = Counter((o.message_id, Work(o.work)) for o in facts.openings if o.work not in REPLY_WORK)
    held = Counter(
        (o.message_id, Work(o.work)) for o in facts.openings if o.work not in REPLY_WORK and o.held_until is not None
    )
    expected = {key: count for key, count in places.items() if key[1] not in REPLY_WORK}
    for key in found.keys() | expected.keys():
        number = expected.get(key, 0)
        if found[key] != max(number, min(found[key], held[key])):
            yield Difference("judgements_wanted", f"{key[1]} on {key[0]}", f"{number} places", f"{found[key]}")


def replies_wanted(facts: TreeFacts) -> Iterator[Difference]:
    """As many places for replies as the tree has room for, and no parent gets more than it takes. Where a hold ran out,
    the tree looks again when its task is over.
    """
    places = _places(facts)
    if places is None or facts.tree.state != State.GROWING:
        return
    now = timezone.now()
    replies = [o for o in facts.openings if o.work in REPLY_WORK]
    found: Counter[UUID] = Counter(o.message_id for o in replies)
    expected = sum(count for key, count in places.items() if key[1] in REPLY_WORK)
    ran_out = sum(1 for o in replies if o.held_until is not None and not o.is_held(now))
    if not expected <= found.total() <= expected + ran_out:
        yield Difference("replies_wanted", f"tree {facts.tree.pk}", f"{expected} places", str(found.total()))
    locked = facts.as_locked_tree()
    children = demand.counted_children(locked)
    for message_id, number in found.items():
        message = facts.messages.get(message_id)
        limit = demand.reply_limit(locked, message) if message else 0
        if message and number and children[message_id] + number > limit:
            yield Difference(
                "replies_wanted",
                f"message {message_id}",
                f"at most {limit} replies",
                f"{children[message_id]} and {number} places",
            )


def priorities_are_true(facts: TreeFacts) -> Iterator[Difference]:
    """Handed out as soon as the facts of its tree say, and not as soon as they said when the place was made."""
    if facts.root is None:
        return
    locked = facts.as_locked_tree()
    for opening in facts.openings:
        if message := facts.messages.get(opening.message_id):
            expected = demand.priority(locked, message, Work(opening.work))
            if opening.priority != expected:
                yield Difference("priorities_are_true", f"opening {opening.pk}", str(expected), str(opening.priority))


def _places(facts: TreeFacts) -> dict[demand.Key, int] | None:
    """None for a tree without its prompt, which can want nothing and is reported as such."""
    return None if facts.root is None else demand.places(facts.as_locked_tree())


CHECKS = (openings_are_offered, judgements_wanted, replies_wanted, priorities_are_true)
