"""Jobs: safe to repeat, stored in the database, retried, measured."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery, current_app, shared_task
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from oasst.core import jobs
from oasst.core.after_commit import enqueue, wake
from oasst.core.ids import uuid7
from oasst.core.models import JobRecord, WaitingJob
from oasst.site import health
from oasst.site.beat_schedule import SCHEDULES
from tests.concurrency.together import at_once
from tests.factories import new_person, new_prompt, new_veterans
from trees.contributing import reactions
from trees.models import Message

done: list[str] = []


@shared_task
def note_it(what: str) -> str:
    done.append(what)
    return f"noted {what}"


@shared_task
def failing_job(what: str) -> None:
    raise ZeroDivisionError(what)


@shared_task
def breaking_job(text: str) -> None:
    with transaction.atomic():
        WaitingJob.objects.create(job=text, args=[text], due_at=None)


class Queue:
    """The queue as a list, and a worker that runs its jobs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, list[Any], str]] = []

        def send(name: str, args: Any, task_id: str = "") -> None:
            self.sent.append((name, list(args), task_id))

        monkeypatch.setattr(
            Celery, "send_task", lambda app, name, args=(), task_id="", **options: send(name, args, task_id)
        )
        monkeypatch.setattr(
            jobs.Job, "apply_async", lambda job, args=(), task_id="", **options: send(job.name, args, task_id)
        )

    def work(self) -> None:
        while self.sent:
            name, args, task_id = self.sent.pop(0)
            if task_id:
                current_app.tasks[name].apply(args=args, task_id=task_id, throw=False)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    done.clear()
    return Queue(monkeypatch)


