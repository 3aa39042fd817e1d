"""Servers are killed in the middle of work. What was acknowledged is stored once; the rest was never promised."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks.models import Task
from tests.crash.processes import Process, Site, wait_until
from tests.crash.settings import TREE_POLICY
from tests.simulation.ledger import missing_answers
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

KILLS = 10
ANSWERS_BETWEEN = 8
PATIENCE = 240  # seconds for what should take a few


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.end()


@pytest.mark.slow
class TestKilledServers:
    def test_no_acknowledged_answer_is_lost_or_doubled(self, site: Site, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger.jsonl"
        command = ["manage.py", "simulate_crowd", "--skip-checks", "--base-url", site.url, "--ledger", str(ledger)]
        command += ["--users", "12", "--trees", "5", "--concurrency", "4"]
        crowd = Process(command, tmp_path / "crowd.log")
        try:
            self._kill_again_and_again(site, crowd, ledger)
            wait_until(lambda: crowd.child.poll() is not None, PATIENCE, crowd.said)
        finally:
            crowd.kill()
        # The crowd also checks the invariants, and fails if they do not hold.
        assert crowd.child.returncode == 0, crowd.said()
        assert list(missing_answers(ledger)) == []
        assert len(ledger.read_text().splitlines()) == Task.objects.filter(status=Task.Status.DONE).count()
        assert list(find_differences(TreePolicy(**TREE_POLICY))) == []  # type: ignore[arg-type]
        assert MessageTree.objects.filter(state=State.READY_FOR_EXPORT).count() >= 5
        assert User.objects.count() == 12

    def _kill_again_and_again(self, site: Site, crowd: Process, ledger: Path) -> None:
        for number in range(1, KILLS + 1):
            wait_until(
                lambda number=number: _lines(ledger) >= number * ANSWERS_BETWEEN,  # type: ignore[misc]
                PATIENCE,
                lambda: f"nobody answers any more:\n{crowd.said()}\n{site.web.said()}",
            )
            assert crowd.child.poll() is None, f"the crowd was done before kill {number}:\n{crowd.said()}"
            site.kill_and_restart()


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
