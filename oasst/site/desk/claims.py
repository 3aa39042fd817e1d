"""Who holds which item of the desk: two moderators never hold the same.

A claim ends by a decision, when its moderator leaves, or after LEASE: the page renews it while it is open.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, UUIDField, Value
from django.utils import timezone

from oasst.accounts.models import User
from oasst.site.desk.subjects import Item, Subject
from oasst.site.models import DeskClaim, Escalation

LEASE = timedelta(minutes=5)
GRACE = timedelta(seconds=20)
"""How long an item is still held after its page was left, which may be a reload."""
MAX_TRIED = 50
"""How many items are tried before the desk says that others hold everything."""


def take_first(moderator: User, items: Iterable[Item]) -> Item | None:
    """Claim the first of these items that nobody else holds, and give the moderator's other claims back, also if there
    is none.
    """
    with transaction.atomic():
        for item, _ in zip(items, range(MAX_TRIED), strict=False):
            if _claim_only(moderator, item.subject):
                return item
        give_back(moderator)
    return None


def renew(moderator: User, subject: Subject) -> bool:
    """Hold an item for another LEASE, and nothing else. Return False if somebody else holds it by now."""
    with transaction.atomic():
        return _claim_only(moderator, subject)


def hold(moderator: User, subject: Subject) -> bool:
    """Do what `renew` does, and keep the claim locked until the open transaction ends: a rival waits for it."""
    return _claim(moderator, subject, waits=True)


def was_given(moderator: User, subject: Subject) -> bool:
    """Return True if this moderator holds the item, or held it last and nobody else has taken it since."""
    return DeskClaim.objects.filter(moderator=moderator, subject_kind=subject.kind, subject_id=subject.id).exists()


def leave(moderator: User) -> None:
    """Hold what this moderator holds for GRACE only, because its page was left."""
    soon = timezone.now() + GRACE
    DeskClaim.objects.filter(moderator=moderator, until__gt=soon).update(until=soon)


def give_back(moderator: User, subject: Subject | None = None) -> None:
    """End the claim on this subject, or all claims of this moderator."""
    claims = DeskClaim.objects.filter(moderator=moderator)
    if subject is not None:
        claims = claims.filter(subject_kind=subject.kind, subject_id=subject.id)
    claims.delete()


@dataclass(frozen=True)
class Taken:
    """What is not free for a moderator."""

    mine: Subject | None
    """What they hold themselves, or held last and nobody else has taken since."""
    others: Collection[Subject]
    """What others hold now."""
    passed_on: Collection[Subject]
    """What waits for an administrator."""


def taken(moderator: User) -> Taken:
    """Return what is taken now. One statement."""
    held = DeskClaim.objects.filter(Q(until__gt=timezone.now()) | Q(moderator=moderator))
    columns = ("subject_kind", "subject_id")
    waiting = Escalation.objects.filter(closed_at=None).annotate(by=Value(None, UUIDField()))
    rows = list(held.values_list(*columns, "moderator").union(waiting.values_list(*columns, "by"), all=True))
    mine = [Subject(kind, key) for kind, key, holder in rows if holder == moderator.pk]
    others = {Subject(kind, key) for kind, key, holder in rows if holder not in (None, moderator.pk)}
    passed_on = {Subject(kind, key) for kind, key, holder in rows if holder is None}
    return Taken(mine[0] if mine else None, others, passed_on)


def forget_expired() -> int:
    """Delete claims that ended a day ago; return how many."""
    return DeskClaim.objects.filter(until__lt=timezone.now() - timedelta(days=1)).delete()[0]


def _claim_only(moderator: User, subject: Subject) -> bool:
    """Claim an item, and give the moderator's other claims back: nobody holds two."""
    if not _claim(moderator, subject):
        return False
    others = DeskClaim.objects.filter(moderator=moderator)
    others.exclude(subject_kind=subject.kind, subject_id=subject.id).delete()
    return True


def _claim(moderator: User, subject: Subject, *, waits: bool = False) -> bool:
    now = timezone.now()
    key = {"subject_kind": subject.kind, "subject_id": subject.id}
    DeskClaim.objects.bulk_create([DeskClaim(**key, moderator=moderator, until=now)], ignore_conflicts=True)
    free = Q(until__lte=now) | Q(moderator=moderator)
    claim = DeskClaim.objects.select_for_update(skip_locked=not waits).filter(free, **key).first()
    if claim is None:
        return False
    claim.moderator, claim.until = moderator, now + LEASE
    claim.save(update_fields=["moderator", "until"])
    return True
