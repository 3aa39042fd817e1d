"""Appeals of suspended people: what they send and see, how moderators answer, and that an answer is mailed once."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, appeals, closing
from oasst.accounts.jobs import mail_about_appeal
from oasst.accounts.models import Appeal, User
from oasst.core.errors import Conflict, Invalid, NotAllowed
from oasst.site.overview.queues import read_waiting
from tests.concurrency.together import at_once
from tests.factories import new_person
from trees.moderation import bans

pytestmark = pytest.mark.django_db
WORDS = "Those eleven answers were mine.\nI can show my notes."


@pytest.fixture
def banned(alice: User, mo: User) -> User:
    account_bans.ban(alice, actor=mo, reason="Copied a novel.")
    return alice


@pytest.fixture
def browser(client: Client, banned: User) -> Client:
    client.force_login(banned)
    return client


@pytest.fixture
def desk(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


def act(desk: Client, name: str, appeal: Appeal, answer: str) -> str:
    data = {"action": name, "reason": answer, "_selected_action": str(appeal.pk)}
    return desk.post("/admin/accounts/appeal/", data, follow=True).text


class TestSending:
    def test_it_works(self, browser: Client, banned: User) -> None:
        page = browser.get("/suspended/").text
        assert "Copied a novel." in page and 'action="/suspended/appeal/"' in page
        assert browser.post("/suspended/appeal/", {"text": WORDS})["Location"] == "/suspended/"
        appeal = Appeal.objects.get(user=banned)
        assert (appeal.text, appeal.status) == (WORDS, "open")
        page = browser.get("/suspended/").text
        assert "Waiting for an answer" in page and "I can show my notes." in page
        assert 'action="/suspended/appeal/"' not in page

    def test_one_at_a_time(self, browser: Client) -> None:
        for _ in range(2):
            browser.post("/suspended/appeal/", {"text": WORDS})
        assert Appeal.objects.count() == 1
        assert "waiting for an answer already" in browser.get("/suspended/").text

    def test_without_words_it_is_not_sent(self, browser: Client) -> None:
        response = browser.post("/suspended/appeal/", {"text": "  "})
        assert response.status_code == 422 and "id_text_error" in response.text
        long = browser.post("/suspended/appeal/", {"text": "x" * 2001})
        assert long.status_code == 422 and "x" * 2001 in long.text
        assert not Appeal.objects.exists()

    def test_it_is_limited(self, browser: Client, banned: User, settings: Any) -> None:
        settings.RATE_LIMITS, settings.LIMITS = True, {"appeal": "1 per hour"}
        browser.post("/suspended/appeal/", {"text": WORDS})
        assert browser.post("/suspended/appeal/", {"text": WORDS}).status_code == 429

    def test_only_for_the_suspended(self, client: Client, bob: User) -> None:
        assert client.post("/suspended/appeal/", {"text": WORDS})["Location"].startswith("/accounts/login/")
        client.force_login(bob)
        assert client.post("/suspended/appeal/", {"text": WORDS})["Location"] == "/dashboard/"
        with pytest.raises(Conflict, match="not suspended"):
            appeals.appeal(bob, WORDS)
        assert not Appeal.objects.exists()

    def test_it_goes_with_the_account(self, banned: User) -> None:
        appeals.appeal(banned, WORDS)
        closing.close_account(banned)
        assert not Appeal.objects.exists()


class TestAnswering:
    def test_lifting_the_suspension(self, browser: Client, banned: User, desk: Client, mo: User) -> None:
        browser.post("/suspended/appeal/", {"text": WORDS})
        appeal = Appeal.objects.get()
        assert "appeal" in desk.get("/admin/").text
        page = desk.get(f"/admin/accounts/appeal/{appeal.pk}/change/").text
        assert "Copied a novel." in page and "I can show my notes." in page and "Mo" in page
        assert "may take part again" in act(desk, "grant", appeal, "Sorry, our mistake.")
        appeal.refresh_from_db()
        assert (appeal.status, appeal.answer, appeal.decided_by) == ("granted", "Sorry, our mistake.", mo)
        assert browser.get("/dashboard/").status_code == 200
        assert banned.bans.get().lift_reason == "Sorry, our mistake."

    @pytest.mark.django_db(transaction=True)
    def test_another_moderator_was_quicker(self, banned: User, desk: Client, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        appeals.refuse(appeal.pk, actor=mo, answer="No.")
        assert "may take part again" not in act(desk, "grant", appeal, "Sorry.")
        banned.refresh_from_db()
        assert not banned.enabled

    def test_letting_it_stay(self, browser: Client, banned: User, desk: Client) -> None:
        browser.post("/suspended/appeal/", {"text": WORDS})
        assert "it stays as it is" in act(desk, "refuse", Appeal.objects.get(), "Word for word a chatbot's.")
        page = browser.get("/suspended/").text
        assert "Your suspension stays" in page and "Word for word a chatbot" in page
        assert "You can appeal again from" in page and 'action="/suspended/appeal/"' not in page
        browser.post("/suspended/appeal/", {"text": WORDS})
        assert Appeal.objects.count() == 1
        Appeal.objects.update(decided_at=timezone.now() - appeals.AGAIN_AFTER)
        browser.post("/suspended/appeal/", {"text": "Once more."})
        assert Appeal.objects.count() == 2

    def test_a_ban_that_ends_otherwise_ends_the_appeal(self, banned: User, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        account_bans.unban(banned, actor=mo, reason="A mistake of mine.")
        appeal.refresh_from_db()
        assert (appeal.status, appeal.answer) == ("granted", "A mistake of mine.")

    def test_a_later_suspension_starts_afresh(self, banned: User, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        appeals.refuse(appeal.pk, actor=mo, answer="No.")
        account_bans.unban(banned, actor=mo, reason="Enough.")
        account_bans.ban(banned, actor=mo, reason="Again.")
        assert appeals.latest_appeal(banned) is None
        appeals.appeal(banned, "That was not me.")

    def test_another_reason_keeps_the_appeal(self, banned: User, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        account_bans.ban(banned, actor=mo, reason="Copied two novels.")
        assert appeals.latest_appeal(banned) == appeal

    def test_refusals_change_nothing(self, banned: User, mo: User, bob: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        with pytest.raises(NotAllowed):
            appeals.refuse(appeal.pk, actor=bob, answer="No.")
        with pytest.raises(Invalid):
            appeals.refuse(appeal.pk, actor=mo, answer=" ")
        moderator = new_person("Moritz", "moderator")
        Appeal.objects.filter(pk=appeal.pk).update(user=moderator)
        with pytest.raises(NotAllowed):
            appeals.refuse(appeal.pk, actor=mo, answer="No.")
        appeal.refresh_from_db()
        assert appeal.status == "open"

    def test_two_moderators_at_once(self, banned: User, desk: Client, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        appeals.refuse(appeal.pk, actor=mo, answer="No.")
        assert "was answered already" in act(desk, "grant", appeal, "Yes.")
        banned.refresh_from_db()
        assert not banned.enabled

    def test_of_an_administrator_another_one_must_agree(self, desk: Client) -> None:
        ida, ivo, ian = (new_person(name, "admin") for name in ("Ida", "Ivo", "Ian"))
        account_bans.apply_ban(ida, actor=None, reason="A test.")
        appeal = appeals.appeal(ida, WORDS)
        assert not bans.unban(ida, actor=ivo, reason="Come back.")
        appeal.refresh_from_db()
        assert appeal.status == "open"
        assert bans.unban(ida, actor=ian, reason="Come back.")
        appeal.refresh_from_db()
        assert appeal.status == "granted"


class TestMail:
    def test_the_answer_is_mailed_once(self, banned: User, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        assert not mail_about_appeal(str(appeal.pk)), "there is no answer yet"
        appeals.refuse(appeal.pk, actor=mo, answer="Word for word a chatbot's.")
        mail.outbox.clear()
        Appeal.objects.update(mailed=False)
        assert [mail_about_appeal(str(appeal.pk)) for _ in range(2)] == [True, False]
        (sent,) = mail.outbox
        assert sent.to == [banned.email] and "Word for word a chatbot's." in sent.body and "/suspended/" in sent.body

    def test_granted(self, banned: User, mo: User) -> None:
        appeal = appeals.appeal(banned, WORDS)
        account_bans.unban(banned, actor=mo, reason="Sorry.")
        mail.outbox.clear()
        Appeal.objects.update(mailed=False)
        assert mail_about_appeal(str(appeal.pk))
        assert "no longer suspended" in mail.outbox[0].body and "Sorry." in mail.outbox[0].body


def test_the_queue_says_how_long_the_oldest_waits(banned: User) -> None:
    appeals.appeal(banned, WORDS)
    Appeal.objects.update(created_at=timezone.now() - timedelta(days=3))
    waiting = read_waiting()["appeal"]
    assert waiting.number == 1 and waiting.oldest and waiting.oldest < timezone.now() - timedelta(days=2)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_stored() -> None:
    dora = new_person("Dora")
    with transaction.atomic():
        account_bans.apply_ban(dora, actor=None, reason="A test.")
    results = at_once([partial(appeals.appeal, User.objects.get(pk=dora.pk), WORDS) for _ in range(4)])
    assert sum(isinstance(result, Appeal) for result in results) == Appeal.objects.count() == 1
    assert sum(isinstance(result, Conflict) for result in results) == 3
