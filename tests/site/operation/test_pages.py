"""Operators see how the site runs and what each job is for; they change times, run, retry and give up jobs."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from oasst.accounts.groups import Duty
from oasst.accounts.models import User
from oasst.accounts.site_settings import changing as site_settings
from oasst.core import jobs
from oasst.core.after_commit import enqueue_one_run
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry, JobRecord, WaitingJob
from oasst.site import health
from oasst.site.admin_site import navigation
from oasst.site.beat_schedule import SCHEDULES
from oasst.site.operation import changing, times
from oasst.site.operation.descriptions import DESCRIPTIONS
from tests.concurrency.together import at_once
from tests.core.test_jobs import Queue
from tests.factories import new_person

pytestmark = pytest.mark.django_db
STATISTICS = "leaderboard.schedules.refresh_statistics"
MAIL = "oasst.accounts.jobs.mail_about_ban"
NIGHT = "trees.schedules.learn_reviewers"
KEPT = "trees.jobs.moderate_message"
HEARTBEAT = health.HEARTBEAT_JOB
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WHY = "At night."


@pytest.fixture
def olga(db: None) -> User:
    """An operator."""
    olga = new_person("Olga")
    User.objects.filter(pk=olga.pk).update(duties=[Duty.OPERATOR], time_zone="Europe/Berlin")
    return User.objects.get(pk=olga.pk)


@pytest.fixture
def page(olga: User) -> Client:
    rows = dict[str, CrontabSchedule]()
    for entry in SCHEDULES:
        if str(entry.when) not in rows:
            rows[str(entry.when)] = CrontabSchedule.from_schedule(entry.when)
            rows[str(entry.when)].save()
    clock = [PeriodicTask(name=one.name, task=one.job, crontab=rows[str(one.when)]) for one in SCHEDULES]
    PeriodicTask.objects.bulk_create(clock)  # as setup_schedules does, in few statements
    return signed_in(olga)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(monkeypatch)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def address(job: str) -> str:
    return reverse("admin:job", args=[job])


def words(client: Client, url: str) -> str:
    """Return the text of a page."""
    html = client.get(url, follow=True).text
    main = html.partition('id="main"')[2] or html
    text = " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", main, flags=re.S)).split())
    return re.sub(r" ([.,])(?= |$)", r"\1", text)


def clock_of(job: str) -> PeriodicTask:
    return PeriodicTask.objects.select_related("crontab").get(task=job)


def when(job: str) -> str:
    crontab = clock_of(job).crontab
    assert crontab is not None
    return " ".join(times.parts_of(crontab.schedule))


def ran(job: str, *, ago: timedelta = timedelta(0), **facts: Any) -> None:
    at = timezone.now() - ago
    facts = {"ended_at": at, "seconds": 1.5, "result": "done", "runs": 3, "succeeded_at": at, **facts}
    JobRecord.objects.update_or_create(job=job, defaults=facts)


def failed(job: str, error: str, **facts: Any) -> None:
    now = timezone.now()
    since = {"failing_since": now - 2 * HOUR, "failures_in_row": 4, "succeeded_at": now - DAY}
    ran(job, failed_at=now, result="failure", failures=9, last_error=error, **{**since, **facts})


def waits(job: str, *args: Any, **facts: Any) -> WaitingJob:
    facts = {"due_at": timezone.now() + HOUR, "sent_at": None, "attempts": 3, **facts}
    return WaitingJob.objects.create(job=job, args=list(args), **facts)


def everything() -> list[Any]:
    """Return what an act of an operator may change."""
    tables = (PeriodicTask, WaitingJob, AuditEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in tables]  # type: ignore[attr-defined]


def press(client: Client, job: str, do: str, **sent: Any) -> Any:
    return client.post(address(job), {"do": do, **sent}, follow=True)


class TestStartPage:
    def test_operators_land_there(self, page: Client) -> None:
        assert page.get(reverse("admin:index"))["Location"] == reverse("admin:operation")
        menu = [item["title"] for group in navigation(self.request(page)) for item in group["items"]]
        assert menu[0] == "Operation" and menu.count("Operation") == 1 and "Queues" not in menu

    def request(self, page: Client) -> Any:
        return page.get(reverse("admin:operation")).wsgi_request

    def test_a_site_that_is_well(self, page: Client) -> None:
        for entry in SCHEDULES:
            ran(entry.job)
        shown = words(page, reverse("admin:operation"))
        assert "All jobs run on time and went well." in shown and "broken" not in shown
        assert "Open without an announcement" in shown and "0 jobs wait or run" in shown

    def test_what_needs_a_look_the_worst_first(self, page: Client, olga: User) -> None:
        for entry in SCHEDULES:
            ran(entry.job)
        failed("trees.schedules.retry_scoring", "PartialFailure: 2 failed; the first was 1: ValueError: odd; also 2")
        ran("tasks.schedules.clean_up", ago=3 * HOUR)
        changing.switch("oasst.site.notices.jobs.begin_digests", on=False, actor=olga, reason=WHY)
        waits(MAIL, 1, created_at=timezone.now() - 5 * HOUR)
        shown = words(page, reverse("admin:operation"))
        for what in (
            "Try failed rankings again Some items failed; the others are done. 4 failed runs in a row",
            "Close expired tasks Its last run ended 3 h ago, and it runs hourly at minute 10.",
            "Mail what people have not read No such mail is sent.",
            "1 job waits or runs the oldest: 5 h ago 1 of them failed before",
        ):
            assert what in shown
        assert shown.index("Try failed rankings") < shown.index("Close expired") < shown.index("Mail what people")
        html = page.get(reverse("admin:operation")).text
        assert html.count('<li class="is-bad">') == 3

    def test_workers_and_beat_that_stand_still(self, page: Client) -> None:
        now = timezone.now()
        ran(HEARTBEAT, ago=20 * timedelta(minutes=1))
        PeriodicTask.objects.filter(task=HEARTBEAT).update(last_run_at=now)
        assert re.search("broken Worker No job ended.* ok Beat", words(page, reverse("admin:operation")))
        PeriodicTask.objects.update(last_run_at=now - HOUR)
        ran(MAIL)
        assert re.search("ok Worker .* broken Beat Nothing was sent", words(page, reverse("admin:operation")))

    def test_a_service_that_is_away(self, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "_check_redis", lambda: "Redis does not answer.")
        assert "broken Redis Redis does not answer." in words(page, reverse("admin:operation"))

    def test_what_is_set_for_the_whole_site(self, page: Client, olga: User) -> None:
        site_settings.change(actor=olga, reason=WHY, maintenance=True, announcement="We move.", chat=False)
        shown = words(page, reverse("admin:operation"))
        assert "Maintenance with an announcement switched off: Chat" in shown


class TestJobs:
    def test_each_with_its_name_and_times_in_ones_own_zone(self, page: Client) -> None:
        ran(STATISTICS)
        shown = words(page, reverse("admin:jobs"))
        assert all(str(one.title) in shown for one in DESCRIPTIONS.values() if not one.job.startswith("celery."))
        assert "daily at 03:20 UTC (04:20 your time)" in shown or "daily at 03:20 UTC (05:20 your time)" in shown
        assert "Refresh the statistics went well every 10 minutes" in shown and "1.50 s" in shown

    def test_one_job(self, page: Client) -> None:
        ran(STATISTICS, runs=40, result="7")
        shown = words(page, address(STATISTICS))
        for what in (
            "Computes the figures of the statistics pages.",
            "While it is off: The statistics pages show the figures of the last run.",
            "went well",
            "Result 7",
            "Runs 40",
            "every 10 minutes",
        ):
            assert what in shown

    def test_a_job_that_nobody_knows(self, page: Client) -> None:
        assert page.get(address("os.system")).status_code == 404
        assert press(page, "os.system", "run").status_code == 404
        assert not WaitingJob.objects.exists()

    def test_a_job_of_another_release_is_shown_by_its_name(self, page: Client) -> None:
        ran("gone.job")
        assert "gone.job" in words(page, reverse("admin:jobs"))
        assert "This release does not know this job." in words(page, address("gone.job"))

    def test_without_a_row_of_the_clock(self, page: Client) -> None:
        PeriodicTask.objects.filter(task=STATISTICS).delete()
        assert "Run ./manage.py setup_schedules." in words(page, reverse("admin:operation"))
        answer = press(page, STATISTICS, "off", reason=WHY)
        assert answer.status_code == 422 and "setup_schedules, then try again" in answer.text


class TestFailures:
    @pytest.mark.parametrize(
        ("job", "error", "told", "hint"),
        [
            (STATISTICS, "JobTimeout: It took longer than 240 seconds.", "longer than a job may", "next run"),
            (STATISTICS, "OperationalError: timeout", "The database did not answer", "runs again by itself"),
            (STATISTICS, "ProgrammingError: no column", "do not fit together", "./manage.py migrate"),
            (STATISTICS, "ZeroDivisionError: division", "an error of the program", "Please report it"),
            (MAIL, "SMTPRecipientsRefused: …", "The mail server refused", "EMAIL_URL"),
            ("oasst.site.schedules.check_invariants", "AssertionError: 3 differences", "must not be", "rebuild_scores"),
        ],
    )
    def test_in_words_with_what_helps(self, page: Client, job: str, error: str, told: str, hint: str) -> None:
        failed(job, error)
        shown = words(page, address(job))
        assert told in shown and hint in shown and "4 failed runs in a row, the first 2 h ago." in shown
        assert "It last went well 24 h ago." in shown or "It last went well 1 day ago." in shown

    def test_which_items_failed(self, page: Client) -> None:
        failed(STATISTICS, "PartialFailure: 2 failed; the first was one: ValueError: odd; also two")
        assert "the first was one: ValueError: odd; also two" in words(page, address(STATISTICS))

    def test_of_a_job_about_a_person_the_message_is_not_shown(self, page: Client) -> None:
        failed(MAIL, "ValueError: Ann Smith wrote: my cat died")
        shown = words(page, address(MAIL))
        assert "Ann" not in shown and "ValueError" in shown and "only the log of the worker has it" in shown

    def test_what_went_well_since_is_past(self, page: Client) -> None:
        now = timezone.now()
        ran(STATISTICS, failed_at=now - HOUR, last_error="ValueError: odd", succeeded_at=now)
        shown = words(page, address(STATISTICS))
        assert "The last failure, before it went well again" in shown and "in a row" not in shown


class TestTimes:
    @pytest.mark.parametrize(
        ("sent", "cron", "said"),
        [
            ({"pattern": "minutes", "minutes": "30"}, "*/30 * * * *", "every 30 minutes"),
            ({"pattern": "hourly", "minute": "7"}, "7 * * * *", "hourly at minute 7"),
            ({"pattern": "daily", "day_at": "03:20"}, "20 3 * * *", "daily at 03:20 UTC"),
            ({"pattern": "weekly", "weekday": "6", "week_at": "12:00"}, "0 12 * * 6", "weekly on Saturday at 12:00"),
            ({"pattern": "cron", "cron": "5 */2 * * *"}, "5 */2 * * *", "at the times of cron 5 */2 * * *"),
        ],
    )
    def test_other_times_stay_after_a_deploy(self, page: Client, sent: Any, cron: str, said: str) -> None:
        shown = press(page, STATISTICS, "times", reason=WHY, **sent).text
        assert "It has new times." in shown and said in shown and "Default:" in shown and WHY in shown
        if sent["pattern"] == "hourly":
            call_command("setup_schedules", verbosity=0)
        assert when(STATISTICS) == cron
        entry = AuditEntry.objects.select_related("text").latest("pk")
        assert (entry.act, entry.text.reason) == ("schedule.change", WHY)

    def test_back_to_the_default(self, page: Client, olga: User) -> None:
        changing.change_times(STATISTICS, times.write(times.Times(times.Pattern.HOURLY)), actor=olga, reason=WHY)
        assert "Back to the default: every 10 minutes" in page.get(address(STATISTICS)).text
        assert "default times again" in press(page, STATISTICS, "default", reason=WHY).text
        assert when(STATISTICS) == "*/10 * * * *"
        assert "Back to the default" not in page.get(address(STATISTICS)).text

    def test_the_same_times_change_nothing(self, page: Client) -> None:
        before = everything()
        assert (
            "nothing was changed" in press(page, STATISTICS, "times", pattern="minutes", minutes="10", reason=WHY).text
        )
        assert everything() == before

    @pytest.mark.parametrize(
        ("do", "sent", "told"),
        [
            ("times", {"pattern": "daily", "reason": WHY}, "Please fill this in."),
            ("times", {"pattern": "cron", "cron": "99 * * * *", "reason": WHY}, "five parts as cron"),
            ("times", {"pattern": "minutes", "minutes": "30", "reason": " "}, "Please say why"),
            ("times", {"pattern": "minutes", "minutes": "30", "reason": "x" * 501}, "500"),
            ("off", {}, "Please say why"),
            ("dance", {"reason": WHY}, "Please press one of the buttons"),
        ],
    )
    def test_a_refusal_says_why_and_keeps_what_was_typed(self, page: Client, do: str, sent: Any, told: str) -> None:
        before = everything()
        answer = press(page, STATISTICS, do, **sent)
        assert answer.status_code == 422 and told in answer.text
        assert f'value="{sent.get("reason", "")}"' in answer.text and everything() == before

    def test_off_and_on(self, page: Client) -> None:
        assert "It is switched off." in press(page, STATISTICS, "off", reason=WHY).text
        assert not clock_of(STATISTICS).enabled and "switched off" in words(page, reverse("admin:operation"))
        assert "It is switched on." in press(page, STATISTICS, "on", reason=WHY).text
        assert clock_of(STATISTICS).enabled
        ran(STATISTICS, ago=3 * DAY)
        assert "overdue" not in words(page, address(STATISTICS)), "it may take its time from now on"

    @pytest.mark.parametrize("job", [job for job, one in DESCRIPTIONS.items() if one.needed])
    def test_what_the_site_cannot_do_without(self, page: Client, olga: User, job: str) -> None:
        before = everything()
        with pytest.raises(Conflict) as refusal:
            changing.switch(job, on=False, actor=olga, reason=WHY)
        assert str(DESCRIPTIONS[job].needed) in refusal.value.message
        rare = times.write(times.Times(times.Pattern.CRON, cron="0 0 1 * *"))
        with pytest.raises(Invalid, match="has to run at least every"):
            changing.change_times(job, rare, actor=olga, reason=WHY)
        assert everything() == before
        assert "Switch off" not in page.get(address(job)).text


class TestRunNow:
    def test_it_runs_once_and_the_page_tells_what_became_of_it(self, page: Client, queue: Queue) -> None:
        with transaction.atomic():
            answer = press(page, STATISTICS, "run")
            assert "A worker runs it as soon as one is free." in answer.text
            assert "A run was asked for just now." in words(page, address(STATISTICS))
            assert 'data-refresh="' in answer.text and "refresh.js" in answer.text
        waiting = WaitingJob.objects.get()
        jobs._record_run(STATISTICS, "SUCCESS", 0.4, 12)
        jobs._update_waiting(str(waiting.pk), "SUCCESS", retries=0)
        html = page.get(address(STATISTICS)).text
        assert "data-refresh-over" in html and "refresh.js" not in html
        assert "Result 12" in words(page, address(STATISTICS))
        assert AuditEntry.objects.latest("pk").act == "job.run"

    def test_a_second_press_says_so(self, page: Client) -> None:
        press(page, STATISTICS, "run")
        before = everything()
        answer = press(page, STATISTICS, "run")
        assert answer.status_code == 422 and "waits for a worker or goes on already" in answer.text
        assert everything() == before

    def test_a_run_that_fails_is_over(self, page: Client) -> None:
        """The clock runs it again at its own times, so nobody repeats it."""
        press(page, STATISTICS, "run")
        waiting = WaitingJob.objects.get()
        jobs._update_waiting(str(waiting.pk), "RETRY", retries=0)
        assert WaitingJob.objects.get().attempts == 1
        jobs._update_waiting(str(waiting.pk), "FAILURE", retries=5)
        assert not WaitingJob.objects.exists()

    def test_a_long_one_is_not_sent_again_while_it_may_run(self, page: Client, queue: Queue) -> None:
        current_app.loader.import_default_modules()  # a process that sends jobs knows them
        press(page, "trees.schedules.find_topics", "run")
        row = WaitingJob.objects.get()
        assert row.due_at > timezone.now() + 3 * HOUR
        WaitingJob.objects.update(due_at=timezone.now())
        jobs.send_waiting()
        assert WaitingJob.objects.get().due_at > timezone.now() + 3 * HOUR

    def test_not_one_that_belongs_to_what_somebody_did(self, page: Client, olga: User) -> None:
        before = everything()
        with pytest.raises(NotFound, match="belong to what somebody did"):
            changing.run_now(KEPT, actor=olga)
        assert everything() == before
        assert "Run now" not in page.get(address(KEPT)).text

    def test_a_job_that_failed_can_be_tried_again(self, page: Client) -> None:
        failed(STATISTICS, "ValueError: odd")
        assert "Try again now" in page.get(address(STATISTICS)).text
        press(page, STATISTICS, "run")
        assert WaitingJob.objects.get().once


@pytest.mark.django_db(transaction=True)
def test_of_rivals_one_run_is_asked_for(queue: Queue) -> None:
    def ask() -> bool:
        with transaction.atomic():
            return enqueue_one_run(STATISTICS, is_long=False)

    assert sorted(at_once([ask] * 4)) == [False, False, False, True]  # type: ignore[type-var]
    assert len(queue.sent) == WaitingJob.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_rivals_who_try_a_job_again_one_sends_it(queue: Queue, olga: User) -> None:
    row = waits(MAIL, 1)

    def again() -> None:
        changing.try_now(row.pk, actor=olga, reason=WHY)

    found = at_once([again] * 3)
    assert [one.code for one in found if isinstance(one, DomainError)] == ["just_sent"] * 2
    assert len(queue.sent) == 1 and AuditEntry.objects.filter(act="job.retry").count() == 1


class TestWaiting:
    url = "admin:core_waitingjob_changelist"

    def act(self, client: Client, action: str, *rows: WaitingJob, reason: str = WHY) -> str:
        data = {"action": action, "reason": reason, "_selected_action": [str(row.pk) for row in rows]}
        return str(client.post(reverse(self.url), data, follow=True).text)

    def test_in_words_and_without_anything_that_people_wrote(self, page: Client) -> None:
        row = waits("oasst.accounts.jobs.mark_alike", "annsmith")
        about = uuid4()
        waits(KEPT, str(about))
        shown = words(page, reverse(self.url))
        assert "Tell names apart that look alike …" in shown and "annsmith" not in shown and str(about) in shown
        assert "annsmith" not in page.get(reverse("admin:core_waitingjob_change", args=[row.pk])).text

    @pytest.mark.django_db(transaction=True)
    def test_try_now(self, page: Client, queue: Queue) -> None:
        row = waits(MAIL, 1)
        assert "sent to the workers" in self.act(page, "try_now", row)
        assert queue.sent == [(MAIL, [1], str(row.pk))]
        before = everything()
        assert "was sent a moment ago" in self.act(page, "try_now", row)
        assert len(queue.sent) == 1 and everything() == before

    def test_a_run_of_a_night_job_is_not_sent_twice(self, page: Client, queue: Queue) -> None:
        asked = timezone.now() - timedelta(minutes=30)
        row = waits(NIGHT, once=True, attempts=0, created_at=asked, sent_at=asked)
        assert "maybe for hours" in self.act(page, "try_now", row) and not queue.sent

    def test_give_up_what_does_no_harm(self, page: Client) -> None:
        row, stays = waits(MAIL, 1), waits(MAIL, 2)
        assert "given up" in self.act(page, "give_up", row)
        assert list(WaitingJob.objects.all()) == [stays]
        entry = AuditEntry.objects.select_related("text").latest("pk")
        assert (entry.act, entry.target_id, entry.text.reason) == ("job.give_up", str(row.pk), WHY)

    def test_what_somebody_would_miss_is_not_given_up(self, page: Client) -> None:
        row = waits(KEPT, str(uuid4()))
        before = everything()
        assert "This job cannot be given up. The complaints would not count" in self.act(page, "give_up", row)
        assert everything() == before
        change = page.get(reverse("admin:core_waitingjob_change", args=[row.pk])).text
        assert "The complaints would not count" in change and 'value="give_up"' not in change

    def test_a_run_that_an_operator_asked_for_can_be_given_up(self, page: Client) -> None:
        press(page, STATISTICS, "run")
        assert "given up" in self.act(page, "give_up", WaitingJob.objects.get())
        assert not WaitingJob.objects.exists()

    def test_one_that_is_done_meanwhile(self, olga: User) -> None:
        for service in (changing.try_now, changing.give_up):
            with pytest.raises(NotFound, match="This job is done"):
                service(uuid4(), actor=olga, reason=WHY)

    def test_one_that_nobody_can_run(self, page: Client, olga: User) -> None:
        row = waits("gone.job")
        with pytest.raises(Conflict, match="does not know this job"):
            changing.try_now(row.pk, actor=olga, reason=WHY)
        assert "given up" in self.act(page, "give_up", row)

    @pytest.mark.parametrize("action", ["try_now", "give_up"])
    def test_not_without_a_reason(self, page: Client, action: str) -> None:
        row = waits(MAIL, 1)
        before = everything()
        assert "Please say why" in self.act(page, action, row, reason=" ")
        assert everything() == before


ACTS: dict[str, Callable[[User, WaitingJob], Any]] = {
    "times": lambda user, row: changing.change_times(STATISTICS, SCHEDULES[0].when, actor=user, reason=WHY),
    "default": lambda user, row: changing.reset_times(STATISTICS, actor=user, reason=WHY),
    "off": lambda user, row: changing.switch(STATISTICS, on=False, actor=user, reason=WHY),
    "run": lambda user, row: changing.run_now(STATISTICS, actor=user),
    "retry": lambda user, row: changing.try_now(row.pk, actor=user, reason=WHY),
    "give up": lambda user, row: changing.give_up(row.pk, actor=user, reason=WHY),
}


class TestRights:
    @pytest.mark.parametrize("act", ACTS)
    def test_only_operators_act(self, page: Client, alice: User, mo: User, act: str) -> None:
        audrey = new_person("Audrey")
        User.objects.filter(pk=audrey.pk).update(duties=[Duty.AUDITOR])
        row = waits(MAIL, 1)
        before = everything()
        for person in (alice, mo, User.objects.get(pk=audrey.pk)):
            with pytest.raises(NotAllowed):
                ACTS[act](person, row)
        assert everything() == before

    def test_moderators_see_none_of_it_and_auditors_press_nothing(self, page: Client, mo: User) -> None:
        audrey = new_person("Audrey")
        User.objects.filter(pk=audrey.pk).update(duties=[Duty.AUDITOR])
        for url in (reverse("admin:operation"), reverse("admin:jobs"), address(STATISTICS)):
            assert signed_in(mo).get(url).status_code == 403
            assert signed_in(audrey).get(url).status_code == 200
            assert Client().get(url)["Location"].startswith("/accounts/login/")
        html = signed_in(audrey).get(address(STATISTICS)).text
        assert "Run now" not in html and "Save the times" not in html
        before = everything()
        assert press(signed_in(audrey), STATISTICS, "run").status_code == 403
        assert everything() == before


@pytest.mark.parametrize("url", ["admin:operation", "admin:jobs"])
def test_ten_times_the_rows_cost_the_same(page: Client, url: str) -> None:
    def cost() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert page.get(reverse(url)).status_code == 200
        return len(captured)

    for number in range(3):
        ran(f"job.{number}")
        waits(MAIL, number)
    few = cost()
    for number in range(30):
        ran(f"job.{number}")
        waits(MAIL, number)
    assert cost() == few <= 12
