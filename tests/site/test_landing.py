"""The front page: a real finished conversation, figures, data, answers; few statements, no cookie."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from leaderboard import cached_statistics
from oasst.accounts.models import User
from oasst.site import landing
from tests.factories import growing_tree, work_until_state
from trees import showcase
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, Review

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=3, max_children_count=2, max_tree_depth=1, num_required_rankings=1)
WORDS = "Dissolve the yeast in lukewarm water, wait ten minutes, and knead it with the flour for a while."


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


def finish(alice: User, lang: str = "en") -> Message:
    """Return the prompt of a finished tree that suits the front page."""
    prompt = growing_tree(alice, POLICY, lang=lang)
    work_until_state(prompt.tree_id, State.READY_FOR_EXPORT, POLICY)
    for number, reply in enumerate(Message.objects.filter(parent=prompt).order_by("rank"), start=1):
        Message.objects.filter(pk=reply.pk).update(text=f"{WORDS} Place {number} in {lang}.")
        Review.objects.filter(message=reply).update(labels={"spam": 0, "quality": 1 - number / 4})
    cached_statistics.refresh(landing._STATISTICS)
    return prompt


def page(**headers: str) -> str:
    return Client().get("/", headers=headers).text


class TestStory:
    def test_the_finished_conversation_best_reply_first_with_verdicts(self, alice: User) -> None:
        prompt = finish(alice)
        text = page()
        assert prompt.text in text and text.index("Place 1 in en") < text.index("Place 2 in en")
        assert "ranked first" in text and "2 of 2 kept it" in text and "quality 4 of 5" in text
        assert "A real, finished conversation of this site, in English" in text and alice.display_name not in text

    def test_in_the_language_of_the_visitor(self, alice: User) -> None:
        finish(alice)
        finish(alice, "de")
        assert "Place 1 in de" in page(Accept_Language="de-AT,en;q=0.5")
        assert "Place 1 in en" in page(Accept_Language="fr")

    def test_an_empty_site_shows_an_example_and_says_so(self) -> None:
        text = page()
        assert "My bread never rises" in text and "ships with the software" in text
        assert "accepted messages" not in text and "No snapshot is published yet" in text

    def test_a_text_that_is_taken_back_is_gone_within_a_minute(self, alice: User) -> None:
        prompt = finish(alice)
        assert prompt.text in page()
        Message.objects.filter(pk=prompt.pk).update(hidden=True)
        cache.delete("landing:en:en")  # a minute later
        text = page()
        assert prompt.text not in text and "suits this page today" in text

    @pytest.mark.parametrize("labels", [{"spam": 0, "toxicity": 1}, {"spam": 0, "pii": 1}])
    def test_nothing_that_reviewers_found_unfit(self, alice: User, labels: dict[str, float]) -> None:
        prompt = finish(alice)
        Review.objects.filter(message__parent=prompt).update(labels=labels)
        assert showcase.choose_story("en", date(2026, 1, 1)) is None

    def test_no_machine_text_and_no_import_without_a_license(self, alice: User) -> None:
        prompt = finish(alice)
        Message.objects.filter(parent=prompt).update(synthetic=True)
        assert showcase.choose_story("en", date(2026, 1, 1)) is None
        Message.objects.filter(parent=prompt).update(synthetic=False)
        assert showcase.choose_story("en", date(2026, 1, 1)) is not None
        Message.objects.filter(tree=prompt.tree_id).update(consent="")
        assert showcase.choose_story("en", date(2026, 1, 1)) is None


class TestPage:
    def test_it_has_all_parts(self) -> None:
        text = page()
        assert "<h1>People build an assistant together</h1>" in text
        for name in ("practice", "account_login", "snapshots", "guidelines"):
            assert f'href="{reverse(name)}"' in text
        assert text.count('<details class="disclosure"') >= 6
        assert re.search(r'<meta property="og:title" content="[^"]{10,}">', text)

    def test_figures_come_from_the_statistics(self, alice: User) -> None:
        finish(alice)
        text = re.sub(r"\s+", " ", page())
        assert "<dd>3</dd><dt>accepted messages</dt>" in text and "<dd>1</dd><dt>published conversation</dt>" in text

    def test_only_conversations_that_visitors_can_read_are_counted(self, alice: User) -> None:
        prompts = [finish(alice) for _ in range(2)]
        Message.objects.filter(tree=prompts[0].tree_id).update(imported={"given": {}}, consent="")
        cached_statistics.refresh(landing._STATISTICS)
        assert "<dd>1</dd><dt>published conversation</dt>" in re.sub(r"\s+", " ", page())

    def test_no_cookie_and_few_statements(
        self, alice: User, django_assert_max_num_queries: Callable[[int], Any]
    ) -> None:
        for _ in range(3):
            finish(alice)
        cache.clear()
        browser = Client()
        with django_assert_max_num_queries(6):
            answer = browser.get("/")
        assert not answer.cookies and "A real, finished conversation" in answer.text
        with django_assert_max_num_queries(0):
            assert browser.get("/").text == answer.text

    def test_who_runs_it(self, settings: Any) -> None:
        assert "They have not put their name here" in page()
        cache.clear()
        settings.CONTACT_EMAIL = "us@example.org"
        assert 'href="mailto:us@example.org"' in page()

    def test_users_go_to_their_dashboard(self, bob: User) -> None:
        browser = Client()
        browser.force_login(bob)
        assert browser.get("/").url == reverse("dashboard")  # type: ignore[attr-defined]
