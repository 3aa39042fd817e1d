"""The page of notices, its settings, the bell, and the link that stops mails."""

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts import account_bans
from oasst.accounts.models import User
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices import choices, queries
from oasst.site.notices.stop_links import stop_link
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply
from tests.site.notices.test_writing import read_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def levels_of(person: User, number: int) -> None:
    Notice.objects.bulk_create([Notice(person=person, kind="level_reached", level=n + 2) for n in range(number)])


class TestPage:
    def test_it_works(self, alice: User, bob: User, page: Client) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob, "Bake it & wait.")
        decide(reply)
        read_all()
        response = page.get("/me/notices/")
        assert response.status_code == 200
        html = response.content.decode()
        assert "Your text has a new reply." in html and "Bake it &amp; wait." in html
        assert f'href="/messages/{reply.pk}/#message-{reply.pk}"' in html
        assert html.count("data-unread") == 2

    def test_strangers_see_nothing_of_it(self, alice: User, eve: User) -> None:
        levels_of(alice, 1)
        assert Client().get("/me/notices/").status_code == 302
        stranger = Client()
        stranger.force_login(eve)
        assert "level 2" not in stranger.get("/me/notices/").content.decode()
        stranger.post("/me/notices/read/", {"newest": 10**9})
        assert Notice.objects.get().read_at is None

    def test_a_text_that_nobody_may_read_is_not_quoted(self, alice: User, page: Client) -> None:
        prompt = new_prompt(alice, "A secret word")
        decide(prompt)
        read_all()
        prompt.refresh_from_db()
        prompt.hidden = True
        prompt.save(update_fields=["hidden"])
        html = page.get("/me/notices/").content.decode()
        assert "A secret word" not in html and "Your prompt was accepted." in html

    def test_looking_writes_nothing_and_the_button_marks_what_was_seen(self, alice: User, page: Client) -> None:
        levels_of(alice, 2)
        with CaptureQueriesContext(connection) as captured:
            page.get("/me/notices/")
        assert not [q for q in captured if "site_notice" in q["sql"] and not q["sql"].startswith("SELECT")]
        first = Notice.objects.earliest("pk")
        assert page.post("/me/notices/read/", {"newest": first.pk})["Location"] == "/me/notices/"
        assert Notice.objects.filter(read_at=None).count() == 1
        cache.clear()
        script = page.post("/me/notices/read/", {"newest": 10**9}, headers={"X-Requested-With": "fetch"})
        assert script.json() == {"unread": 0}

    def test_pages(self, alice: User, page: Client) -> None:
        levels_of(alice, 45)
        seen: list[int] = []
        before = ""
        while True:
            chunk = queries.page_of(alice.pk, before=before)
            seen += [int(entry.text.split()[-1].rstrip(".")) for entry in chunk.entries]
            if chunk.older is None:
                break
            before = str(chunk.older)
        assert seen == list(range(46, 1, -1))
        back = queries.page_of(alice.pk, after=str(chunk.newer))
        assert (len(back.entries), back.older is not None) == (20, True)
        assert page.get("/me/notices/?before=x").status_code == 400

    def test_ten_times_the_rows_cost_no_more_statements(self, alice: User, page: Client) -> None:
        counts, prompt = [], growing_tree(alice)
        for number in (2, 20):
            Notice.objects.all().delete()
            for _ in range(number // 2):
                decide(new_prompt(alice))
            decide(new_reply(prompt, new_person("B")))
            read_all()
            page.get("/me/notices/")
            with CaptureQueriesContext(connection) as captured:
                page.get("/me/notices/")
            counts.append(len(captured))
        assert counts[1] <= counts[0] <= 12


class TestBell:
    def render(self, **context: Any) -> str:
        return Template('{% include "fragments/bell.html" %}').render(Context(context))

    def test_it_says_how_many_are_unread(self, alice: User) -> None:
        levels_of(alice, 1)
        assert "1 unread" in " ".join(self.render(user=alice).split())
        assert "99+" in self.render(user=alice, unread_notices=100)

    def test_nothing_unread_shows_no_number(self, alice: User) -> None:
        assert "data-bell-count" not in self.render(user=alice)


class TestSettings:
    def test_kinds_and_digest(self, alice: User, page: Client, settings: Any) -> None:
        settings.SENDS_MAIL = True
        page.post("/me/notices/settings/", {"kinds": ["answered"], "digest": "daily"})
        account = NoticeAccount.objects.get(person=alice)
        assert (account.digest, "accepted" in account.muted, "answered" in account.muted) == ("daily", True, False)
        assert 'value="daily" required id="id_digest_1" checked' in page.get("/me/notices/").content.decode()

    def test_a_site_without_mail_asks_nothing_about_mail(self, alice: User, page: Client, settings: Any) -> None:
        settings.SENDS_MAIL = False
        assert "By mail" not in page.get("/me/notices/").content.decode()
        page.post("/me/notices/settings/", {"kinds": ["answered"]})
        assert NoticeAccount.objects.get(person=alice).digest == "weekly"

    def test_a_kind_that_does_not_exist(self, alice: User, page: Client) -> None:
        page.post("/me/notices/settings/", {"kinds": ["gossip"]})
        assert not NoticeAccount.objects.exists()


class TestStopLink:
    def path(self, person: User) -> str:
        return stop_link(person.pk).split("://", 1)[1].partition("/")[2].join(["/", ""])

    def test_one_click_without_a_sign_in(self, alice: User) -> None:
        path = self.path(alice)
        client = Client(enforce_csrf_checks=True)  # mail programs have no token
        assert client.get(path).status_code == 200
        assert not NoticeAccount.objects.exists()
        response = client.post(path, {"List-Unsubscribe": "One-Click"})
        assert response.status_code == 200
        assert NoticeAccount.objects.get(person=alice).digest == "none"
        assert "alice" not in response.content.decode().lower()

    def test_a_forged_link_stops_nothing(self, alice: User) -> None:
        for path in (f"{self.path(alice)}x", "/notices/stop/?key=", "/notices/stop/"):
            assert Client().post(path).status_code == 410
        assert not NoticeAccount.objects.exists()

    def test_a_suspended_person_can_use_it(self, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam.")
        client = Client()
        client.force_login(alice)
        client.post(self.path(alice))
        assert NoticeAccount.objects.get(person=alice).digest == "none"

    def test_other_choices_stay(self, alice: User) -> None:
        choices.choose(alice.pk, kinds=["answered"], digest="daily")
        Client().post(self.path(alice))
        assert "accepted" in NoticeAccount.objects.get(person=alice).muted


def test_times_are_marked_when_read(alice: User) -> None:
    levels_of(alice, 1)
    choices.mark_read(alice.pk, newest=Notice.objects.get().pk)
    read_at = Notice.objects.get().read_at
    assert read_at is not None and read_at <= timezone.now()
