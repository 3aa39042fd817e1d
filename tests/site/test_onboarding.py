"""The page for somebody new: asked once, skipped with one button, and the way they were going survives."""

from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts import registration
from oasst.accounts.documents import TERMS
from oasst.accounts.models import User
from oasst.core import ratelimit
from tests.factories import growing_tree, new_person, new_prompt
from trees.models import Practice, Ranking, Review

pytestmark = pytest.mark.django_db
WELCOME = "/welcome/"
ANSWERS = {"languages": ["de", "en"], "time_zone": "Europe/Berlin", "interest": "reviewing"}


@pytest.fixture
def newcomer(db: None) -> User:
    return registration.create_user(email="new@example.org", display_name="Newcomer")


@pytest.fixture
def browser(newcomer: User) -> Client:
    client = Client(headers={"Accept-Language": "pt-BR,de;q=0.8"})
    client.force_login(newcomer)
    return client


def agree(client: Client, target: str) -> str:
    return str(client.post("/terms/accept/", {"version": TERMS.version, "next": target})["Location"])


def answer_anything(page: str) -> dict[str, str]:
    """Fill in the form of a practice page of any kind."""
    names = [part.partition('"')[0] for part in page.split('name="rank_')[1:]]
    places = {f"rank_{name}": str(place) for place, name in enumerate(names, start=1)}
    return places or ({"accepted": "1"} if 'name="accepted"' in page else {"spam": "0"})


class TestAfterTheTerms:
    def test_it_comes_right_after_them(self, browser: Client) -> None:
        there = agree(browser, "/explore/?lang=de&q=a b")
        assert there == f"{WELCOME}?{urlencode({'next': '/explore/?lang=de&q=a b'})}"
        page = browser.get(there).text
        assert 'href="/explore/?lang=de&amp;q=a b"' in page and "Newcomer" in page
        assert '<option value="pt-BR" selected' in page or '<option value="pt" selected' in page

    def test_only_once(self, browser: Client, newcomer: User) -> None:
        agree(browser, "/dashboard/")
        assert browser.get("/dashboard/").status_code == 200
        assert browser.get("/me/").status_code == 200
        User.objects.filter(pk=newcomer.pk).update(terms_version="0")
        assert agree(browser, "/me/") == "/me/"

    def test_not_with_languages(self, browser: Client, newcomer: User) -> None:
        User.objects.filter(pk=newcomer.pk).update(contribution_languages=["de"])
        assert agree(browser, "/me/") == "/me/"

    def test_not_on_the_way_to_a_program(self, browser: Client) -> None:
        assert agree(browser, "/inference/auth/callback/google") == "/inference/auth/callback/google"

    def test_it_needs_an_account_and_the_terms(self, browser: Client) -> None:
        assert Client().get(WELCOME)["Location"].startswith(reverse("account_login"))
        assert browser.get(WELCOME)["Location"].startswith("/terms/accept/")


