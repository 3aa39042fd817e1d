"""Header, footer, error pages, and the pages about the installation."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from leaderboard import queries as board_queries
from leaderboard import shown_points, tallies
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core.http.fault_reports import fault_report_url
from oasst.site import navigation, team
from tasks import assignment
from tasks.kinds import Kind
from tests.factories import growing_tree, new_prompt, new_reply
from tests.tasks.test_pages import signed_in
from trees.lifecycle.policy import TreePolicy

pytestmark = pytest.mark.django_db


def links(page: str) -> list[tuple[str, str]]:
    """Return (address, value of aria-current) of the links of the main navigation, as wide screens show them."""
    row = re.search(r'<ul class="site-nav__row">(.*?)<details class="site-menu site-nav__all"', page, re.DOTALL)
    assert row
    return re.findall(r'<a href="([^"]+)"(?: aria-current="(\w+)")?', row[1])


class TestNavigation:
    def test_people(self, alice: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "none"
        page = signed_in(alice).get("/leaderboard/").content.decode()
        assert links(page) == [
            ("/dashboard/", ""),
            ("/explore/", ""),
            ("/me/contributions/", ""),
            ("/leaderboard/", "page"),
            ("/statistics/", ""),
            ("/guidelines/", ""),
            ("/data/", ""),
        ]

    def test_visitors(self) -> None:
        page = Client().get("/about/").content.decode()
        open_to_all = ("/explore/", "/statistics/", "/guidelines/", "/data/")
        assert links(page) == [(address, "") for address in open_to_all]
        assert '<span class="site-nav__page">About</span>' in page

    def test_a_page_in_the_menu_beside_names_itself(self, alice: User) -> None:
        page = signed_in(alice).get("/statistics/").content.decode()
        assert re.search(
            r'<summary class="is-current">\s*<span class="visually-hidden">More, now:</span> Statistics', page
        )

    def test_the_phone_names_the_page(self, alice: User) -> None:
        for address, name in (("/dashboard/", "Dashboard"), ("/me/points/", "My points"), ("/me/", "Profile")):
            page = signed_in(alice).get(address).content.decode()
            assert f'<span class="site-nav__page">{name}</span>' in page

    def test_the_language_of_work_is_switched_on_any_page(self, alice: User) -> None:
        client = signed_in(alice)
        assert "work-language" not in client.get("/statistics/").content.decode()
        alice.contribution_languages = ["en", "de"]
        alice.save()
        assert '<select class="input" id="work-language"' in client.get("/statistics/").content.decode()
        response = client.post("/me/work-language/", {"lang": "de", "next": "/statistics/"})
        assert response["Location"] == "/statistics/"
        alice.refresh_from_db()
        assert alice.working_language == "de"
        assert client.post("/me/work-language/", {"lang": "en", "next": "https://evil.example/"})["Location"] == (
            "/dashboard/"
        )

    def test_the_role(self, alice: User, mo: User) -> None:
        assert "Moderator" in signed_in(mo).get("/about/").content.decode()
        page = signed_in(alice).get("/about/").content.decode()
        assert "Moderator" not in page and 'href="/admin/"' not in page


class TestPoints:
    def test_points_and_level_cost_one_statement_a_minute(self, alice: User, django_assert_num_queries: Any) -> None:
        new_reply(growing_tree(alice), alice)
        points = board_queries.score_of(board_queries.own_counts(alice)[Frame.TOTAL], "points")
        assert points > 0
        request = HttpRequest()
        request.user = alice
        with django_assert_num_queries(1):
            level = navigation.own_level(request)
        assert level and level.points == points
        with django_assert_num_queries(0):
            assert navigation.own_level(request) == level

    def test_what_was_just_counted_shows_on_the_next_page(
        self, alice: User, bob: User, django_capture_on_commit_callbacks: Any
    ) -> None:
        people = [alice, bob]
        for person in people:
            shown_points.keep(person.pk, 0)
        with django_capture_on_commit_callbacks(execute=True):
            new_prompt(alice)
            tallies.read_outbox()
        assert [shown_points.find(person.pk) for person in people] == [None, 0], "that of others stays"

    def test_points_show_with_the_thanks_for_them_and_go_with_an_undo(
        self, alice: User, bob: User, policy: TreePolicy, django_capture_on_commit_callbacks: Any
    ) -> None:
        new_prompt(alice)
        task = assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_INITIAL_PROMPT, policy=policy)
        client, address = signed_in(bob), reverse("task", args=[task.pk])

        def shown() -> list[str]:
            page = client.get("/about/").content.decode()
            return re.findall(r'data-testid="own-level">.*?(\d+ points?)', page, re.DOTALL)

        assert shown() == ["0 points"]
        for _ in range(2):  # sent twice, it is still one answer
            assert client.post(address, {"spam": "0"}).status_code == 302
            assert shown() == ["2 points"]
        response = client.post(reverse("task_undo", args=[task.pk]))
        assert response.headers["Location"] == address
        with django_capture_on_commit_callbacks(execute=True):
            tallies.read_outbox()
        assert shown() == ["0 points"]

    def test_a_page(self, alice: User, django_assert_max_num_queries: Any) -> None:
        client = signed_in(alice)
        page = client.get("/about/").content.decode()
        assert re.search(r'data-testid="own-level">.*?0 points.*?level 1', page, re.DOTALL)
        with django_assert_max_num_queries(1):  # the user
            client.get("/about/")


class TestFooter:
    def test_what_is_not_configured_is_left_out(self) -> None:
        page = Client().get("/about/").content.decode()
        footer = page[page.index("<footer") :]
        for address in ("/about/", "/data/", "/docs/", "/terms/", "/privacy/", "/fault/"):
            assert f'href="{address}"' in footer
        for name in ("Team", "Source code", "Community", "Write to us"):
            assert name not in footer

    def test_what_is(self, settings: Any, tmp_path: Path) -> None:
        settings.SOURCE_URL, settings.COMMUNITY_URL = "https://git.example.org/x", "https://talk.example.org/"
        settings.CONTACT_EMAIL, settings.OPERATOR_NAME = "help@example.org", "Example University"
        settings.TEAM_FILE = str(tmp_path / "team.json")
        Path(settings.TEAM_FILE).write_text(json.dumps([{"name": "Moderators", "people": [{"name": "Ada <L.>"}]}]))
        page = Client().get("/about/").content.decode()
        assert "Example University" in page
        footer = page[page.index("<footer") :]
        for address in ("https://git.example.org/x", "https://talk.example.org/", "mailto:help@example.org", "/team/"):
            assert address in footer
        assert "Ada &lt;L.&gt;" in Client().get("/team/").content.decode()


class TestTeamFile:
    def test_none(self) -> None:
        assert "Nobody is listed here yet." in Client().get("/team/").content.decode()

    @pytest.mark.parametrize(
        "content",
        [
            "{",
            "{}",
            '["x"]',
            '[{"name": "A"}]',
            '[{"name": "A", "people": [{"role": "x"}]}]',
            '[{"name": "A", "people": [{"name": "x", "url": "javascript:x"}]}]',
            '[{"name": "A", "people": ["x"]}]',
        ],
    )
    def test_a_wrong_file_breaks_no_page(self, settings: Any, tmp_path: Path, content: str) -> None:
        file = tmp_path / "team.json"
        file.write_text(content)
        with pytest.raises(team.BadTeamFile):
            team.read_team(file)
        settings.TEAM_FILE = str(file)
        assert Client().get("/team/").status_code == 200


class TestErrorPages:
    def test_they_lead_back_and_to_a_report_with_the_request(self) -> None:
        response = Client().get("/nowhere/", headers={"Referer": "http://testserver/about/"})
        page, request_id = response.content.decode(), response["X-Request-ID"]
        assert response.status_code == 404
        assert f'href="/fault/?request={request_id}"' in page
        assert 'href="/about/">Back to the page before' in page
        assert request_id in Client().get(f"/fault/?request={request_id}").content.decode()

    def test_a_tracker_and_a_mailbox(self, settings: Any) -> None:
        settings.CONTACT_EMAIL = "help@example.org"
        assert fault_report_url("abcd1234") == (
            "mailto:help@example.org?subject=Fault%20at%20http%3A%2F%2Flocalhost%3A8000%20%28request%20abcd1234%29"
        )
        settings.REPORT_FAULT_URL = "https://git.example.org/issues/new?title={request_id}"
        assert fault_report_url("a&b") == "https://git.example.org/issues/new?title=a%26b"
        page = Client().get("/fault/?request=abcd1234").content.decode()
        assert 'href="https://git.example.org/issues/new?title=abcd1234"' in page

    def test_nothing_of_the_address_is_shown(self) -> None:
        assert "evil" not in Client().get("/fault/?request=<evil>").content.decode()
