"""Changing how a person hears of notices. Each function is one transaction."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.core import ratelimit
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell

Digest = NoticeAccount.Digest


@transaction.atomic
def choose(person_id: UUID, *, kinds: Collection[str], digest: str) -> None:
    """Store which kinds the person wants to be told of, and how often by mail. Raise Busy `rate_limited`."""
    ratelimit.count_use(ratelimit.PROFILE_CHANGES, person_id)
    muted = [kind for kind in Notice.Kind.values if kind not in kinds]
    NoticeAccount.objects.update_or_create(person_id=person_id, defaults={"muted": muted, "digest": digest})


@transaction.atomic
def stop_mails(person_id: UUID) -> None:
    """Send no digests from now on. Twice changes nothing."""
    NoticeAccount.objects.update_or_create(person_id=person_id, defaults={"digest": Digest.NONE})


@transaction.atomic
def mark_read(person_id: UUID, *, newest: int) -> None:
    """Mark the person's notices up to this id as read. What came since stays unread."""
    unread = Notice.objects.filter(person=person_id, read_at=None, pk__lte=newest)
    unread.update(read_at=timezone.now())
    bell.forget([person_id])


@transaction.atomic
def forget_person(person_id: UUID) -> None:
    """Delete what a closed account was told, and how. Twice changes nothing."""
    Notice.objects.filter(person=person_id).delete()
    NoticeAccount.objects.filter(person=person_id).delete()
