"""make_scale_data: its trees are like real ones, it does all or nothing, and leaves indexes and keys as they were."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F

from oasst.accounts.models import User
from oasst.simulation.scale import bulk
from oasst.simulation.scale.fill import LANGUAGES, fill, plan
from oasst.site.invariants import find_differences
from tasks import assignment, queries
from tasks.kinds import Kind
from tasks.models import Task
from tests.factories import new_prompt
from tests.simulation.scale.conftest import POLICY, Site, undone
from trees.lifecycle.states import TABLE, State
from trees.models import Message, MessageTree, Opening, Reaction, Revision, Skip

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make(trees: int, active: int) -> str:
    out = StringIO()
    call_command("make_scale_data", trees=trees, active=active, stdout=out)
    return out.getvalue()


@pytest.fixture(scope="class")
def two_hundred_trees(site: Site) -> Iterator[None]:
    with site(200, 80):
        yield


@pytest.mark.usefixtures("two_hundred_trees")
class TestMade:
    def test_all_of_it_agrees(self) -> None:
        assert list(find_differences(POLICY)) == []

    def test_trees_are_in_every_state_that_lasts(self) -> None:
        states = Counter(MessageTree.objects.values_list("state", flat=True))
        assert states.total() == 200
        rare = {State.READY_FOR_SCORING, State.SCORING_FAILED, State.BACKLOG_RANKING}
        assert set(states) == {state.value for state in TABLE if state not in rare}
        assert states["growing"] + states["initial_prompt_review"] + states["ranking"] == 80
        assert set(MessageTree.objects.values_list("lang", flat=True)) == set(LANGUAGES)
        assert Revision.objects.count() == Message.objects.count() > 1000

    def test_there_is_work_for_whoever_comes(self) -> None:
        person = User.objects.filter(contribution_languages=["en"]).order_by("pk")[0]
        offered = {kind for kind, number in queries.availability(person, "en", POLICY).items() if number}
        assert {Kind.ASSISTANT_REPLY, Kind.LABEL_ASSISTANT_REPLY, Kind.RANK_ASSISTANT_REPLIES} <= offered
        with undone():
            task = assignment.request_task(user=person, lang="en", policy=POLICY, kind=Kind.ASSISTANT_REPLY)
            assert task.message is not None
            assert list(find_differences(POLICY)) == []

    def test_people_also_hold_work_skip_and_react(self) -> None:
        assert Opening.objects.filter(holder__isnull=False).exists()
        assert Task.objects.filter(status=Task.Status.OPEN).exists()
        assert Skip.objects.exists()
        assert Reaction.objects.exists()
        assert not Message.objects.filter(reviews__author=F("author")).exists()

    def test_a_database_with_trees_is_left_alone(self) -> None:
        people = User.objects.count()
        with pytest.raises(CommandError, match="There are trees in this database already"), undone():
            make(10, 5)
        assert MessageTree.objects.count() == 200
        assert User.objects.count() == people


def shape() -> dict[str, str]:
    """Return every index and key of the database by name. PostgreSQL may format a condition differently after
    rebuilding.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT indexname, split_part(indexdef, ' WHERE ', 1) FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('f', 'u')
            """
        )
        return dict(cursor.fetchall())


class TestCommand:
    def test_it_works(self) -> None:
        """It prints what it made, and the tables have their indexes and keys again."""
        before = shape()
        assert "20 trees with " in make(20, 10)
        assert MessageTree.objects.count() == 20
        assert shape() == before

    def test_the_same_seed_makes_the_same_trees(self) -> None:
        def made(seed: int) -> list[tuple[object, ...]]:
            with undone():
                fill(trees=20, active=10, seed=seed, policy=POLICY, now=NOW)
                return list(Message.objects.order_by("pk").values_list("pk", "text", "author", "created_at", "rank"))

        assert made(1) == made(1)
        assert made(1) != made(2)

    def test_one_tree_in_the_way_is_enough_to_refuse(self, alice: User) -> None:
        new_prompt(alice)
        with pytest.raises(CommandError, match="There are trees in this database already"):
            make(20, 10)
        assert MessageTree.objects.count() == 1
        assert User.objects.count() == 1

    def test_a_failure_on_the_way_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = shape()

        def fail(*_: object) -> None:
            raise OSError("no room left")

        monkeypatch.setattr(bulk, "copy", fail)
        with pytest.raises(OSError, match="no room left"):
            make(20, 10)
        assert shape() == before
        assert not MessageTree.objects.exists()
        assert not User.objects.exists()

    @pytest.mark.parametrize("numbers", [(0, 0), (10, -1)])
    def test_numbers_that_mean_nothing(self, numbers: tuple[int, int]) -> None:
        with pytest.raises(CommandError, match="--trees must be at least 1"):
            make(*numbers)
        assert not User.objects.exists()


class TestPlan:
    @pytest.mark.parametrize(("trees", "active"), [(1, 0), (1, 5), (7, 3), (5000, 300)])
    def test_it_has_as_many_as_asked(self, trees: int, active: int) -> None:
        ended, running = plan(trees, active, POLICY, random.Random(1))
        assert len(ended) + len(running) == trees
        assert sum(TABLE[state].active for state, _ in running) == min(trees, active)

    def test_no_more_wait_than_the_policy_lets(self) -> None:
        _, running = plan(100_000, 0, POLICY, random.Random(1))
        waiting = Counter(lang for state, lang in running if state == State.PROMPT_LOTTERY_WAITING)
        assert max(waiting.values()) == POLICY.max_prompt_lottery_waiting
