"""Storing notices: the one place where rows are made, so that each kind follows the same rules."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import bell
from oasst.site.notices.mornings import next_digest_at


def store(notices: Iterable[Notice]) -> list[Notice]:
    """Store these notices, except those about own acts, those that their person muted, and those of closed accounts.

    What is stored already stays as it is. Open pages are woken after the commit, and the next mail is scheduled. Needs
    an open transaction; four statements at most. Return what was to be stored, with what was stored before.
    """
    wanted = [one for one in notices if one.happening is None or one.happening.actor_id != one.person_id]
    if not wanted:
        return []
    present = User.objects.filter(pk__in={one.person_id for one in wanted}, is_active=True, deleted_at=None)
    people = {person.pk: person for person in present.only("time_zone")}
    # Locked: a mail that is put together meanwhile has these notices too, or leaves them to the mail set below.
    rows = NoticeAccount.objects.select_for_update(no_key=True).filter(person__in=people).order_by("person")
    accounts = {account.person_id: account for account in rows}
    kept = [
        one
        for one in wanted
        if one.person_id in people and one.kind not in accounts.get(one.person_id, NoticeAccount()).muted
    ]
    Notice.objects.bulk_create(kept, ignore_conflicts=True)
    _schedule_digests({one.person_id for one in kept}, people, accounts, timezone.now())
    bell.changed(one.person_id for one in kept)
    return kept


def take_back(happening_ids: Iterable[int]) -> None:
    """Delete unread notices of what was undone. What somebody has read, or was mailed, stays.

    Needs an open transaction; two statements at most.
    """
    ids = list(happening_ids)
    if ids:
        unread = Notice.objects.filter(happening__in=ids, read_at=None, mailed_at=None)
        people = set(unread.values_list("person", flat=True))
        unread.delete()
        bell.changed(people)


def _schedule_digests(
    person_ids: set[UUID], people: dict[Any, User], accounts: dict[Any, NoticeAccount], now: datetime
) -> None:
    """Set when the next mail is due, for those who wait for none yet."""
    due = []
    for person_id in sorted(person_ids):
        account = accounts.get(person_id) or NoticeAccount(person_id=person_id)
        if account.digest_due_at is None:
            account.digest_due_at = next_digest_at(account, user_zone(people[person_id]), now)
            if account.digest_due_at is not None:
                due.append(account)
    NoticeAccount.objects.bulk_create(
        due, update_conflicts=True, unique_fields=["person"], update_fields=["digest_due_at"]
    )
