"""The pages for access, terms, profile, and deleting the account."""

import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.test import Client

from oasst import asgi
from oasst.accounts import account_bans, profiles, registration
from oasst.accounts.documents import PRIVACY, TERMS
from oasst.accounts.models import Consent, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def newcomer(db: None) -> User:
    """A signed-in user who has not accepted the terms."""
    return registration.create_user(email="new@example.org", display_name="Newcomer")


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def signed_in(client: Client) -> bool:
    return SESSION_KEY in client.session


class TestGate:
    def test_it_sends_to_the_terms_and_back(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.get("/me/?tab=1")
        assert response["Location"] == "/terms/accept/?next=%2Fme%2F%3Ftab%3D1"
        page = client.get(response["Location"])
        assert TERMS.summary[0] in page.text
        assert 'value="/me/?tab=1"' in page.text
        response = client.post("/terms/accept/", {"version": TERMS.version, "next": "/me/?tab=1"})
        assert response["Location"] == "/welcome/?next=%2Fme%2F%3Ftab%3D1"
        assert 'href="/me/?tab=1" data-testid="skip-onboarding"' in client.get(response["Location"]).text
        assert client.get("/me/").status_code == 200

    @pytest.mark.parametrize("path", ["/terms/", "/privacy/", "/me/delete/", "/accounts/logout/", "/healthz"])
    def test_open_without_terms(self, client: Client, newcomer: User, path: str) -> None:
        client.force_login(newcomer)
        assert client.get(path).status_code == 200

    def test_nobody_says_where_the_site_begins(self, client: Client, newcomer: User, monkeypatch: Any) -> None:
        """`Daphne-Root-Path: /accounts` made a page for contributors look like an open one."""
        client.force_login(newcomer)
        response = client.get("/me/", SCRIPT_NAME="/accounts")
        assert response.status_code == 302 and "/terms/accept/" in response["Location"]

        seen: list[str] = []

        async def pages(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["root_path"])

        monkeypatch.setattr(asgi, "_django", pages)
        async_to_sync(asgi.application)({"type": "http", "path": "/accounts/me/", "root_path": "/accounts"}, None, None)
        assert seen == [""]

    def test_strangers_pass(self, client: Client) -> None:
        assert client.get("/").status_code == 200

    def test_newer_terms_ask_again(self, browser: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(terms_version="0")
        assert browser.get("/me/")["Location"].startswith("/terms/accept/")

    def test_whoever_agreed_before_hears_what_is_new(self, browser: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(terms_version="0")
        page = browser.get("/terms/accept/").text
        assert "The terms have changed" in page and TERMS.news in page and "Agree to the terms" not in page
        User.objects.filter(pk=alice.pk).update(terms_version="")
        page = browser.get("/terms/accept/").text
        assert "Agree to the terms" in page and TERMS.news not in page

    def test_suspended_people_see_why(self, browser: Client, alice: User, mo: User, settings: Any) -> None:
        settings.CONTACT_EMAIL = "team@example.org"
        account_bans.ban(alice, actor=mo, reason="Copied a novel.")
        assert browser.get("/me/")["Location"] == "/suspended/"
        page = browser.get("/suspended/")
        assert page.status_code == 403
        assert "Copied a novel." in page.text and "team@example.org" in page.text
        for way in ('href="/me/delete/"', 'href="/privacy/"', 'action="/accounts/logout/"'):
            assert way in page.text.partition("What a moderator wrote")[2].partition("</main>")[0]

    def test_the_suspended_page_is_for_the_suspended(self, browser: Client) -> None:
        assert browser.get("/suspended/")["Location"] == "/dashboard/"

    def test_suspended_people_may_still_leave(self, browser: Client, alice: User, mo: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam")
        browser.post("/me/delete/", {"confirmation": alice.email})
        alice.refresh_from_db()
        assert alice.deleted_at is not None

    def test_a_post_does_not_pass_either(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.post("/me/", {"display_name": "Sneaky"})
        assert response["Location"] == "/terms/accept/?next=%2Fme%2F"
        newcomer.refresh_from_db()
        assert newcomer.display_name == "Newcomer"

    def test_after_a_form_it_leads_back_to_the_page_with_the_form(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.post("/tasks/next/", headers={"Referer": "http://testserver/dashboard/?lang=de"})
        assert response["Location"] == "/terms/accept/?next=%2Fdashboard%2F%3Flang%3Dde"

    def test_scripts_are_told_where_to_go(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.get("/me/", headers={"HX-Request": "true"})
        assert (response.status_code, response["HX-Redirect"]) == (204, "/terms/accept/?next=%2Fme%2F")

    def test_programs_get_the_reason(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.get("/me/", headers={"Accept": "application/json"})
        assert (response.status_code, response.json()["code"]) == (403, "terms_missing")

    def test_it_costs_no_statement(self, browser: Client, django_assert_num_queries: Any) -> None:
        browser.get("/me/")  # from now on the session is in the cache
        with django_assert_num_queries(1):  # the user
            assert browser.get("/me/").status_code == 200


class TestTerms:
    def test_everybody_can_read(self, client: Client) -> None:
        for path, document in (("/terms/", TERMS), ("/privacy/", PRIVACY)):
            page = client.get(path)
            assert page.status_code == 200
            assert document.title in page.text
            assert all(heading in page.text for heading, _ in document.sections)

    def test_declining_signs_out_and_explains(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        response = client.post("/terms/accept/", {"decision": "decline", "version": TERMS.version}, follow=True)
        assert response.redirect_chain == [("/terms/", 302)]
        assert "You are signed out" in response.text
        assert not signed_in(client)
        assert not Consent.objects.exists()

    def test_another_version_than_the_one_read(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        assert client.post("/terms/accept/", {"version": "0"}).status_code == 200
        assert not Consent.objects.exists()

    def test_reading_the_page_agrees_to_nothing(self, client: Client, newcomer: User) -> None:
        client.force_login(newcomer)
        assert client.get("/terms/accept/").status_code == 200
        assert not Consent.objects.exists()

    def test_who_has_agreed_goes_on(self, browser: Client) -> None:
        assert browser.get("/terms/accept/?next=/me/")["Location"] == "/me/"

    @pytest.mark.parametrize("evil", ["https://evil.example", "//evil.example/", "http:evil.example"])
    def test_never_to_another_site(self, browser: Client, evil: str) -> None:
        assert browser.get("/terms/accept/", {"next": evil})["Location"] == "/dashboard/"


class TestProfile:
    def save(self, browser: Client, **changes: Any) -> Any:
        data = {
            "display_name": "Alice",
            "time_zone": "UTC",
            "interface_language": "en",
            "contribution_languages": ["en"],
            **changes,
        }
        return browser.post("/me/", data)

    def test_it_works(self, browser: Client, alice: User) -> None:
        response = self.save(
            browser, display_name="Alice B.", time_zone="Asia/Tokyo", contribution_languages=["de", "pt-BR"]
        )
        assert response.status_code == 302
        alice.refresh_from_db()
        assert (alice.display_name, alice.time_zone) == ("Alice B.", "Asia/Tokyo")
        assert alice.contribution_languages == ["de", "pt-BR"]
        assert "Your profile is saved." in browser.get("/me/").text

    def test_the_form_shows_what_is_stored(self, browser: Client, alice: User) -> None:
        profiles.update_profile(
            alice,
            display_name="Alice",
            time_zone="UTC",
            interface_language="en",
            contribution_languages=["de", "gsw"],
        )
        page = browser.get("/me/").text
        assert re.search(r'<option value="de" selected', page)
        assert re.search(r'<option value="gsw" selected', page), "a language off the menu is not lost"

    @pytest.mark.parametrize(
        "change",
        [
            {"display_name": ""},
            {"display_name": "Admin"},
            {"display_name": "x" * 41},
            {"time_zone": "Mars/Olympus"},
            {"interface_language": "xx"},
            {"contribution_languages": ["nonsense!"]},
        ],
    )
    def test_a_refusal_keeps_what_was_typed_and_changes_nothing(
        self, browser: Client, alice: User, change: dict[str, Any]
    ) -> None:
        response = self.save(browser, **{"display_name": "Typed Name", **change})
        assert response.status_code == 200
        assert "Not sent yet" in response.text
        if "display_name" not in change:
            assert 'value="Typed Name"' in response.text
        alice.refresh_from_db()
        assert (alice.display_name, alice.contribution_languages) == ("Alice", [])

    def test_strangers_are_sent_to_the_door(self, client: Client) -> None:
        assert client.get("/me/")["Location"] == "/accounts/login/?next=/me/"

    def test_names_are_shown_as_text(self, browser: Client) -> None:
        self.save(browser, display_name="<b>Bold</b>")
        page = browser.get("/me/").text
        assert "<b>Bold</b>" not in page and "&lt;b&gt;Bold" in page


class TestDelete:
    def test_it_works(self, browser: Client, alice: User) -> None:
        page = browser.get("/me/delete/")
        assert str(alice.email) in page.text
        response = browser.post("/me/delete/", {"confirmation": f" {str(alice.email).upper()} "})
        assert response["Location"] == "/"
        alice.refresh_from_db()
        assert alice.deleted_at is not None
        assert not signed_in(browser)
        assert "Your account is erased" in browser.get("/terms/").text

    def test_one_click_is_not_enough(self, browser: Client, alice: User) -> None:
        for typed in ("", "yes", "alice"):
            assert browser.post("/me/delete/", {"confirmation": typed}).status_code == 200
        alice.refresh_from_db()
        assert alice.deleted_at is None and signed_in(browser)

    def test_a_screen_left_open_is_not_enough(self, browser: Client, alice: User) -> None:
        session = browser.session
        session["signed_in_at"] = 0
        session.save()
        there = browser.get("/me/delete/")["Location"]
        assert there.startswith("/accounts/reauthenticate/?next=")
        response = browser.post("/me/delete/", {"confirmation": alice.email})
        assert response["Location"] == there
        alice.refresh_from_db()
        assert alice.deleted_at is None
        assert "Nothing is changed yet" in browser.get(there).text
        response = browser.post("/me/sign-in-again/", {"next": "/me/delete/"})
        assert response["Location"] == "/accounts/login/?next=%2Fme%2Fdelete%2F"
        assert not signed_in(browser)

    def test_people_without_an_address_type_a_word(self, client: Client) -> None:
        person = registration.create_user(email=None, display_name="Nameless")
        client.force_login(person)
        assert client.post("/me/delete/", {"confirmation": "delete"})["Location"] == "/"
        person.refresh_from_db()
        assert person.deleted_at is not None

    def test_reading_deletes_nothing(self, browser: Client, alice: User) -> None:
        browser.get("/me/delete/", {"confirmation": alice.email})
        alice.refresh_from_db()
        assert alice.deleted_at is None