class TestThePage:
    @pytest.fixture(autouse=True)
    def _agreed(self, browser: Client) -> None:
        agree(browser, "/dashboard/")

    def test_it_stores_and_leads_to_practice(self, browser: Client, newcomer: User) -> None:
        answer = browser.post(WELCOME, {**ANSWERS, "interest": "ranking", "next": "/explore/"})
        assert answer["Location"] == f"/practice/?{urlencode({'tour': 'ranking', 'step': '1', 'next': '/explore/'})}"
        newcomer.refresh_from_db()
        assert (newcomer.contribution_languages, newcomer.time_zone) == (["de", "en"], "Europe/Berlin")

    def test_straight_to_work(self, browser: Client) -> None:
        assert browser.post(WELCOME, {**ANSWERS, "then": "work", "next": "/explore/"})["Location"] == "/explore/"

    def test_looking_stores_nothing(self, browser: Client, newcomer: User) -> None:
        browser.get(WELCOME)
        newcomer.refresh_from_db()
        assert newcomer.contribution_languages == []

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"languages": []}, "id_languages"),
            ({"languages": ["tlh-xx-nonsense"]}, "id_languages"),
            ({"time_zone": "Mars"}, "id_time_zone"),
            ({"time_zone": ""}, "id_time_zone"),
            ({"interest": "sleeping"}, "id_interest"),
        ],
    )
    def test_a_refusal_keeps_everything(
        self, browser: Client, newcomer: User, wrong: dict[str, Any], field: str
    ) -> None:
        answer = browser.post(WELCOME, {**ANSWERS, **wrong, "next": "/explore/"})
        assert answer.status_code == 422 and "Not sent yet" in answer.text and f'href="#{field}' in answer.text
        assert 'name="next" value="/explore/"' in answer.text
        newcomer.refresh_from_db()
        assert (newcomer.contribution_languages, newcomer.time_zone) == ([], "UTC")

    def test_never_to_another_site(self, browser: Client) -> None:
        page = browser.get(f"{WELCOME}?next=https://evil.example/").text
        assert "evil.example" not in page
        answer = browser.post(WELCOME, {**ANSWERS, "then": "work", "next": "//evil.example/"})
        assert answer["Location"] == "/dashboard/"
        there = browser.get("/practice/?tour=reviewing&step=1&next=https://evil.example/", follow=True)
        assert "evil.example" not in there.text

    def test_again_from_the_account_page(self, browser: Client) -> None:
        browser.post(WELCOME, ANSWERS)
        assert f'href="{WELCOME}"' in browser.get("/me/").text
        page = browser.get(WELCOME).text
        assert '<option value="de" selected' in page and 'value="Europe/Berlin"' in page

    def test_it_is_limited(self, browser: Client, settings: Any) -> None:
        settings.LIMITS = {ratelimit.PROFILE_CHANGES.name: "1 per hour"}
        settings.RATE_LIMITS = True
        assert [browser.post(WELCOME, ANSWERS).status_code for _ in range(2)] == [302, 429]

    def test_few_statements(self, browser: Client, django_assert_max_num_queries: Callable[[int], Any]) -> None:
        browser.get(WELCOME)
        with django_assert_max_num_queries(2):
            browser.get(WELCOME)


class TestTheTour:
    """Two texts for practice, then real work."""

    @pytest.fixture
    def joined(self, browser: Client, newcomer: User) -> Client:
        agree(browser, "/dashboard/")
        User.objects.filter(pk=newcomer.pk).update(contribution_languages=["en"])
        return browser

    def walk(self, client: Client, interest: str, answer: Callable[[str], dict[str, str]]) -> list[Any]:
        """Answer both texts. Return the two pages with outcomes."""
        page = client.post(WELCOME, {**ANSWERS, "languages": ["en"], "interest": interest}, follow=True)
        outcomes = []
        for number in (1, 2):
            path, _ = page.redirect_chain[-1]
            assert f"Practice {number} of 2" in page.text and "Skip practice" in page.text
            outcomes.append(client.post(path, answer(page.text)))
            assert outcomes[-1].status_code == 200 and 'data-testid="practice-why"' in outcomes[-1].text
            if number == 1:
                following = outcomes[0].text.split('data-testid="practice-next"')[0].rpartition('href="')[2]
                page = client.get(unescape(following.partition('"')[0]), follow=True)
        return outcomes

    @pytest.mark.parametrize("interest", ["reviewing", "replying", "prompts", "ranking"])
    def test_every_interest(self, joined: Client, newcomer: User, interest: str) -> None:
        outcomes = self.walk(joined, interest, answer_anything)
        assert Practice.objects.filter(person=newcomer).count() == 2
        assert not Review.everything.exists() and not Ranking.objects.exists()
        assert "Go on without a task" in outcomes[1].text and "Another one" not in outcomes[1].text

    def test_then_a_task_of_the_kind(self, joined: Client, bob: User) -> None:
        new_prompt(bob)
        last = self.walk(joined, "reviewing", answer_anything)[1]
        assert "Now for real: Check an opener" in last.text and 'value="label_initial_prompt"' in last.text

    def test_or_of_another_kind_and_it_says_so(self, joined: Client, bob: User) -> None:
        growing_tree(bob)
        last = self.walk(joined, "ranking", answer_anything)[1]
        assert "Take a real task" in last.text and "a task of another kind" in last.text

    def test_few_statements(self, joined: Client, django_assert_max_num_queries: Callable[[int], Any]) -> None:
        for _ in range(10):
            new_prompt(new_person("Writer"))
        path = f"/practice/example-moon-and-tides/?{urlencode({'tour': 'reviewing', 'step': '2', 'next': '/me/'})}"
        joined.post(path, {"spam": "0"})
        with django_assert_max_num_queries(12):
            joined.post(path, {"spam": "0"})
        with django_assert_max_num_queries(12):
            joined.get("/practice/?tour=ranking&step=1")