@pytest.mark.django_db(transaction=True)
class TestMarks:
    def test_a_job_is_marked_until_it_is_done(self, queue: Queue) -> None:
        with transaction.atomic():
            enqueue(note_it, "one")
            assert queue.sent == []
        assert WaitingJob.objects.count() == 1
        queue.work()
        assert (done, WaitingJob.objects.count()) == (["one"], 0)

    def test_nothing_is_left_of_a_transaction_that_failed(self, queue: Queue) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            enqueue(note_it, "never")
            raise ZeroDivisionError
        assert (queue.sent, WaitingJob.objects.count()) == ([], 0)

    def test_what_the_queue_lost_is_sent_again_and_done_once(self, queue: Queue) -> None:
        enqueue(note_it, "one")
        queue.sent.clear()  # Redis was flushed
        assert jobs.send_waiting() == 0, "it may still be on its way"
        WaitingJob.objects.update(due_at=timezone.now())
        assert jobs.send_waiting() == 1
        assert jobs.send_waiting() == 0
        queue.work()
        assert (done, WaitingJob.objects.count()) == (["one"], 0)

    def test_a_reader_is_woken_once_for_what_is_committed_in_a_moment(self, queue: Queue) -> None:
        """It starts after the pause, so it finds what later commits wrote."""
        cache.delete_many([f"woken:{note_it.name}", f"woken:{failing_job.name}"])
        with transaction.atomic():
            for _ in range(3):
                wake(note_it.name)
            wake(failing_job.name)
            assert queue.sent == []
        assert [name for name, *_ in queue.sent] == [note_it.name, failing_job.name]
        cache.delete(f"woken:{note_it.name}")  # the pause is over
        wake(note_it.name)
        assert [name for name, *_ in queue.sent] == [note_it.name, failing_job.name, note_it.name]

    def test_two_clocks_send_it_once(self, queue: Queue) -> None:
        enqueue(note_it, "one")
        WaitingJob.objects.update(due_at=timezone.now())
        queue.sent.clear()
        assert sorted(at_once([jobs.send_waiting, jobs.send_waiting])) == [0, 1]  # type: ignore[type-var]
        assert len(queue.sent) == 1

    def test_eight_who_do_it_for_the_first_time_at_once_are_all_counted(self) -> None:
        eight = [lambda: note_it.apply(args=["this"]), lambda: failing_job.apply(args=["that"])] * 8
        assert not [one for one in at_once(eight) if isinstance(one, Exception)]
        facts = JobRecord.objects.filter(job__in=(note_it.name, failing_job.name))
        assert dict(facts.values_list("job", "runs")) == {note_it.name: 8, failing_job.name: 8}
        assert dict(facts.values_list("job", "failures")) == {note_it.name: 0, failing_job.name: 8}

    def test_a_job_that_fails_waits_longer_each_time_and_stays(self, queue: Queue) -> None:
        enqueue(failing_job, "here")
        queue.work()
        row = WaitingJob.objects.get()
        assert row.attempts >= 1
        assert row.due_at > timezone.now() + timedelta(minutes=1)
        record = JobRecord.objects.get(job=failing_job.name)
        assert record.failures == record.runs >= 1
        assert "ZeroDivisionError: here" in record.last_error

    def test_why_it_failed_is_kept_without_what_the_log_hides(self, queue: Queue) -> None:
        enqueue(failing_job, "password=s3cr3tV4lue refused, mail to ann@example.org \x1b[2J")
        queue.work()
        record = JobRecord.objects.get(job=failing_job.name)
        assert record.last_error == "ZeroDivisionError: password=… refused, mail to …@example.org \\x1b[2J"

    def test_of_a_database_error_no_values_are_kept(self, queue: Queue) -> None:
        """PostgreSQL quotes the row, which may be somebody's text."""
        enqueue(breaking_job, "Please help, my name is Ann.")
        queue.work()
        record = JobRecord.objects.get(job=breaking_job.name)
        assert record.last_error.startswith("IntegrityError: ") and "Ann" not in record.last_error

    def test_it_is_kept_since_when_a_job_fails(self, queue: Queue) -> None:
        record = JobRecord.objects.filter(job=failing_job.name)
        failing_job.apply(args=["here"], retries=5)
        first = record.get().failing_since
        failing_job.apply(args=["here"], retries=5)
        assert first is not None
        assert (record.get().failing_since, record.get().failures_in_row) == (first, 2)
        jobs._record_run(failing_job.name, "SUCCESS", 0.1, None)
        assert (record.get().failing_since, record.get().failures_in_row) == (None, 0)

    def test_of_several_items_that_failed_each_is_named(self) -> None:
        texts = [Message(pk=uuid7(), text="my secret") for _ in range(2)]

        def fail(message: Message) -> None:
            raise ValueError("odd")

        with pytest.raises(jobs.PartialFailure) as failure:
            jobs.run_for_each(texts, fail)
        told = str(failure.value)
        assert "secret" not in told and "ValueError: odd" in told
        assert all(f"trees.message {one.pk}" in told for one in texts)

    def test_complaints_are_looked_at_although_redis_was_flushed(self, queue: Queue) -> None:
        alice = new_person("Alice")
        prompt = new_prompt(alice)
        for person in new_veterans(4):
            reactions.set_reaction(message_id=prompt.pk, user=person, emoji="red_flag", on=True)
        queue.sent.clear()
        WaitingJob.objects.update(due_at=timezone.now())
        jobs.send_waiting()
        queue.work()
        prompt.tree.refresh_from_db()
        assert prompt.tree.state == "halted_by_moderator"
        assert not WaitingJob.objects.exists()


