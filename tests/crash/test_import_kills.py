"""An import is killed in the middle, again and again. Run once more, it is complete, and nothing is there twice.

Two kills in the suite; `scripts/bench import-kills --kills 100` does more, at random moments.
"""

import json
import os
import random
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from oasst.core.json_lines import read_lines
from oasst.site.invariants import find_differences
from tests.crash.processes import Process, wait_until
from tests.crash.settings import TREE_POLICY
from tests.factories import conversation
from tests.trees.interchange.file_trees import by_id
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, MessageTree, Revision, TreeTransition

KILLS = int(os.environ.get("IMPORT_KILLS", "2"))
IS_LONG = "IMPORT_KILLS" in os.environ
TREES = 30 * KILLS + 900 if IS_LONG else 700
PATIENCE = 240  # seconds for what should take a few


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trees.jsonl"
    growing = {"tree_state": "growing"}  # these get openings, in the same transaction
    lines = (conversation(answers=3) | (growing if n % 5 == 0 else {}) for n in range(TREES))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow  # starts processes of the site
class TestKilledImports:
    def test_it_is_finished_by_running_it_again(self, transactional_db: None, file: Path, tmp_path: Path) -> None:
        importing = Process(["manage.py", "import_trees", "--skip-checks", str(file)], tmp_path / "import.log")
        try:
            (self._kill_at_random if IS_LONG else self._kill_while_it_writes)(importing)
            wait_until(lambda: importing.child.poll() is not None, PATIENCE, importing.said)
        finally:
            importing.kill()
        assert importing.child.returncode == 0, importing.said()
        self._check(file, tmp_path)

    def _kill_while_it_writes(self, importing: Process) -> None:
        for number in range(1, KILLS + 1):
            wanted = number * TREES // (KILLS + 2)
            wait_until(lambda wanted=wanted: MessageTree.objects.count() >= wanted, PATIENCE, importing.said)  # type: ignore[misc]
            assert importing.child.poll() is None, f"it was done before kill {number}: {importing.said()}"
            importing.kill()
            importing.start()

    def _kill_at_random(self, importing: Process) -> None:
        """Kill it also while it starts or checks. Only here, outside the suite, a time decides."""
        choose = random.Random(1)
        kills = 0
        while kills < KILLS:
            time.sleep(choose.uniform(0, 1 + 3 * choose.random()))
            if importing.child.poll() is not None:
                assert importing.child.returncode == 0, importing.said()
                MessageTree.objects.all().delete()
            else:
                kills += 1
                importing.kill()
            importing.start()

    def _check(self, file: Path, folder: Path) -> None:
        assert MessageTree.objects.count() == TreeTransition.objects.filter(from_state="").count() == TREES
        assert Message.objects.count() == Revision.objects.count() == 4 * TREES
        assert Happening.objects.filter(kind=Happening.Kind.TREE_IMPORTED).count() == TREES
        assert list(find_differences(TreePolicy(**TREE_POLICY))) == []  # type: ignore[arg-type]
        call_command("export_trees", "--state", "all", "--output", folder / "out.jsonl", stderr=StringIO())
        assert by_id(map(json.loads, read_lines(folder / "out.jsonl"))) == by_id(map(json.loads, read_lines(file)))
