"""The dashboard: progress, the best of the day, the chat, and work that refreshes by itself."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leaderboard import tallies, top_five
from leaderboard.goals import goal_of
from leaderboard.models import Tally
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tests.factories import decide, growing_tree, new_people, new_prompt, new_reply
from tests.leaderboard.test_boards import stand
from tests.page_text import without_tokens
from trees.contributing import reviews
from trees.interchange.snapshots import publishing
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Opening, Skip

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


class TestOpenTasks:
    def begin(self, client: Client, kind: str) -> str:
        return client.post(reverse("task_next"), {"kind": kind, "lang": "en"})["Location"]

    def test_a_row_says_what_it_is_about_and_how_long_it_can_be_answered(self, as_alice: Client, bob: User) -> None:
        prompt = new_prompt(bob, "How *warm* must the dough be?")
        task = self.begin(as_alice, "label_initial_prompt")
        shown = section(dashboard(as_alice), "open-task")
        assert "How warm must the dough be?" in shown and re.search(r"1.day, 23.hours left", shown)
        assert f'href="{task}"' in dashboard(as_alice)
        prompt.refresh_from_db()
        prompt.hidden = True
        prompt.save(update_fields=["hidden"])
        assert "How warm" not in dashboard(as_alice)

    def test_a_draft_is_shown(self, as_alice: Client) -> None:
        task = self.begin(as_alice, "initial_prompt")
        as_alice.post(f"{task}draft/", {"text": "A <b>half</b> sentence"})
        shown = section(dashboard(as_alice), "open-task")
        assert "your draft" in shown and "half" in shown

    def test_give_back_frees_the_place_at_once_and_says_nothing_about_it(self, as_alice: Client, bob: User) -> None:
        new_prompt(bob)
        task = self.begin(as_alice, "label_initial_prompt")
        page = as_alice.post(f"{task}give-back/", follow=True)
        assert page.redirect_chain[-1][0] == reverse("dashboard") and "Given back." in page.text
        assert not Opening.objects.exclude(holder=None).exists() and not Skip.objects.exists()
        assert 'data-testid="open-task"' not in page.text
        assert as_alice.post(f"{task}give-back/").status_code == 302  # twice is once
        assert "This task was given back." in as_alice.get(task).text
        assert self.begin(as_alice, "label_initial_prompt") not in (task, reverse("task_nothing"))

    def test_it_asks_before_a_draft_is_given_up(self, as_alice: Client) -> None:
        task = self.begin(as_alice, "initial_prompt")
        as_alice.post(f"{task}draft/", {"text": "Half a sentence"})
        asked = as_alice.post(f"{task}give-back/")
        assert (asked.status_code, Task.objects.get().status) == (409, "open")
        assert "Half a sentence" in asked.text and 'name="sure"' in asked.text
        assert as_alice.post(f"{task}give-back/", {"sure": "1"}).status_code == 302
        closed = as_alice.get(task)
        assert closed.status_code == 410 and "Half a sentence" in closed.text

    def test_a_task_of_somebody_else_or_a_finished_one_stays(self, as_alice: Client, bob: User) -> None:
        task = self.begin(as_alice, "initial_prompt")
        stranger = Client()
        stranger.force_login(bob)
        assert stranger.post(f"{task}give-back/").status_code == 404
        as_alice.post(task, {"text": "How do I knead dough by hand?", "then": "stop"})
        assert "You already did this task." in as_alice.post(f"{task}give-back/", follow=True).text
        assert Task.objects.get().status == "done"

    def test_a_check_is_given_back_like_any_review(self, as_alice: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(bob)
        task = Task.objects.create(
            user=alice, kind="label_initial_prompt", lang="en", message=prompt, check_kind="gold",
            expires_at=timezone.now() + timedelta(hours=1),
        )  # fmt: skip
        assert as_alice.post(reverse("task_give_back", args=[task.pk])).status_code == 302


class TestColumns:
    def test_an_empty_column_says_why_and_what_brings_work(self, as_alice: Client, alice: User) -> None:
        page = dashboard(as_alice)
        assert "Everything that was written here is checked." in section(page, "column-check")
        assert "Such tasks appear after people have written answers" in section(page, "column-compare")
        new_prompt(alice)
        shown = section(dashboard(as_alice), "column-check")
        assert re.search(r"(\d) tasks are open, but for other people: \1 about your own texts.", shown)

    def test_what_one_has_begun_is_named(self, as_alice: Client, bob: User) -> None:
        new_prompt(bob)
        as_alice.post(reverse("task_next"), {"kind": "label_initial_prompt", "lang": "en"})
        assert "give it back" in section(dashboard(as_alice), "column-check")

    def test_the_language_is_chosen_in_the_header_alone(self, as_alice: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(contribution_languages=["en", "de"])
        page = dashboard(as_alice)
        main = page[page.index("<main") :]
        assert 'name="lang" data-submit-on-change' in page[: page.index("<main")]
        assert "data-submit-on-change" not in main

    def test_minutes_only_where_they_were_measured(self, as_alice: Client) -> None:
        assert "about" not in section(dashboard(as_alice), "card-initial_prompt")
        Capacity.objects.create(
            lang="en", reviews=1, replies=1, rankings=1, seconds={"initial_prompt": 100},
            since=timezone.now(), measured_at=timezone.now(),
        )  # fmt: skip
        cache.clear()
        assert "about 2 minutes" in section(dashboard(as_alice), "card-initial_prompt")


class TestGoal:
    def test_it_counts_the_work_of_today(self, as_alice: Client, alice: User) -> None:
        new_prompt(alice)
        assert "Today: 0 of 5" not in (shown := section(dashboard(as_alice), "level")) and "Today: 1 of 5" in shown
        tallies.read_outbox()
        assert "Today: 1 of 5" in section(dashboard(as_alice), "level")

    def test_the_day_is_that_of_the_persons_time_zone(self, alice: User) -> None:
        alice.time_zone = "Pacific/Auckland"
        morning = datetime(2026, 5, 4, 20, 30, tzinfo=UTC)  # 8:30 on the next day there
        for hours, number in ((-1, 2), (-10, 3), (-20, 100)):
            Tally.objects.create(
                person=alice, start=(morning + timedelta(hours=hours)).replace(minute=0), grain="hour", lang="en",
                kind="labels_full", number=number,
            )  # fmt: skip
        goal = goal_of(alice, morning)
        assert goal and (goal.done, goal.missing, goal.percent) == (2, 3, 40)

    def test_a_zone_that_the_machine_does_not_know(self, as_alice: Client, alice: User) -> None:
        new_prompt(alice)
        User.objects.filter(pk=alice.pk).update(time_zone="Europe/Atlantis")
        tallies.read_outbox()
        assert "Today: 1 of 5" in section(dashboard(as_alice), "level")

    def test_another_number_and_none(self, as_alice: Client, alice: User) -> None:
        new_prompt(alice)
        url = reverse("daily_goal")
        as_alice.post(url, {"daily_goal": "1"})
        assert "Today’s goal is reached: 1 piece of work." in section(dashboard(as_alice), "level")
        as_alice.post(url, {"daily_goal": "1", "none": "1"})
        shown = section(dashboard(as_alice), "level")
        assert "Today" not in shown and "Set a goal for the day" in shown
        for wrong in ("", "-3", "x", "201", "٣", "1" * 30):
            assert "Please choose a number" in as_alice.post(url, {"daily_goal": wrong}, follow=True).text
        alice.refresh_from_db()
        assert alice.daily_goal == 0


class TestLately:
    def rows(self, client: Client) -> str:
        page = dashboard(client)
        return " ".join(re.sub(r"<[^>]+>", " ", page[page.index('id="recent-title"') :]).split())

    def test_what_became_of_it(self, as_alice: Client, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        decide(reply)
        bad = new_reply(growing_tree(bob, lang="de"), alice)
        with transaction.atomic():
            reviews.record_labels(message=bad, author=bob, labels={"spam": 1, "pii": 1}, policy=TreePolicy())
        decide(bad, accept=False)
        shown = self.rows(as_alice)
        assert "1 accepted reply." in shown
        assert "Reviewers said: it does not belong in the data set; it contains personal data." in shown
        assert f'href="/messages/{bad.pk}/#message-{bad.pk}"' in dashboard(as_alice)
        assert "Reviewers said" in as_alice.get(reverse("contributions")).text

    def test_own_replies_and_hidden_ones_are_not_counted(self, as_alice: Client, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        decide(reply)
        Message.objects.filter(pk=reply.pk).update(hidden=True)
        assert "accepted repl" not in self.rows(as_alice)

    def test_a_prompt_in_the_lottery_says_how_many_wait_with_it(self, as_alice: Client, alice: User) -> None:
        decide(new_prompt(alice))
        assert "It is the only prompt that waits to be drawn." in self.rows(as_alice)
        for person in new_people(2):
            decide(new_prompt(person))
        assert "One of 3 prompts that wait to be drawn by lot." in self.rows(as_alice)

    @pytest.mark.usefixtures("published")
    def test_the_data_set_with_its_conversation(self, as_alice: Client) -> None:
        assert "Its conversation is in the data set 2026.1 ." in self.rows(as_alice)
        publishing.unpublish("2026.1")
        assert "data set 2026.1" not in self.rows(as_alice)


class TestCosts:
    def statements(self, client: Client, name: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(name), {"lang": "en"}).status_code == 200
        return [query["sql"] for query in captured]

    def test_reads_only_and_no_more_with_many_rows(
        self, as_alice: Client, alice: User, bob: User, settings: Any
    ) -> None:
        settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
        decide(new_prompt(alice))
        decide(new_reply(growing_tree(bob, lang="de"), alice))
        growing_tree(bob, TreePolicy(max_tree_depth=1))
        as_alice.post(reverse("task_next"), {"kind": Kind.ASSISTANT_REPLY, "lang": "en"})
        before = {name: self.statements(as_alice, name) for name in ("dashboard", "dashboard_work")}
        for person in new_people(30):
            new_prompt(bob)
            stand(person, 4, Frame.DAY)
        for number in range(10):
            new_prompt(alice)
            as_alice.post(reverse("task_next"), {"kind": "label_initial_prompt", "lang": "en"})
            decide(new_prompt(alice), accept=bool(number % 2))
        cache.delete(top_five._KEY)
        after = {name: self.statements(as_alice, name) for name in before}
        assert len(after["dashboard"]) <= 12, "\n".join(after["dashboard"])
        assert len(after["dashboard_work"]) <= 4
        assert len(after["dashboard"]) <= len(before["dashboard"]) + 1
        assert all(sql.lstrip().startswith(("SELECT", "WITH")) for rows in after.values() for sql in rows)
