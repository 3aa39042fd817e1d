"""The openings of a tree, reconciled with what it wants after every event."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

from django.db.models import Q

from oasst.accounts.models import User
from trees.lifecycle import demand
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import REPLY_WORK, TABLE, Work
from trees.models import Opening


@dataclass
class OpeningChanges:
    """The changes that the openings of a tree need."""

    remove: set[int] = field(default_factory=set)
    add: list[tuple[UUID, Work, int]] = field(default_factory=list)  # message, work, priority
    priorities: dict[int, int] = field(default_factory=dict)  # opening → its new priority


def reconcile(locked: LockedTree) -> None:
    """Make the openings agree with what the tree wants. A held opening stays while its work is of use.

    Users take openings without locking the tree, also between our read and our write. So openings to remove are locked
    first, and decided again if they changed.
    """
    locked_ids: set[int] = set()
    changes = _compare(locked)
    while unlocked := changes.remove - locked.used_openings - locked_ids:
        locked_ids |= unlocked
        before = {o.pk: o.lease for o in locked.openings}
        # Lock all rows, those with a new priority too, at once in one order: two transactions cannot deadlock.
        locked.lock_openings(unlocked | locked.used_openings | changes.priorities.keys())
        if before == {o.pk: o.lease for o in locked.openings}:
            break
        changes = _compare(locked)
    if changes.remove or changes.add or changes.priorities:
        Opening.objects.change(
            locked.tree, remove=changes.remove, priorities=changes.priorities, add=changes.add, now=locked.now
        )


def hold_again(locked: LockedTree, message_id: UUID, work: Work, *, holder: User, lease: UUID, until: datetime) -> bool:
    """Hold a free opening for this work, after the tree was saved. Return False if there is none."""
    rows = Opening.objects.select_for_update(skip_locked=True).filter(message=message_id, work=work.value)
    free = rows.filter(Q(held_until=None) | Q(held_until__lte=locked.now)).order_by("pk").first()
    if free is None:
        return False
    free.holder, free.lease, free.held_until = holder, lease, until
    free.save(update_fields=["holder", "lease", "held_until"])
    return True


def _compare(locked: LockedTree) -> OpeningChanges:
    offers = TABLE[locked.state].offers
    wanted = demand.openings_wanted(locked) if offers else {}
    changes = OpeningChanges()
    answerable, paused_ids = demand.find_answerable(locked), demand.find_paused(locked)

    @cache
    def priority_of(key: demand.OpeningKey) -> int:
        return demand.priority(locked, locked.messages[key[0]], key[1])

    for opening in sorted(locked.openings, key=lambda o: not o.is_held(locked.now)):
        key = (opening.message_id, Work(opening.work))
        is_useless = key[1] in REPLY_WORK and key[0] not in answerable
        is_gone = locked.messages[opening.message_id].deleted or opening.message_id in paused_ids
        is_wanted = key[1] in offers and not is_gone and not is_useless
        if opening.pk in locked.used_openings:
            changes.remove.add(opening.pk)
        elif is_wanted and (opening.is_held(locked.now) or wanted.get(key, 0) > 0):
            wanted[key] = wanted.get(key, 0) - 1
            if opening.priority != priority_of(key):
                changes.priorities[opening.pk] = priority_of(key)
        else:
            changes.remove.add(opening.pk)
    changes.add = [(*key, priority_of(key)) for key, count in wanted.items() for _ in range(count)]
    return changes
