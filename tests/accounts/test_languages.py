"""The languages of a user: asked at the first visit, stored in order, and used for their work."""

import re
from typing import Any

import pytest
from django.test import Client

from oasst.accounts import profiles, registration
from oasst.accounts.documents import TERMS
from oasst.accounts.models import User
from oasst.accounts.time_zones import find_zone
from oasst.core.text.languages import LANGUAGES, accepted_languages

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def newcomer() -> User:
    return registration.create_user(email="newcomer@example.org", display_name="Newcomer")


def chosen_on(page: str) -> list[str]:
    """Return the chosen languages of the card, in the order of the page, as browsers send them."""
    card = page.partition("languages-card")[2].partition("</form>")[0]
    return re.findall(r'<option value="([^"]+)" selected', card)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("ar-EG,ar;q=0.9,en-US;q=0.8,en;q=0.7", ["ar", "en"]),
        ("en;q=0.5,de-AT", ["de", "en"]),
        ("zh-TW,zh;q=0.9", ["zh-Hant", "zh"]),
        ("zh-Hant-HK", ["zh-Hant"]),
        ("zh-CN", ["zh"]),
        ("pt-BR,pt;q=0.9", ["pt-BR", "pt"]),
        ("nn,no;q=0.8", ["nb"]),
        ("tlh,de;q=0", []),
        ("*", []),
        ("", []),
        ("nonsense;;;q=q,,", []),
    ],
)
def test_what_a_browser_asks_for(header: str, expected: list[str]) -> None:
    assert accepted_languages(header) == expected


class TestFirstVisit:
    def test_the_browsers_languages_are_offered(self, browser: Client, alice: User) -> None:
        page = browser.get("/dashboard/", headers={"Accept-Language": "de-AT,de;q=0.9,ar;q=0.5"}).text
        assert chosen_on(page) == ["de", "ar"]
        assert 'value="sw"' in page and "Kiswahili" in page
        alice.refresh_from_db()
        assert alice.contribution_languages == []

    def test_without_any_english_is(self, browser: Client) -> None:
        assert chosen_on(browser.get("/dashboard/").text) == ["en"]

    def test_they_are_kept_in_their_order(self, browser: Client, alice: User) -> None:
        page = browser.get("/dashboard/", headers={"Accept-Language": "uk,ar;q=0.5"}).text
        assert browser.post("/me/languages/", {"languages": chosen_on(page)}).status_code == 302
        alice.refresh_from_db()
        assert alice.contribution_languages == ["uk", "ar"]
        page = browser.get("/dashboard/").text
        assert "What needs doing in Ukrainian" in page
        assert chosen_on(page) == [] and "languages-card" not in page

    @pytest.mark.parametrize("chosen", [[], ["xx"], ["nonsense!"]])
    def test_at_least_one_of_the_list(self, browser: Client, alice: User, chosen: list[str]) -> None:
        answer = browser.post("/me/languages/", {"languages": chosen}, follow=True)
        assert "choose at least one language" in answer.text
        alice.refresh_from_db()
        assert alice.contribution_languages == []


class TestOrder:
    def save(self, browser: Client, **changes: Any) -> None:
        data = {"display_name": "Alice", "time_zone": "UTC", "interface_language": "en", **changes}
        assert browser.post("/me/", data).status_code == 302

    def test_saving_the_profile_again_keeps_the_order(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "ar", "de"])
        page = browser.get("/me/").text.partition("data-language-picker")[2].partition("data-keep")[0]
        order = re.findall(r'<option value="([^"]+)" selected', page)[:3]
        assert order == ["uk", "ar", "de"]
        self.save(browser, contribution_languages=order)
        alice.refresh_from_db()
        assert alice.contribution_languages == ["uk", "ar", "de"]

    def test_the_order_of_the_form_counts(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "ar"])
        self.save(browser, contribution_languages=["", "ar", "", "uk", "ar", ""])
        alice.refresh_from_db()
        assert (alice.first_language, alice.contribution_languages) == ("ar", ["ar", "uk"])

    def test_empty_selects_are_none(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk"])
        self.save(browser, contribution_languages=["", "", ""])
        alice.refresh_from_db()
        assert alice.contribution_languages == []

    def test_there_is_room_for_more_but_not_for_too_many(self, browser: Client, alice: User) -> None:
        def selects() -> int:
            return browser.get("/me/").text.count('<select class="input" name="contribution_languages"')

        assert selects() == 6
        profiles.choose_languages(alice, [language.code for language in LANGUAGES[:19]])
        assert selects() == 20
        refused = browser.post(
            "/me/",
            {
                "display_name": "Alice",
                "time_zone": "UTC",
                "interface_language": "en",
                "contribution_languages": [language.code for language in LANGUAGES[:21]],
            },
        )
        assert "Please choose at most 20 languages." in refused.text


class TestWorkIn:
    def test_it_is_remembered(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "de"])
        assert "What needs doing in Ukrainian" in browser.get("/dashboard/").text
        assert browser.post("/me/work-language/", {"lang": "de"})["Location"] == "/dashboard/"
        assert "What needs doing in German" in browser.get("/dashboard/").text
        elsewhere = Client()
        elsewhere.force_login(alice)
        assert "What needs doing in German" in elsewhere.get("/dashboard/").text
        task = elsewhere.post("/tasks/next/", {"kind": "initial_prompt"})["Location"]
        assert "German" in elsewhere.get(task).text

    def test_looking_at_another_one_changes_nothing(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "de"])
        assert "What needs doing in German" in browser.get("/dashboard/?lang=de").text
        assert "What needs doing in Ukrainian" in browser.get("/dashboard/").text

    def test_the_language_of_the_pages_is_another_setting(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "de"])
        User.objects.filter(pk=alice.pk).update(interface_language="fr")
        assert "What needs doing in Ukrainian" in browser.get("/dashboard/").text
        browser.post("/me/work-language/", {"lang": "de"})
        browser.post("/welcome/", {"languages": ["de", "es"], "time_zone": "UTC"})
        alice.refresh_from_db()
        assert (alice.interface_language, alice.working_language) == ("fr", "de")
        assert '<option value="fr" selected' in browser.get("/me/").text

    def test_only_ones_own(self, browser: Client, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "de"])
        assert browser.post("/me/work-language/", {"lang": "fr"}).status_code == 400
        alice.refresh_from_db()
        assert alice.work_language == ""

    def test_one_that_was_given_up_is_forgotten(self, alice: User) -> None:
        profiles.choose_languages(alice, ["uk", "de"])
        profiles.choose_work_language(alice, "de")
        profiles.choose_languages(alice, ["uk", "ar"])
        assert alice.working_language == "uk"


