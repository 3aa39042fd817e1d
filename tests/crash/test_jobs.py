"""Workers are killed in the middle of jobs. Unfinished jobs run again, once; nothing is counted twice."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import current_app
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from kombu import Connection

from leaderboard import rebuild
from leaderboard.models import CachedStatistic, Standing
from oasst.core.models import JobRecord, WaitingJob
from oasst.site.beat_schedule import SCHEDULES
from tests.crash.processes import Process, wait_until
from tests.crash.settings import CELERY_BROKER_URL
from tests.factories import new_people, new_person, new_prompt, new_veterans, review
from trees.contributing import reactions
from trees.models import Happening, Message

KILLS = 8
PATIENCE = 120


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator[Process]:
    command = ["-m", "celery", "--quiet", "--app", "oasst", "worker", "--pool", "threads", "--concurrency", "2"]
    worker = Process([*command, "--without-gossip", "--without-mingle"], tmp_path / "worker.log")
    try:
        yield worker
    finally:
        worker.kill()


def send(job: str) -> None:
    with Connection(CELERY_BROKER_URL) as queue:
        current_app.send_task(job, connection=queue)


@pytest.mark.slow
class TestKilledWorkers:
    def test_every_job_ends_as_if_nobody_had_been_killed(self, worker: Process) -> None:
        dice, people = random.Random(3), new_people(6)
        jobs = [entry.job for entry in SCHEDULES if not entry.job.endswith("check_invariants")]
        wait_until(lambda: self._answers(), PATIENCE, worker.said)
        for _ in range(KILLS):
            self._live(people, dice)
            for job in jobs:
                send(job)
            time.sleep(dice.random() / 2)
            worker.kill()
            worker.start()
        self._finish(worker, jobs)
        assert not Happening.objects.filter(tallied=False).exists()
        assert list(rebuild.differences()) == []
        before = list(Standing.objects.order_by("pk").values_list("frame", "lang", "person", "points", "quality"))
        rebuild.rebuild()
        after = list(Standing.objects.order_by("pk").values_list("frame", "lang", "person", "points", "quality"))
        assert sorted(after) == sorted(before) != []
        assert CachedStatistic.objects.get(name="human_messages_by_lang").data is not None

    def test_a_flushed_queue_costs_time_and_nothing_else(self, worker: Process, redis_server: "redis.Redis") -> None:
        prompt, others = new_prompt(new_person("Author")), new_veterans(4)
        for person in others:
            reactions.set_reaction(message_id=prompt.pk, user=person, emoji="red_flag", on=True)
        redis_server.flushdb()
        assert WaitingJob.objects.count() == len(others)
        # Two minutes later the clock sends them again.
        WaitingJob.objects.update(due_at=prompt.created_at)
        send("oasst.site.schedules.send_waiting_jobs")
        send("leaderboard.jobs.count_what_happened")
        wait_until(lambda: not WaitingJob.objects.exists(), PATIENCE, worker.said)
        wait_until(lambda: not Happening.objects.filter(tallied=False).exists(), PATIENCE, worker.said)
        prompt.tree.refresh_from_db()
        assert prompt.tree.state == "halted_by_moderator"
        assert list(rebuild.differences()) == []

    def test_what_an_operator_asks_for_runs_once_and_is_told(
        self, worker: Process, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = "leaderboard.schedules.refresh_statistics"
        page = reverse("admin:job", args=[job])
        call_command("setup_schedules", verbosity=0)
        client.force_login(new_person("Ada", "admin"))
        with Connection(CELERY_BROKER_URL) as queue:
            send_task = current_app.send_task
            monkeypatch.setattr(
                current_app, "send_task", lambda *args, **more: send_task(*args, connection=queue, **more)
            )
            answer = client.post(page, {"do": "run"}, follow=True)
            assert "A worker runs it as soon as one is free." in answer.text  # it may be done already
        wait_until(lambda: not WaitingJob.objects.exists(), PATIENCE, worker.said)
        record = JobRecord.objects.get(job=job)
        assert (record.runs, record.failures) == (1, 0)
        assert "went well" in client.get(page).text and "waits or runs" not in client.get(page).text

    def _answers(self) -> bool:
        send("oasst.site.schedules.send_waiting_jobs")
        time.sleep(1)
        return JobRecord.objects.filter(job="oasst.site.schedules.send_waiting_jobs").exists()

    def _live(self, people: list, dice: random.Random) -> None:  # type: ignore[type-arg]
        for _ in range(10):
            author, reviewer = dice.sample(people, 2)
            review(new_prompt(author), reviewer, spam=dice.choice([0, 1]))
            message = Message.objects.exclude(author=reviewer).order_by("?").first()
            assert message is not None
            reactions.set_reaction(message_id=message.pk, user=reviewer, emoji=dice.choice(["+1", "red_flag"]))

    def _finish(self, worker: Process, jobs: list[str]) -> None:
        """From here on nothing is killed."""
        runs = dict(JobRecord.objects.values_list("job", "runs"))
        for job in jobs:
            send(job)

        def done() -> bool:
            now = dict(JobRecord.objects.exclude(succeeded_at=None).values_list("job", "runs"))
            return all(now.get(job, 0) > runs.get(job, 0) for job in jobs if not job.endswith("send_waiting_jobs"))

        wait_until(done, PATIENCE, worker.said)
        wait_until(lambda: not Happening.objects.filter(tallied=False).exists(), PATIENCE, worker.said)
