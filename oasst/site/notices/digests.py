"""Digests: mails with what people have not read, in the morning of their own time zone.

A notice is in one mail at most: its row is claimed, and only then the mail is sent. So a worker that is killed between
the two loses the mail, and the notices stand on the page all the same. A mail server that cannot be reached costs
nothing, since the connection is opened before anything is claimed.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from oasst.core.after_commit import enqueue_once
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import queries
from oasst.site.notices.stop_links import stop_link
from oasst.site.notices.wording import Entry

Digest = NoticeAccount.Digest
MORNING = range(7, 11)  # hours of the person's day
# A little less than a day and a week: the clock looks once an hour.
PAUSES = {Digest.DAILY: timedelta(hours=20), Digest.WEEKLY: timedelta(days=6, hours=20)}
MOST = 50  # entries of one mail
PEOPLE_AT_ONCE = 500


def begin_digests(now: datetime | None = None) -> int:
    """Enqueue a mail for everybody whose digest is due; return how many. Running twice enqueues once."""
    if not settings.SENDS_MAIL:
        return 0
    now, begun = now or timezone.now(), 0
    unmailed = Notice.objects.filter(person=OuterRef("pk"), read_at=None, mailed_at=None)
    people = _reachable().filter(Exists(unmailed)).order_by("pk")
    for person in people.iterator(chunk_size=PEOPLE_AT_ONCE):
        if now.astimezone(user_zone(person)).hour in MORNING and _is_due(queries.account_of(person.pk), now):
            with transaction.atomic():
                enqueue_once(mail_digest, str(person.pk))
            begun += 1
    return begun


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
            return None
        unmailed = Notice.objects.filter(person=person_id, read_at=None, mailed_at=None)
        pks = list(unmailed.values_list("pk", flat=True))
        with timezone.override(user_zone(person)), translation.override(_language_of(person)):
            entries = queries.unmailed_entries(queries.valid_notices(person_id).filter(pk__in=pks))
            mail = _mail(person, account, entries) if entries else None
        Notice.objects.filter(pk__in=pks).update(mailed_at=now)
        if mail is None:
            return None
        account.digest_at = now
        account.save(update_fields=["digest_at"])
        return mail, len(pks)


def _reachable() -> Any:
    """Return the people whom a mail may be sent to: neither closed nor banned, with an address that is their own."""
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), email=OuterRef("email"), verified=True)
    return User.objects.filter(Exists(verified), is_active=True, enabled=True, deleted_at=None)


def _is_due(account: NoticeAccount, now: datetime) -> bool:
    """Return True if a mail is wanted now. The first one comes the next morning: it explains that there are more."""
    if account.digest == Digest.NONE:
        return False
    return account.digest_at is None or account.digest_at <= now - PAUSES[Digest(account.digest)]


def _mail(person: User, account: NoticeAccount, entries: list[Entry]) -> EmailMultiAlternatives:
    link = stop_link(person.pk)
    context = {
        "entries": entries[:MOST],
        "more": max(0, len(entries) - MOST),
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


def _language_of(person: User) -> str:
    codes = {code for code, _ in settings.LANGUAGES}
    return person.interface_language if person.interface_language in codes else settings.LANGUAGE_CODE
