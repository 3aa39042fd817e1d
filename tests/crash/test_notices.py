"""Workers are killed while they tell people: each kind of notice comes exactly once, and each mail at most once."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from oasst.core.models import WaitingJob
from oasst.site.models import NoticeAccount
from tests.crash.processes import Process, wait_until
from tests.crash.test_jobs import PATIENCE, send
from tests.site.notices.everything import assert_each_kind_once, make_everything
from trees.models import Happening

KILLS = 5
SALT = "a long secret that nobody can guess"
JOBS = (
    "oasst.site.notices.jobs.write_notices",
    "oasst.site.notices.jobs.tell_levels",
    "oasst.site.notices.jobs.begin_digests",
    "oasst.site.schedules.send_waiting_jobs",
)


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator[Process]:
    argv = ["-m", "celery", "--quiet", "--app", "oasst", "worker", "--pool", "threads", "--concurrency", "2"]
    variables = {"SNAPSHOT_SALT": SALT, "OASST_CRASH_MAILS": str(tmp_path / "mails")}
    worker = Process([*argv, "--without-gossip", "--without-mingle"], tmp_path / "worker.log", variables=variables)
    try:
        yield worker
    finally:
        worker.kill()


# Slow: real workers start anew after each kill.
@pytest.mark.slow
def test_every_kind_once_and_mails_at_most_once(worker: Process, tmp_path: Path, settings: Any) -> None:
    settings.SNAPSHOT_SALT, settings.SNAPSHOT_BUCKET = SALT, None
    dice, alice = random.Random(7), make_everything(tmp_path)
    for _ in range(KILLS):
        for job in JOBS:
            send(job)
        # Between a tenth of a second, when nothing has begun, and three, when most is done.
        time.sleep(0.1 + 3 * dice.random() ** 2)
        worker.kill()
        worker.start()
        WaitingJob.objects.update(due_at="2026-01-01T00:00Z")  # the clock sends again what was lost

    def done() -> bool:
        for job in JOBS:
            send(job)
        time.sleep(1)
        return not Happening.objects.filter(noticed=False).exists() and not WaitingJob.objects.exists()

    wait_until(done, PATIENCE, worker.said)
    assert_each_kind_once(alice)
    assert not NoticeAccount.objects.filter(person=alice, digest_due_at__isnull=False, digest_at=None).exists()
    mails = [message_from_bytes(path.read_bytes()) for path in (tmp_path / "mails").glob("*")]
    by_person = Counter(str(mail["To"]) for mail in mails if "What became" in str(mail["Subject"]))
    assert not [address for address, number in by_person.items() if number > 1]
