"""Suspensions until a date: what the person sees, how they end, and how they are changed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, appeals, closing, suspensions
from oasst.accounts.jobs import mail_about_ban
from oasst.accounts.models import Ban, SuspendedIdentity, User
from oasst.core.errors import Conflict, Invalid
from oasst.core.models import WaitingJob
from oasst.site import purging
from oasst.site.schedules import lift_ended_suspensions
from tests.factories import PASSWORD, new_person
from trees.moderation import bans

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def ban(user: User, mo: User, until: datetime | None) -> None:
    bans.ban(user, actor=mo, reason="Copied a novel.", until=until)
    user.refresh_from_db()


def let_it_be_over(user: User) -> None:
    past = timezone.now() - timedelta(minutes=1)
    User.objects.filter(pk=user.pk).update(banned_until=past)
    Ban.objects.filter(user=user).update(until=past)


class TestSeeing:
    def test_until_when_in_ones_own_time_zone(self, client: Client, alice: User, mo: User) -> None:
        User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
        ban(alice, mo, timezone.now().replace(year=timezone.now().year + 1, month=5, day=3, hour=20, minute=30))
        client.force_login(alice)
        page = client.get("/suspended/").text
        assert "May 4" in page and "5:30" in page and "Asia/Tokyo" in page
        assert client.get("/dashboard/")["Location"] == "/suspended/"

    def test_earlier_appeals(self, client: Client, alice: User, mo: User) -> None:
        ban(alice, mo, None)
        appeals.refuse(appeals.appeal(alice, "It was my own novel.").pk, actor=mo, answer="It was not.")
        bans.unban(alice, actor=mo, reason="Enough.")
        ban(alice, mo, timezone.now() + WEEK)
        client.force_login(alice)
        page = client.get("/suspended/").text
        assert "Your earlier appeals" in page and "It was my own novel." in page and "It was not." in page
        assert 'action="/suspended/appeal/"' in page

    def test_it_is_mailed_once(self, alice: User, mo: User) -> None:
        ban(alice, mo, timezone.now() + WEEK)
        mail.outbox.clear()
        Ban.objects.update(mailed=False)
        row = Ban.objects.get()
        assert [mail_about_ban(row.pk) for _ in range(2)] == [True, False]
        (sent,) = mail.outbox
        assert sent.to == [alice.email] and "Copied a novel." in sent.body and "/suspended/" in sent.body
        assert "suspended until" in sent.body and "Mo" not in sent.body.replace("Moderator", "")

    def test_no_mail_about_what_was_lifted(self, alice: User, mo: User) -> None:
        ban(alice, mo, None)
        Ban.objects.update(mailed=False)
        bans.unban(alice, actor=mo, reason="A slip.")
        mail.outbox.clear()
        assert not mail_about_ban(Ban.objects.get().pk) and not mail.outbox


class TestEnding:
    def test_by_the_clock(self, alice: User, bob: User, mo: User) -> None:
        ban(alice, mo, timezone.now() + WEEK)
        ban(bob, mo, None)
        assert lift_ended_suspensions() == 0
        appeal = appeals.appeal(alice, "It was me.")
        let_it_be_over(alice)
        WaitingJob.objects.all().delete()
        assert [lift_ended_suspensions() for _ in range(2)] == [1, 0]
        alice.refresh_from_db()
        appeal.refresh_from_db()
        assert alice.enabled and alice.banned_until is None and appeal.status == "granted"
        row = alice.bans.get()
        assert (row.lift_reason, row.lifted_by) == (account_bans.OVER, None)
        assert WaitingJob.objects.filter(job="trees.jobs.follow_standing", args=[str(alice.pk)]).exists()
        assert not SuspendedIdentity.objects.filter(user=alice).exists()

    def test_by_a_sign_in(self, client: Client, alice: User, mo: User) -> None:
        ban(alice, mo, timezone.now() + WEEK)
        let_it_be_over(alice)
        response = client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD, "next": "/dashboard/"})
        assert response["Location"] == "/dashboard/" and client.get("/dashboard/").status_code == 200

    def test_not_while_what_they_gave_is_purged(self, alice: User, mo: User) -> None:
        ban(alice, mo, timezone.now() + WEEK)
        purge = purging.start_purge(user=alice, actor=mo, reason="All of it.")
        let_it_be_over(alice)
        User.objects.filter(pk=alice.pk).update(banned_until=None)
        assert lift_ended_suspensions() == 0
        purging.undo_purge(purge_id=purge.pk, actor=mo, reason="Not all.")
        purging.go_on_with_purge(str(purge.pk))
        assert lift_ended_suspensions() == 1

    def test_a_closed_account_may_come_back_after_it(self, alice: User, mo: User) -> None:
        address = alice.email or ""
        ban(alice, mo, timezone.now() + WEEK)
        closing.close_account(alice)
        name = suspensions.address_name(address)
        found = suspensions.find_suspension([name])
        assert found is not None
        back = new_person("Back")
        account_bans.suspend_if_returning(back, [name])
        assert back.banned_until == found.until
        SuspendedIdentity.objects.update(until=timezone.now())
        assert suspensions.find_suspension([name]) is None


class TestChanging:
    def test_longer_shorter_and_for_good(self, alice: User, mo: User) -> None:
        now = timezone.now()
        for until in (now + WEEK, now + 2 * WEEK, now + timedelta(days=1), None):
            ban(alice, mo, until)
            assert alice.banned_until == until
            assert set(SuspendedIdentity.objects.filter(user=alice).values_list("until", flat=True)) == {until}
        assert alice.bans.count() == 4
        Ban.objects.exclude(until=None).update(until=now)
        assert lift_ended_suspensions() == 0, "the newest is for good"
        alice.refresh_from_db()
        assert not alice.enabled

    @pytest.mark.parametrize("days", [0, -1, 4000])
    def test_a_date_that_is_not_meant(self, alice: User, mo: User, days: int) -> None:
        with pytest.raises(Invalid):
            ban(alice, mo, timezone.now() + timedelta(days=days))
        alice.refresh_from_db()
        assert alice.enabled

    def test_not_for_administrators(self) -> None:
        ida, ivo = (new_person(name, "admin") for name in ("Ida", "Ivo"))
        with pytest.raises(Conflict):
            ban(ida, ivo, timezone.now() + WEEK)


@pytest.mark.parametrize(
    ("sent", "days"), [({"until": "7"}, 7), ({"until": ""}, None), ({}, None), ({"until": "1"}, 1)]
)
def test_in_the_admin(alice: User, mo: User, sent: dict[str, Any], days: int | None) -> None:
    desk = Client()
    desk.force_login(mo)
    assert "A suspension lasts" in desk.get(f"/admin/accounts/user/{alice.pk}/change/").text
    data = {"action": "ban", "reason": "Spam.", "_selected_action": str(alice.pk), **sent}
    assert "suspended." in desk.post("/admin/accounts/user/", data, follow=True).text
    alice.refresh_from_db()
    assert (None if alice.banned_until is None else (alice.banned_until - timezone.now()).days + 1) == days


def test_a_date_in_the_admin(alice: User, mo: User) -> None:
    desk = Client()
    desk.force_login(mo)
    day = (timezone.now() + timedelta(days=3)).date()
    data = {"action": "ban", "reason": "Spam.", "_selected_action": str(alice.pk), "until": "date"}
    for wrong in ("", "tomorrow", "9999-12-31", "2020-01-01"):
        desk.post("/admin/accounts/user/", {**data, "until_date": wrong}, follow=True)
    alice.refresh_from_db()
    assert alice.enabled
    desk.post("/admin/accounts/user/", {**data, "until_date": day.isoformat()}, follow=True)
    alice.refresh_from_db()
    assert alice.banned_until is not None and alice.banned_until.date() == day + timedelta(days=1)
