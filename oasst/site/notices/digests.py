"""Digests: mails with what people have not read, in the morning of their own time zone.

A notice is in one mail at most: its row is claimed, and only then the mail is sent. So a worker that is killed between
the two loses the mail, and the notices stand on the page all the same. A mail server that cannot be reached costs
nothing, since the connection is opened before anything is claimed.
"""

from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from oasst.core.after_commit import enqueue_each_once
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import queries
from oasst.site.notices.mornings import PAUSES, is_morning, next_digest_at
from oasst.site.notices.stop_links import stop_link
from oasst.site.notices.wording import ABOUT_DECISIONS, Entry, language_of

Digest = NoticeAccount.Digest
MAX_ENTRIES = 50  # entries of one mail
PEOPLE_AT_ONCE = 500


def begin_digests(now: datetime | None = None) -> int:
    """Enqueue a mail for everybody whose digest is due; return how many. Running twice enqueues once.

    Costs by the mails that are due, not by people: one statement, and two or three for each `PEOPLE_AT_ONCE`.
    """
    if not settings.SENDS_MAIL:
        return 0
    now, begun = now or timezone.now(), 0
    accounts = _due_accounts(now).iterator(chunk_size=PEOPLE_AT_ONCE)
    while batch := list(islice(accounts, PEOPLE_AT_ONCE)):
        begun += _begin(batch, now)
    return begun


def _due_accounts(now: datetime) -> QuerySet[Any]:
    """Return the accounts whose mail is due, with their people and `reachable`."""
    due = NoticeAccount.objects.filter(digest_due_at__lte=now).select_related("person")
    due = due.annotate(reachable=Exists(_reachable().filter(pk=OuterRef("person"))))
    return due.order_by("digest_due_at", "person")


def _begin(accounts: list[Any], now: datetime) -> int:
    """Enqueue mails for those for whom it is morning, and set another time for the others; return how many mails."""
    ready, later = [], []
    for account in accounts:
        zone = user_zone(account.person)
        if account.reachable and is_morning(now, zone):
            ready.append([str(account.person_id)])
        else:  # they moved, no worker ran in the morning, or there is no address
            account.digest_due_at = next_digest_at(account, zone, now) if account.reachable else None
            later.append(account)
    with transaction.atomic(durable=True):
        if later:
            # In the order in which `storing.store` locks them.
            rows = NoticeAccount.objects.select_for_update(no_key=True).filter(pk__in=[one.pk for one in later])
            list(rows.order_by("person").values_list("pk"))
            NoticeAccount.objects.bulk_update(later, ["digest_due_at"])
        return enqueue_each_once(mail_digest, ready)


@shared_task
def mail_digest(person_id: str) -> int:
    """Mail one person what they have not read; return how many notices. Claims them first, so a second run sends
    nothing.
    """
    if not settings.SENDS_MAIL:
        return 0
    with get_connection() as connection:  # opened here: if that fails, nothing is claimed
        claimed = _claim(UUID(person_id), timezone.now())
        if claimed is None:
            return 0
        mail, number = claimed
        mail.connection = connection
        mail.send()
    return number


def _claim(person_id: UUID, now: datetime) -> tuple[EmailMultiAlternatives, int] | None:
    """Mark the person's unread notices as mailed and return the mail, or None if there is nothing to tell or no mail is
    wanted now.
    """
    with transaction.atomic(durable=True):
        NoticeAccount.objects.bulk_create([NoticeAccount(person_id=person_id)], ignore_conflicts=True)
        account = NoticeAccount.objects.select_for_update(no_key=True).get(person=person_id)
        person = _reachable().filter(pk=person_id).first()
        if person is None or not _is_due(account, now):
            account.digest_due_at = next_digest_at(account, user_zone(person), now) if person else None
            account.save(update_fields=["digest_due_at"])
            return None
        unmailed = Notice.objects.filter(person=person_id, read_at=None, mailed_at=None)
        pks = list(unmailed.values_list("pk", flat=True))
        with timezone.override(user_zone(person)), translation.override(language_of(person)):
            told = queries.valid_notices(person_id).filter(pk__in=pks)
            if not person.enabled:  # they cannot open the other pages
                told = told.filter(kind__in=ABOUT_DECISIONS)
            entries = queries.unmailed_entries(told)
            mail = _mail(person, account, entries) if entries else None
        Notice.objects.filter(pk__in=pks).update(mailed_at=now)
        account.digest_due_at = None  # until there is something to tell again
        if mail is not None:
            account.digest_at = now
        account.save(update_fields=["digest_at", "digest_due_at"])
        return (mail, len(pks)) if mail else None


def _reachable() -> Any:
    """Return the people whom a mail may be sent to: not closed, with an address that is their own. Suspended people
    hear only of decisions about their texts.
    """
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), email=OuterRef("email"), verified=True)
    return User.objects.filter(Exists(verified), is_active=True, deleted_at=None)


def _is_due(account: NoticeAccount, now: datetime) -> bool:
    """Return True if a mail is wanted now. The first one comes the next morning: it explains that there are more."""
    if account.digest == Digest.NONE:
        return False
    return account.digest_at is None or account.digest_at <= now - PAUSES[Digest(account.digest)]


def _mail(person: User, account: NoticeAccount, entries: list[Entry]) -> EmailMultiAlternatives:
    link = stop_link(person.pk)
    context = {
        "entries": entries[:MAX_ENTRIES],
        "more": max(0, len(entries) - MAX_ENTRIES),
        "is_first": account.digest_at is None,
        "digest": account.digest,
        "page_url": settings.PUBLIC_URL + reverse("notices"),
        "stop_url": link,
        "site_url": settings.PUBLIC_URL,
    }
    subject, text = (render_to_string(f"notices/email/digest_{part}.txt", context).strip() for part in _PARTS)
    mail = EmailMultiAlternatives(
        " ".join(subject.split()),
        f"{text}\n",
        None,
        [str(person.email)],
        headers={"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )
    mail.attach_alternative(render_to_string("notices/email/digest_message.html", context), "text/html")
    return mail


_PARTS = ("subject", "message")
