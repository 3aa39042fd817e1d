"""Mails with what people have not read: in the morning, each notice at most once, never to whom they do not reach."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client

from oasst.accounts import account_bans
from oasst.accounts.closing import close_account
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import choices, digests
from tests.clock import Clock, stopped_clock
from tests.factories import decide, new_prompt
from tests.site.notices.test_writing import read_all

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sends_mail(settings: Any) -> None:
    settings.SENDS_MAIL = True


@pytest.fixture
def morning() -> Iterator[Clock]:
    """Eight in the morning in UTC, where all people live."""
    with stopped_clock() as clock:
        clock.now = clock.now.replace(hour=8, minute=20) + timedelta(days=1)
        yield clock


def accept_one(person: User, text: str = "") -> None:
    decide(new_prompt(person, text))
    read_all()


def send_all() -> list[Any]:
    """Let the clock and the worker do their work; return the new mails."""
    mail.outbox.clear()
    digests.begin_digests()
    for job in WaitingJob.objects.filter(job=digests.mail_digest.name):
        digests.mail_digest.run(*job.args)
        job.delete()
    return list(mail.outbox)


class TestDigest:
    def test_it_works(self, alice: User, morning: Clock) -> None:
        accept_one(alice, "How do <I> bake?")
        (sent,) = send_all()
        assert sent.to == [alice.email]
        assert sent.subject == "What became of your text: 1 notice"
        assert "Your prompt was accepted.\n  How do <I> bake?\n" in sent.body and "first of these mails" in sent.body
        html, kind = sent.alternatives[0]
        assert kind == "text/html" and "How do &lt;I&gt; bake?" in html

    def test_one_click_ends_them(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        (sent,) = send_all()
        assert sent.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        link = sent.extra_headers["List-Unsubscribe"].strip("<>")
        assert link in sent.body
        Client().post("/" + link.split("://")[1].partition("/")[2], {"List-Unsubscribe": "One-Click"})
        accept_one(alice)
        morning.forward(timedelta(days=8))
        assert send_all() == []

    def test_weekly_and_daily(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        assert len(send_all()) == 1
        accept_one(alice)
        morning.forward(timedelta(days=1))
        assert send_all() == []
        morning.forward(timedelta(days=6))
        (second,) = send_all()
        assert "first of these mails" not in second.body
        choices.choose(alice.pk, kinds=["accepted"], digest="daily")
        accept_one(alice)
        morning.forward(timedelta(days=1))
        assert len(send_all()) == 1

    def test_in_the_morning_of_the_person(self, alice: User, morning: Clock) -> None:
        alice.time_zone = "Asia/Tokyo"
        alice.save()
        accept_one(alice)
        assert send_all() == []
        while morning.now.astimezone(ZoneInfo("Asia/Tokyo")).hour != 8:
            morning.forward(timedelta(hours=1))
        assert len(send_all()) == 1

    def test_nothing_unread_no_mail(self, alice: User, morning: Clock) -> None:
        assert send_all() == []
        accept_one(alice)
        choices.mark_read(alice.pk, newest=Notice.objects.get().pk)
        assert send_all() == []

    def test_nothing_true_no_mail(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        alice.messages.update(review_result=None)
        assert send_all() == []

    def test_banned_closed_and_unverified_people_get_none(self, alice: User, bob: User, carol: User, mo: User) -> None:
        with stopped_clock() as clock:
            clock.now = clock.now.replace(hour=8)
            for person in (alice, bob, carol):
                accept_one(person)
            account_bans.ban(alice, actor=mo, reason="Spam.")
            close_account(bob)
            carol.emailaddress_set.update(verified=False)  # type: ignore[attr-defined]
            assert send_all() == []

    def test_a_site_without_mail_claims_nothing(self, alice: User, morning: Clock, settings: Any) -> None:
        settings.SENDS_MAIL = False
        accept_one(alice)
        assert send_all() == [] and Notice.objects.get().mailed_at is None


class TestAtMostOnce:
    def test_a_worker_killed_between_claim_and_mail(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        with (
            mock.patch.object(EmailBackend, "send_messages", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            digests.mail_digest.run(str(alice.pk))
        assert Notice.objects.get().mailed_at is not None
        assert digests.mail_digest.run(str(alice.pk)) == 0 and mail.outbox == []

    def test_a_mail_server_that_is_away_costs_nothing(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        with mock.patch.object(EmailBackend, "open", side_effect=ConnectionRefusedError), pytest.raises(OSError):
            digests.mail_digest.run(str(alice.pk))
        assert Notice.objects.get().mailed_at is None
        assert len(send_all()) == 1

    def test_the_clock_twice_enqueues_once(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        digests.begin_digests()
        digests.begin_digests()
        assert WaitingJob.objects.filter(job=digests.mail_digest.name).count() == 1

    def test_an_account_without_a_row_gets_one(self, alice: User, morning: Clock) -> None:
        accept_one(alice)
        send_all()
        assert NoticeAccount.objects.get(person=alice).digest_at is not None
