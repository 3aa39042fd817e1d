"""The openings of a tree: made to agree with what it demands, whenever something happened to it."""

from dataclasses import dataclass, field
from uuid import UUID

from trees.lifecycle import demand
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import REPLY_WORK, TABLE, Work
from trees.models import Opening


@dataclass
class Changes:
    """What has to become of the openings of a tree."""

    surplus: set[int] = field(default_factory=set)
    fresh: list[tuple[UUID, Work, int]] = field(default_factory=list)  # message, work, priority
    moved: dict[int, int] = field(default_factory=dict)  # opening → its new priority


def reconcile(locked: LockedTree) -> None:
    """Make the openings agree with what is wanted. A place that somebody holds stays while its work is of use.

    People take places without locking the tree, also between our reading and our writing. So what is to go is locked
    first, and decided again if it stands differently now.
    """
    kept_still: set[int] = set()
    changes = _compare(locked)
    while doubtful := changes.surplus - locked.used_openings - kept_still:
        kept_still |= doubtful
        before = {one.pk: one.lease for one in locked.openings}
        # All in one go and in one order, those too whose priority changes: two who lock do not wait for each other.
        locked.lock_openings(doubtful | locked.used_openings | changes.moved.keys())
        if before == {one.pk: one.lease for one in locked.openings}:
            break
        changes = _compare(locked)
    if changes.surplus or changes.fresh or changes.moved:
        Opening.objects.change(
            locked.tree, remove=changes.surplus, priorities=changes.moved, add=changes.fresh, now=locked.now
        )


def _compare(locked: LockedTree) -> Changes:
    offers = TABLE[locked.state].offers
    missing = demand.places(locked) if offers else {}
    changes, priorities = Changes(), _Priorities(locked)
    answerable, resting = demand.answerable(locked), demand.paused(locked)
    for opening in sorted(locked.openings, key=lambda o: not o.is_held(locked.now)):
        key = (opening.message_id, Work(opening.work))
        useless = key[1] in REPLY_WORK and key[0] not in answerable
        gone = locked.messages[opening.message_id].deleted or opening.message_id in resting
        alive = key[1] in offers and not gone and not useless
        if opening.pk in locked.used_openings:
            changes.surplus.add(opening.pk)
        elif alive and (opening.is_held(locked.now) or missing.get(key, 0) > 0):
            missing[key] = missing.get(key, 0) - 1
            if opening.priority != priorities[key]:
                changes.moved[opening.pk] = priorities[key]
        else:
            changes.surplus.add(opening.pk)
    changes.fresh = [(*key, priorities[key]) for key, count in missing.items() for _ in range(count)]
    return changes


class _Priorities(dict[demand.Key, int]):
    """Asked for once a message and kind of work, not once a place."""

    def __init__(self, locked: LockedTree) -> None:
        self.locked = locked

    def __missing__(self, key: demand.Key) -> int:
        self[key] = demand.priority(self.locked, self.locked.messages[key[0]], key[1])
        return self[key]
