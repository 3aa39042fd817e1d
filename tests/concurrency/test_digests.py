"""A notice that is written while a mail is put together is in it, or another mail is due for it."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from oasst.accounts.models import User
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import digests, storing

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_notice_written_meanwhile_is_mailed_sometime(alice: User, settings: Any, monkeypatch: Any) -> None:
    settings.SENDS_MAIL = True
    now = timezone.now()
    store_level(alice, 2)
    NoticeAccount.objects.update(digest_due_at=now - timedelta(hours=1))
    mailer = threading.Thread(target=mail, args=[alice], daemon=True)
    schedule = storing._schedule_digests

    def mail_first(*args: Any) -> None:
        mailer.start()
        wait_until_done_or_blocked(mailer)
        schedule(*args)

    monkeypatch.setattr(storing, "_schedule_digests", mail_first)
    store_level(alice, 3)
    mailer.join(60)
    left = Notice.objects.filter(person=alice, mailed_at=None)
    assert not left or NoticeAccount.objects.get(person=alice).digest_due_at


def store_level(person: User, level: int) -> None:
    with transaction.atomic():
        storing.store([Notice(person=person, kind=Notice.Kind.LEVEL_REACHED, level=level)])


def mail(person: User) -> None:
    try:
        digests.mail_digest.run(str(person.pk))
    finally:
        connection.close()


def wait_until_done_or_blocked(thread: threading.Thread) -> None:
    end = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
