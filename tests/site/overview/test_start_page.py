"""The start page of the admin: what waits, how it went, what needs a look; the same cost whatever there is."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from leaderboard import charts
from oasst.accounts.models import ApiClient, User
from oasst.core.audit.recording import collected_entries
from oasst.core.models import JobRecord
from oasst.site.models import BulkAct, DeskDecision, Escalation, QueueDay
from oasst.site.overview import history, needs, queues
from oasst.site.overview.queues import QUEUES, read_waiting
from tasks.models import Task
from tests.factories import new_people, new_person, new_prompt
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, NearDuplicate, Opening, Proposal, Report, Webhook
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
NOW = timezone.now()
DAY = timedelta(days=1)


@pytest.fixture
def page(mo: User) -> Client:
    return signed_in(mo)


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", "admin")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def words(client: Client) -> str:
    """Return the text of the start page."""
    html = client.get(reverse("admin:index")).text
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2] or html).split())


def report(message: Message, reporter: User, *, days_ago: float = 0) -> Report:
    reactions.report(message_id=message.pk, reporter=reporter, category="spam")
    found = Report.objects.get(message=message, reporter=reporter)
    Report.objects.filter(pk=found.pk).update(created_at=timezone.now() - timedelta(days=days_ago))
    return found


def settle(found: Report, mo: User, *, days_ago: float = 0) -> None:
    moderator_actions.settle_report(report_id=found.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY)
    Report.objects.filter(pk=found.pk).update(handled_at=timezone.now() - timedelta(days=days_ago))


class TestQueues:
    def test_how_much_waits_since_when_and_in_which_language(
        self, page: Client, alice: User, bob: User, mo: User
    ) -> None:
        report(new_prompt(alice), bob, days_ago=3)
        report(new_prompt(alice, lang="de"), bob)
        settle(report(new_prompt(alice), bob), mo)
        waiting = read_waiting()["report"]
        assert (waiting.number, waiting.by_language) == (2, {"en": 1, "de": 1})
        history.count_days()
        shown = words(page)
        assert "2 open reports" in shown and "the oldest: 3 days ago" in shown
        assert "in 7 days 3 came, 1 settled" in shown
        assert "English 1 2 1" in shown and "German 1 1 0" in shown

    def test_one_statement_counts_all_of_them(self) -> None:
        with CaptureQueriesContext(connection) as captured:
            assert set(read_waiting()) == {*(queue.name for queue in QUEUES), "passed_on"}
        assert len(captured) == 1

    def test_of_what_machines_find_the_page_counts_some_and_the_history_all(
        self, page: Client, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queues, "MAX_COUNTED", 2)

        def repeat(number: int) -> None:
            for _ in range(number):
                NearDuplicate.objects.create(first=new_prompt(alice), second=new_prompt(alice))

        repeat(2)
        assert not read_waiting()["near_duplicate"].is_more and "more than" not in words(page)
        repeat(3)
        history.count_days()
        shown = words(page)
        assert "more than 2 pairs of messages" in shown and "English at least 3 5 0" in shown
        assert QueueDay.objects.get(queue="near_duplicate").waiting == 5

    def test_every_card_leads_to_a_list(self, page: Client) -> None:
        for queue in QUEUES:
            assert page.get(queue.url).status_code == 200


class TestHistory:
    def test_days_that_were_missed_are_counted_back_from_now(self, alice: User, bob: User, mo: User) -> None:
        report(new_prompt(alice), bob, days_ago=5)
        settle(report(new_prompt(alice), bob, days_ago=4), mo, days_ago=2)
        history.count_days()
        week = history.read_history().week("report")
        assert [day.came for day in week] == [0, 1, 1, 0, 0, 0, 0]
        assert [day.settled for day in week] == [0, 0, 0, 0, 1, 0, 0]
        assert [day.waiting for day in week] == [0, 1, 2, 2, 1, 1, 1]

    def test_counting_again_changes_nothing_and_follows_today(self, alice: User, bob: User, mo: User) -> None:
        found = report(new_prompt(alice), bob)
        assert history.count_days() == 1 and history.count_days() == 0
        settle(found, mo)
        assert history.count_days() == 1
        row = QueueDay.objects.get()
        assert (row.queue, row.lang, row.came, row.settled, row.waiting) == ("report", "en", 1, 1, 0)

    def test_a_day_that_is_over_stays_as_it_was(self, alice: User, bob: User) -> None:
        day = datetime.now(UTC).date() - 5 * DAY
        QueueDay.objects.create(day=day, queue="report", lang="en", came=7, settled=2, waiting=40)
        report(new_prompt(alice), bob, days_ago=5)
        history.count_days()
        assert QueueDay.objects.get(day=day).waiting == 40

    def test_what_is_older_than_a_year_goes(self) -> None:
        for days in (300, 400):
            day = datetime.now(UTC).date() - days * DAY
            QueueDay.objects.create(day=day, queue="report", lang="en", came=1, settled=0, waiting=1)
        assert history.forget_days() == 1 and QueueDay.objects.count() == 1

    def test_charts_and_a_table_say_the_same(self, page: Client, alice: User, bob: User) -> None:
        assert "The last four weeks" not in words(page)
        report(new_prompt(alice), bob)
        history.count_days()
        html = page.get(reverse("admin:index")).text
        assert html.count('class="desk-chart"') == 2 and "The numbers as a table" in html
        assert "<title>" in html and "Came: 1</title>" in html

    def test_pairs_of_columns_stand_side_by_side(self) -> None:
        chart = charts.draw("pairs", ["", "Came", "Settled"], [("Monday", 4, 2), ("Tuesday", 0, 3)])
        assert chart is not None
        columns = [rect for rect in chart.rects if rect.tone.startswith("series")]
        assert [rect.title for rect in columns] == ["Monday, Came: 4", "Monday, Settled: 2", "Tuesday, Settled: 3"]
        assert columns[0].x + columns[0].width == pytest.approx(columns[1].x, abs=0.2)
        assert columns[0].height == pytest.approx(2 * columns[1].height, abs=0.2)


class TestNeeds:
    def needs(self, person: User) -> str:
        return " | ".join(need.text for need in needs.find_needs(person, {}, 0))

    def test_complaints_that_acted_often_this_week(self, mo: User, alice: User) -> None:
        prompts = [new_prompt(alice) for _ in range(needs.OFTEN)]
        for prompt in prompts:
            facts = {"tree_id": prompt.tree_id, "revision_id": prompt.revision_id, "voices": 4}
            Proposal.objects.create(message=prompt, kind=Proposal.Kind.FLAGS, **facts)
        assert f"Flags hid or stopped {needs.OFTEN} messages this week, 0 the week before" in self.needs(mo)
        Proposal.objects.filter(message__in=prompts[:2]).update(created_at=timezone.now() - 8 * DAY)
        assert "Flags" not in self.needs(mo)

    def test_languages_that_wait_without_reviewers(self, mo: User, alice: User, bob: User) -> None:
        new_prompt(alice, lang="de")
        assert "German: 2 reviews are needed" in self.needs(mo)
        cache.clear()
        Task.objects.create(
            user=bob, kind="label_initial_prompt", lang="de", status="done", finished_at=NOW - DAY, expires_at=NOW
        )
        assert "German" not in self.needs(mo)

    def test_what_is_broken_is_told_to_administrators(self, mo: User, ida: User, alice: User) -> None:
        JobRecord.objects.create(job="a.job", ended_at=NOW, seconds=1, result="failure", failed_at=NOW)
        JobRecord.objects.create(job="b", ended_at=NOW, seconds=1, result="", failed_at=NOW - DAY, succeeded_at=NOW)
        client = ApiClient.objects.create(name="A program")
        Webhook.objects.create(api_client=client, url="https://example.org", enabled=False, failing_since=NOW)
        Task.objects.create(user=alice, kind="label_initial_prompt", lang="en", expires_at=NOW - DAY)
        told = self.needs(ida)
        for what in ("1 job failed", "1 webhook switched off", "1 task is overdue"):
            assert what in told
        assert self.needs(mo) == ""

    def test_work_that_is_held_for_days(self, ida: User, alice: User, bob: User) -> None:
        new_prompt(alice)
        held = Opening.objects.order_by("id")[0]
        lease = "01890000-0000-7000-8000-000000000000"
        Opening.objects.filter(pk=held.pk).update(holder=bob, lease=lease, held_until=NOW - 2 * DAY)
        assert "1 piece of work has been held" in self.needs(ida)

    def test_what_was_passed_on(self, mo: User, ida: User) -> None:
        Escalation.objects.create(subject_kind="message", subject_id="1", passed_by=mo, note="Odd.")
        assert "1 item passed on to administrators" in words(signed_in(ida))
        assert "passed on" not in words(signed_in(mo))


class TestOwn:
    def test_ones_own_decisions_in_the_words_of_the_desk(self, page: Client, mo: User, alice: User) -> None:
        other = new_person("Max", "moderator")
        for moderator, act, reason in ((mo, "pass_on", "Mine."), (mo, "keep+warn", "Too."), (other, "keep", "Theirs.")):
            DeskDecision.objects.create(
                moderator=moderator, session="s", subject_kind="message", subject_id="1", act=act, reason=reason
            )
        prompt = new_prompt(alice, "Buy my flour! " * 20)
        for kind, key, act in (("message", prompt.pk, "delete+warn"), ("person", alice.pk, "pass_on")):
            DeskDecision.objects.create(
                moderator=mo, session="s", subject_kind=kind, subject_id=str(key), act=act, reason="So."
            )
        shown = words(page)
        assert "Mine." in shown and "Theirs." not in shown and "Kept. Warned." in shown
        assert "Removed. Warned. Buy my flour! Buy" in shown and "Buy my flour! " * 7 not in shown
        assert f"Passed on to an administrator. {alice.display_name}" in shown and "pass_on" not in shown

    def test_one_press_takes_a_decision_back(self, page: Client, mo: User, alice: User) -> None:
        prompt = new_prompt(alice)
        with collected_entries() as entries:
            moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Spam.", policy=POLICY)
        about = {"session": "s", "subject_kind": "message", "subject_id": str(prompt.pk), "act": "delete"}
        decision = DeskDecision.objects.create(moderator=mo, reason="Spam.", entries=[entries[0].pk], **about)
        url = reverse("admin:decision_undo", args=[decision.pk])
        assert f'action="{url}"' in page.get(reverse("admin:index")).text
        other = signed_in(new_person("Max", "moderator"))
        assert "Only those who decided this" in other.post(url, follow=True).text
        assert "It is undone." in page.post(url, follow=True).text
        assert not Message.objects.get(pk=prompt.pk).deleted
        assert url not in page.get(reverse("admin:index")).text

    def test_acts_on_many_that_are_not_over(self, page: Client, mo: User) -> None:
        for stage in (BulkAct.Stage.STOPPED, BulkAct.Stage.DONE):
            BulkAct.objects.create(moderator=mo, act="delete", stage=stage, preview={"rows": 12}, chosen_by="These")
        assert words(page).count("Your act on many: Remove, with everything below (12)") == 1


def test_it_costs_the_same_whatever_there_is(ida: User, mo: User, alice: User) -> None:
    def cost() -> tuple[int, int]:
        client = signed_in(ida)
        cache.clear()
        numbers = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                assert client.get(reverse("admin:index")).status_code == 200
            numbers.append(len(captured))
        return numbers[0], numbers[1]

    def fill(number: int) -> None:
        for person in new_people(number):
            prompt = new_prompt(alice)
            entry: Any = report(prompt, person)
            DeskDecision.objects.create(
                moderator=ida, session="s", subject_kind="m", subject_id="1", act="keep", reason="x", entries=[1]
            )
            assert entry.pk
        history.count_days()

    fill(1)
    few = cost()
    fill(10)
    assert cost() == few
    assert few[0] <= 12 and few[1] <= 10