@shared_task
def slow_job() -> None:
    """One statement that never ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(600)")


@shared_task(name="tests.night_job", base=jobs.NightJob)
def night_job() -> None: ...


@shared_task
def never_end() -> None:
    """An endless series of short statements."""
    while True:
        WaitingJob.objects.count()


def timeout_now() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
class TestBounds:
    """Workers are threads, which cannot be killed: a job that never ends would block its thread forever."""

    @pytest.mark.parametrize("job", [slow_job, never_end])
    def test_a_job_ends(self, queue: Queue, monkeypatch: pytest.MonkeyPatch, job: Any) -> None:
        monkeypatch.setattr(jobs.Job, "max_seconds", 0.3)
        before = timeout_now()
        enqueue(job)
        queue.work()
        assert timeout_now() == before
        record, row = JobRecord.objects.get(job=job.name), WaitingJob.objects.get()
        assert record.failures == record.runs >= 1
        assert row.attempts >= 1

    def test_what_runs_beside_it_is_not_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs.Job, "max_seconds", 60)
        before, seen = timeout_now(), []
        monkeypatch.setattr(note_it, "run", lambda: seen.append(timeout_now()))
        note_it()
        assert (seen, timeout_now()) == (["1min"], before)

    def test_a_night_job_may_take_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[str] = []
        monkeypatch.setattr(night_job, "run", lambda: seen.append(timeout_now()))
        night_job()
        assert seen == ["2h"]

    def test_each_ends_before_the_queue_hands_it_out_again(self) -> None:
        """A longer job is acknowledged when it starts, otherwise the queue would deliver it a second time."""
        current_app.loader.import_default_modules()
        again = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
        ours = [job for job in current_app.tasks.values() if isinstance(job, jobs.Job)]
        assert len(ours) > len(SCHEDULES)
        # The last statement may start just before the limit and take as long again.
        assert [job.name for job in ours if job.acks_late and 2 * job.max_seconds > again] == []
        assert [job.name for job in ours if not job.acks_late and not job.max_seconds] == []


@pytest.mark.django_db(transaction=True)
class TestAWorkerThatWasAway:
    def test_what_waited_too_long_is_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The clock sends its jobs again, and jobs of a commit have a row."""
        sent: dict[str, Any] = {}
        monkeypatch.setattr(
            Celery,
            "send_task",
            lambda app, name, args=(), kwargs=None, **options: sent.update({name: options["expires"]}),
        )
        current_app.loader.import_default_modules()
        for entry in SCHEDULES:
            current_app.tasks[entry.job].apply_async()
        new_prompt(new_person("Alice"))
        nightly = {entry.job for entry in SCHEDULES if isinstance(current_app.tasks[entry.job], jobs.NightJob)}
        assert {name for name, expires in sent.items() if expires is None} == nightly
        assert {expires for name, expires in sent.items() if name not in nightly} == {jobs.EXPIRES_AFTER}


@pytest.mark.django_db(transaction=True)
class TestEveryJob:
    def test_each_scheduled_job_may_run_twice_and_at_once(self) -> None:
        current_app.loader.import_default_modules()
        new_prompt(new_person("Alice"))
        for entry in SCHEDULES:
            job = current_app.tasks[entry.job]
            if entry.job.endswith("check_invariants"):
                continue  # only reads, and finds a prompt that nobody has as a task
            job()
            job()
            assert not [one for one in at_once([job, job]) if isinstance(one, Exception)], entry.name


@pytest.mark.django_db
class TestWatching:
    def test_metrics_tell_of_each_job(self, client: Client, queue: Queue, settings: Any) -> None:
        note_it.apply(args=["x"])
        settings.METRICS_TOKEN = "s3cret"
        text = client.get("/metrics", HTTP_AUTHORIZATION="Bearer s3cret").content.decode()
        assert f'oasst_job_runs{{job="{note_it.name}"}} 1.0' in text
        assert "oasst_jobs_waiting 0.0" in text

    @pytest.mark.parametrize(("age", "status"), [(None, "degraded"), (1, "ready"), (5, "degraded")])
    def test_a_clock_that_stands_still_degrades(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, age: int | None, status: str
    ) -> None:
        monkeypatch.setattr(health, "_started", -1e9)
        if age is not None:
            ended = timezone.now() - timedelta(minutes=age)
            JobRecord.objects.create(job=health.HEARTBEAT_JOB, ended_at=ended, seconds=0, result="done")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
