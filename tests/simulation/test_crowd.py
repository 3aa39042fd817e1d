"""simulate_crowd finishes trees, in the process and through the pages, and fails loudly if it cannot."""

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from oasst.accounts.models import User
from oasst.simulation.crowd.texts import Texts
from tasks import upkeep
from tasks.kinds import Kind
from tasks.models import Task
from tests.paths import DATA
from tests.simulation.ledger import missing_answers
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Review
from trees.policies.reading import current_policy

BRIEF = {"goal_tree_size": 4, "max_tree_depth": 2, "num_reviews_initial_prompt": 1, "num_reviews_reply": 1}


@pytest.fixture
def brief_trees(settings: Any) -> None:
    """Small trees and few reviews, so that a crowd finishes in seconds."""
    settings.TREE_POLICY = BRIEF
    settings.RATE_LIMITS = False


def simulate(**options: Any) -> str:
    out = StringIO()
    call_command("simulate_crowd", stdout=out, stderr=out, **{"users": 9, "trees": 1, "concurrency": 3, **options})
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("brief_trees")
@pytest.mark.slow
class TestInTheProcess:
    def test_it_works(self, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger.jsonl"
        said = simulate(ledger=ledger, seed=1)
        assert MessageTree.objects.filter(state=State.READY_FOR_EXPORT).count() >= 1
        assert "Invariants hold." in said
        assert upkeep.advance_active_trees(policy=current_policy()) == 0  # every event moved its tree by itself
        assert len(ledger.read_text().splitlines()) == Task.objects.filter(status=Task.Status.DONE).count()
        assert list(missing_answers(ledger)) == []
        assert not any(person.has_usable_password() for person in User.objects.all())

    def test_too_few_people_are_stuck_and_hear_why(self) -> None:
        with pytest.raises(CommandError, match="Stuck: nobody finds any work") as failure:
            simulate(users=2)
        assert "growing" in str(failure.value) or "ranking" in str(failure.value)
        assert "More --users may help" in str(failure.value)

    def test_broken_facts_fail(self) -> None:
        simulate()
        Message.objects.filter(parent=None).update(review_count=50)
        with pytest.raises(CommandError, match="check_invariants finds"):
            simulate()

    @pytest.mark.parametrize("option", ["users", "trees", "concurrency", "patience"])
    def test_numbers_must_be_positive(self, option: str) -> None:
        with pytest.raises(CommandError, match=f"--{option}"):
            simulate(**{option: 0})
        assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("brief_trees")
class TestThroughThePages:
    @pytest.mark.slow
    def test_it_works(self, live_server: LiveServer, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger.jsonl"
        said = simulate(base_url=live_server.url, ledger=ledger)
        assert MessageTree.objects.filter(state=State.READY_FOR_EXPORT).count() >= 1
        assert "Invariants hold." in said
        assert list(missing_answers(ledger)) == []
        assert Review.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("brief_trees")
class TestLedger:
    def test_it_names_what_is_lost_changed_or_doubled(self, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger.jsonl"
        simulate(ledger=ledger)
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        written = next(line for line in lines if "text" in line)
        judged = next(line for line in lines if "labels" in line)
        Message.objects.filter(task__pk=written["task"]).update(text="Something else")
        Task.objects.filter(pk=judged["task"]).update(status=Task.Status.SKIPPED)
        with ledger.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        assert sorted(missing_answers(ledger)) == sorted(
            [
                f"task {lines[-1]['task']} was acknowledged 2 times",
                f"task {written['task']} holds another answer than the one given",
                f"task {judged['task']} is not done by its person",
            ]
        )


class TestTexts:
    def test_they_are_real_and_never_the_same_twice(self) -> None:
        texts = Texts(DATA, limit=2000, rng=random.Random(1))
        for kind in (Kind.INITIAL_PROMPT, Kind.PROMPTER_REPLY, Kind.ASSISTANT_REPLY):
            drawn = [texts.draw(kind) for _ in range(1000)]
            assert len(set(drawn)) == 1000
            assert max(map(len, drawn)) <= 2000
