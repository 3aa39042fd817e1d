"""The list of a user's own sessions, and ending them."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from oasst.accounts.authentication import program_sessions, sessions
from oasst.accounts.models import Session, Token, User
from oasst.accounts.tokens import create_token
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"


def sign_in(person: User, agent: str = FIREFOX, address: str = "203.0.113.77") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert client.session["_auth_user_id"] == str(person.pk)
    return client


def is_in(client: Client) -> bool:
    return client.get("/me/").status_code == 200


def handles(page: str) -> list[str]:
    return re.findall(r"/me/sessions/(\w+)/end/", page)


class TestList:
    def test_it_works(self, alice: User, bob: User) -> None:
        here = sign_in(alice)
        sign_in(alice, EDGE, "198.51.100.4")
        sign_in(alice, SAFARI, "2001:db8:1:2::3")
        sign_in(bob, "curl/8")
        page = here.get("/me/sessions/").text
        for words in ("Firefox on Linux", "Edge on Windows", "Safari on iPhone", "203.0.113.x", "2001:db8:1::"):
            assert words in page
        times = re.findall(
            r"Sign out<span[^>]*> \w+ on \w+, \S+, \w+\.? \d+, \d{4}, "
            r"(?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight)</span>",
            page,
        )
        assert len(times) == 2, "two of one day are told apart"
        assert "curl" not in page and page.count("this one") == 1 and len(handles(page)) == 2

    def test_nothing_on_it_opens_a_session(self, alice: User) -> None:
        here, there = sign_in(alice), sign_in(alice, EDGE)
        page = here.get("/me/sessions/").text
        for client in (here, there):
            assert str(client.session.session_key) not in page
        assert "203.0.113.77" not in page

    def test_it_is_no_place_for_strangers_and_is_not_kept(self, client: Client, alice: User) -> None:
        assert client.get("/me/sessions/")["Location"].startswith("/accounts/login/")
        assert "no-store" in sign_in(alice).get("/me/sessions/")["Cache-Control"]

    def test_names_of_browsers_are_shown_as_text(self, alice: User) -> None:
        here = sign_in(alice, "<script>alert(1)</script>")
        assert "<script>alert(1)" not in here.get("/me/sessions/").text

    def test_a_visit_is_written_down_once_an_hour(self, alice: User) -> None:
        here = sign_in(alice)
        session = here.session
        session["browser"] = {**session["browser"], "seen": time.time() - 2 * sessions.VISIT_INTERVAL}
        session.save()
        here.get("/me/")
        first = here.session["browser"]["seen"]
        assert time.time() - first < 60
        here.get("/me/")
        assert here.session["browser"]["seen"] == first


class TestRenewal:
    @pytest.mark.parametrize("path", ["/me/", "/terms/", "/accounts/email/", "/admin/login/", "/tasks/preview/"])
    def test_a_session_in_use_does_not_end(self, alice: User, settings: Any, path: str) -> None:
        here = sign_in(alice)
        session = here.session
        session["browser"] = {**session["browser"], "seen": time.time() - 2 * sessions.VISIT_INTERVAL}
        session.save()
        soon = timezone.now() + timedelta(hours=1)
        Session.objects.update(expire_date=soon)
        answer = here.get(path)
        assert answer.cookies["sessionid"]["max-age"] == settings.SESSION_COOKIE_AGE
        assert Session.objects.get().expire_date > soon + timedelta(days=13)

    def test_once_an_hour_and_nothing_in_between(self, alice: User, django_assert_num_queries: Any) -> None:
        here = sign_in(alice)
        here.get("/me/")
        with django_assert_num_queries(1):  # the user
            answer = here.get("/me/")
        assert "sessionid" not in answer.cookies


class TestEnding:
    def test_one(self, alice: User) -> None:
        here, lost, kept = sign_in(alice), sign_in(alice, EDGE), sign_in(alice, SAFARI)
        name = handles(here.get("/me/sessions/").text)
        assert len(name) == 2
        edge = next(
            one.handle
            for one in (sessions._own(row, False) for row in Session.objects.all())
            if one.program == "Edge on Windows"
        )
        assert "That browser is signed out." in here.post(f"/me/sessions/{edge}/end/", follow=True).text
        assert (is_in(here), is_in(lost), is_in(kept)) == (True, False, True)
        assert "signed out already" in here.post(f"/me/sessions/{edge}/end/", follow=True).text

    def test_nothing_to_end(self, alice: User) -> None:
        here = sign_in(alice)
        page = here.get("/me/sessions/").text
        assert "You are signed in nowhere else." in page and "end-others" not in page
        sign_in(alice, EDGE)
        assert "end-others" in here.get("/me/sessions/").text

    def test_nobody_ends_those_of_others(self, alice: User, eve: User) -> None:
        here, evil = sign_in(alice), sign_in(eve)
        sign_in(alice, EDGE)
        for handle in handles(here.get("/me/sessions/").text):
            evil.post(f"/me/sessions/{handle}/end/")
        assert Session.objects.filter(account=alice.pk).count() == 2

    def test_all_others(self, alice: User, bob: User) -> None:
        here, there, bobs = sign_in(alice), sign_in(alice, EDGE), sign_in(bob)
        program_sessions.sign_in(alice, provider="debug")
        create_token(alice, name="server", days=None)
        here.post("/me/sessions/end-others/")
        assert (is_in(here), is_in(there), is_in(bobs)) == (True, False, True)
        assert program_sessions.count_of(alice) == 0
        assert Token.objects.filter(user=alice).exists()

    @pytest.mark.parametrize("url", ["/me/sessions/end-others/", "/me/sessions/abc/end/"])
    def test_reading_ends_nothing(self, alice: User, url: str) -> None:
        assert sign_in(alice).get(url).status_code == 405

    def test_a_new_password_ends_all_others(self, alice: User) -> None:
        here, there = sign_in(alice), sign_in(alice, EDGE)
        program_sessions.sign_in(alice, provider="debug")
        new = "a new and long password"
        sent: dict[str, Any] = {"oldpassword": PASSWORD, "password1": new, "password2": new}
        here.post("/accounts/password/change/", sent)
        assert (is_in(here), is_in(there)) == (True, False)
        assert Session.objects.filter(account=alice.pk).count() == 1
        assert program_sessions.count_of(alice) == 0