class TestTimeZone:
    """The browser's proposals at sign-up."""

    def agree(self, client: Client, person: User, time_zone: str) -> str:
        client.force_login(person)
        assert "data-browser-zone" in client.get("/terms/accept/").text
        client.post("/terms/accept/", {"version": TERMS.version, "time_zone": time_zone})
        person.refresh_from_db()
        return person.time_zone

    @pytest.mark.parametrize(
        ("proposed", "kept"),
        [
            ("Asia/Tokyo", "Asia/Tokyo"),
            ("Mars/Olympus", "UTC"),
            ("../../etc/passwd", "UTC"),
            ("", "UTC"),
            ("x\0", "UTC"),
        ],
    )
    def test_it_is_taken_if_it_is_one(self, client: Client, newcomer: User, proposed: str, kept: str) -> None:
        assert self.agree(client, newcomer, proposed) == kept

    def test_the_one_that_was_chosen_stays(self, client: Client, newcomer: User) -> None:
        User.objects.filter(pk=newcomer.pk).update(time_zone="Europe/Berlin")
        assert self.agree(client, newcomer, "Asia/Tokyo") == "Europe/Berlin"

    def test_whoever_has_languages_may_have_chosen_utc(self, browser: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(time_zone="UTC", contribution_languages=["en"])
        browser.post("/me/languages/", {"languages": ["de"], "time_zone": "Europe/Berlin"})
        alice.refresh_from_db()
        assert (alice.contribution_languages, alice.time_zone) == (["de"], "UTC")

    def test_newer_terms_ask_for_no_zone(self, client: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(terms_version="0")
        assert self.agree(client, alice, "Asia/Tokyo") == "UTC"

    def test_who_comes_without_terms_of_ours_is_asked_with_the_languages(self, browser: Client, alice: User) -> None:
        browser.post("/me/languages/", {"languages": ["de"], "time_zone": "Europe/Berlin"})
        alice.refresh_from_db()
        assert (alice.contribution_languages, alice.time_zone) == (["de"], "Europe/Berlin")


class TestChoosingAZone:
    @pytest.mark.parametrize(
        ("typed", "zone"),
        [
            ("Europe/Berlin", "Europe/Berlin"),
            ("america/new york", "America/New_York"),
            ("America/New_York", "America/New_York"),
            ("  nairobi ", "Africa/Nairobi"),
            ("utc", "UTC"),
            ("Springfield", None),
            ("", None),
            ("../../etc/passwd", None),
        ],
    )
    def test_what_somebody_may_type(self, typed: str, zone: str | None) -> None:
        assert find_zone(typed) == zone

    def test_a_city_that_stands_for_several_zones_is_not_guessed(self) -> None:
        assert find_zone("Louisville") is None and find_zone("America/Kentucky/Louisville")

    def test_the_profile_takes_it_and_shows_it_again(self, browser: Client, alice: User) -> None:
        data = {"display_name": "Alice", "time_zone": "new york", "interface_language": "en"}
        assert browser.post("/me/", data).status_code == 302
        alice.refresh_from_db()
        assert alice.time_zone == "America/New_York"
        page = browser.get("/me/").text
        assert 'value="America/New York"' in page and '<option value="Africa/Nairobi">' in page
        refused = browser.post("/me/", {**data, "time_zone": "Middle Earth"}).text
        assert "We do not know this time zone." in refused and 'value="Middle Earth"' in refused

    def test_one_click_takes_the_browsers(self, browser: Client, alice: User) -> None:
        assert 'data-zone-proposal="UTC"' in browser.get("/me/").text
        assert browser.post("/me/time-zone/", {"time_zone": "Asia/Tokyo"})["Location"] == "/me/"
        alice.refresh_from_db()
        assert alice.time_zone == "Asia/Tokyo"
        assert browser.post("/me/time-zone/", {"time_zone": "Mars/Olympus"}).status_code == 400
        evil = browser.post("/me/time-zone/", {"time_zone": "UTC", "next": "https://evil.example/"})
        assert evil["Location"] == "/me/"
