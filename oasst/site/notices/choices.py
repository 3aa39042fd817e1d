"""Changing how a person hears of notices. Each function is one transaction."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from oasst.core import ratelimit
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell
from oasst.site.notices.mornings import next_digest_at

Digest = NoticeAccount.Digest


@transaction.atomic
def choose(person_id: UUID, *, kinds: Collection[str], digest: str) -> None:
    """Store which kinds the person wants to be told of, and how often by mail. Raise Busy `rate_limited`."""
    ratelimit.count_use(ratelimit.PROFILE_CHANGES, person_id)
    account = _locked_account(person_id)
    account.muted = [kind for kind in Notice.Kind.values if kind not in kinds]
    account.digest = digest
    person = User.objects.only("time_zone").get(pk=person_id)
    account.digest_due_at = next_digest_at(account, user_zone(person), timezone.now())
    account.save(update_fields=["muted", "digest", "digest_due_at"])


@transaction.atomic
def stop_mails(person_id: UUID) -> None:
    """Send no digests from now on. Twice changes nothing."""
    account = _locked_account(person_id)
    account.digest, account.digest_due_at = Digest.NONE, None
    account.save(update_fields=["digest", "digest_due_at"])


@transaction.atomic
def mark_read(person_id: UUID, *, newest: int) -> None:
    """Mark the person's notices up to this id as read. What came since stays unread."""
    unread = Notice.objects.filter(person=person_id, read_at=None, pk__lte=newest)
    unread.update(read_at=timezone.now())
    bell.changed([person_id])


@transaction.atomic
def forget_person(person_id: UUID) -> None:
    """Delete what a closed account was told, and how. Twice changes nothing."""
    Notice.objects.filter(person=person_id).delete()
    NoticeAccount.objects.filter(person=person_id).delete()


def _locked_account(person_id: UUID) -> NoticeAccount:
    """Return the person's row, which is created if there is none, locked until the transaction ends."""
    NoticeAccount.objects.bulk_create([NoticeAccount(person_id=person_id)], ignore_conflicts=True)
    return NoticeAccount.objects.select_for_update(no_key=True).get(person=person_id)
