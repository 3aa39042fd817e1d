"""The dashboard: progress, the best of the day, the chat, and work that refreshes by itself."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leaderboard import top_five
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tasks.kinds import Kind
from tests.factories import growing_tree, new_people, new_prompt
from tests.leaderboard.test_boards import stand
from tests.page_text import without_tokens
from trees.lifecycle.policy import TreePolicy

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def dashboard(client: Client) -> str:
    response = client.get(reverse("dashboard"))
    assert response.status_code == 200
    return " ".join(response.text.split())


def section(page: str, test_id: str) -> str:
    """Return the text of the element with this data-testid, up to the end of its section."""
    found = re.search(rf'data-testid="{test_id}".*?</section>', page)
    assert found, f"no {test_id} on the page"
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_who_is_signed_in_comes_here_from_the_landing_page(as_alice: Client) -> None:
    response = as_alice.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, reverse("dashboard"))


class TestProgress:
    def test_level_and_the_way_to_the_next(self, as_alice: Client, alice: User) -> None:
        stand(alice, 5)
        shown = section(dashboard(as_alice), "level")
        assert "Level 4" in shown and "4 points to level 5" in shown and "Points 20" in shown

    def test_a_newcomer_has_none_yet(self, as_alice: Client) -> None:
        assert 'data-testid="level"' not in dashboard(as_alice)


class TestTopFive:
    def test_the_best_of_the_day_with_a_link(self, as_alice: Client, alice: User) -> None:
        for points, person in enumerate([*new_people(6), alice], start=1):
            stand(person, points, Frame.DAY)
        page = dashboard(as_alice)
        shown = section(page, "top-five")
        assert re.findall(r"\b(\d+) points", shown) == ["28", "24", "20", "16", "12"]
        assert "1 Alice you 28 points" in shown
        assert f'href="{reverse("leaderboard")}"' in page

    def test_nobody(self, as_alice: Client) -> None:
        assert "Nobody has earned points" in section(dashboard(as_alice), "top-five")

    def test_those_who_opted_out_are_left_out(self, as_alice: Client, bob: User) -> None:
        stand(bob, 3, Frame.DAY)
        User.objects.filter(pk=bob.pk).update(show_on_leaderboard=False)
        assert "Bob" not in without_tokens(dashboard(as_alice))

    def test_the_next_visit_reads_the_cache(self, alice: User, django_assert_num_queries: Any) -> None:
        stand(alice, 3, Frame.DAY)
        with django_assert_num_queries(1):
            first = top_five.top_five(alice)
        with django_assert_num_queries(0):
            second = top_five.top_five(alice)
        assert [(row.rank, row.score, row.person.display_name, row.is_me) for row in first] == [(1, 12, "Alice", True)]
        assert [row.person.display_name for row in second] == ["Alice"]


class TestChatCard:
    def test_also_beside_open_tasks(self, as_alice: Client, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"
        assert 'data-testid="chat-card"' in dashboard(as_alice)
        as_alice.post(reverse("task_next"), {"kind": "initial_prompt", "lang": "en"})
        page = dashboard(as_alice)
        assert "Waiting for you" in page and 'data-testid="chat-card"' in page

    def test_not_without_a_chat(self, as_alice: Client, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "none"
        assert 'data-testid="chat-card"' not in dashboard(as_alice)


class TestRefreshedWork:
    def version(self, page: str) -> str:
        found = re.search(r'data-refresh-version="(\w+)"', page)
        assert found
        return found[1]

    def test_nothing_is_sent_until_the_counts_change(self, as_alice: Client, bob: User) -> None:
        seen = self.version(dashboard(as_alice))
        url = reverse("dashboard_work")
        response = as_alice.get(url, {"lang": "en", "seen": seen})
        assert (response.status_code, response.content) == (204, b"")
        new_prompt(bob)
        response = as_alice.get(url, {"lang": "en", "seen": seen})
        assert response.status_code == 200
        assert 'data-testid="card-label_initial_prompt"' in response.text and "<html" not in response.text
        assert as_alice.get(url, {"lang": "en", "seen": self.version(response.text)}).status_code == 204

    def test_the_page_and_the_pieces_show_the_same(self, as_alice: Client, bob: User) -> None:
        new_prompt(bob)
        page, pieces = dashboard(as_alice), as_alice.get(reverse("dashboard_work"), {"lang": "en"}).text
        pattern = re.compile(r'id="(work-\w+)" data-refreshed|data-testid="(card-\w+)"')
        assert pattern.findall(page) == pattern.findall(pieces)

    def test_strangers_are_sent_to_sign_in(self) -> None:
        assert Client().get(reverse("dashboard_work")).status_code == 302

    def test_a_language_tag_that_is_none(self, as_alice: Client) -> None:
        assert as_alice.get(reverse("dashboard_work"), {"lang": "¡!"}).status_code == 400


class TestCosts:
    def statements(self, client: Client, name: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(name), {"lang": "en"}).status_code == 200
        return [query["sql"] for query in captured]

    def test_reads_only_and_no_more_with_many_rows(self, as_alice: Client, bob: User) -> None:
        growing_tree(bob, TreePolicy(max_tree_depth=1))
        as_alice.post(reverse("task_next"), {"kind": Kind.ASSISTANT_REPLY, "lang": "en"})
        before = {name: self.statements(as_alice, name) for name in ("dashboard", "dashboard_work")}
        for person in new_people(30):
            new_prompt(bob)
            stand(person, 4, Frame.DAY)
        cache.delete(top_five._KEY)
        after = {name: self.statements(as_alice, name) for name in before}
        assert len(after["dashboard"]) <= 12 and len(after["dashboard_work"]) <= 4
        assert len(after["dashboard"]) <= len(before["dashboard"]) + 1
        assert all(sql.lstrip().startswith(("SELECT", "WITH")) for rows in after.values() for sql in rows)
