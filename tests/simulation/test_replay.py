"""A few days of arrivals on the virtual clock: real services, every visitor counted, repeatable."""

import random
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from oasst.simulation.replay.arrivals import ARRIVALS, LANGUAGES, Scene, visits
from oasst.simulation.replay.clock import virtual_clock
from oasst.simulation.replay.play import START, play
from oasst.simulation.replay.report import lines, report
from oasst.site.invariants import find_differences
from tasks.models import Task
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, MessageTree, Opening, Review, TreeTransition

DAYS = Scene(weeks=1, scale=0.002)
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1, num_required_rankings=1)
DATED: tuple[tuple[Any, str], ...] = (
    (Message, "created_at"),
    (MessageTree, "state_since"),
    (Review, "created_at"),
    (Task, "finished_at"),
    (TreeTransition, "at"),
    (Happening, "at"),
)


class TestArrivals:
    def test_the_proportions_are_those_of_the_reference(self) -> None:
        came = visits(Scene(weeks=12, scale=0.001), random.Random(1))
        assert [visit.at for visit in came] == sorted(visit.at for visit in came)
        for wish, number in ARRIVALS.items():
            assert sum(visit.wish == wish for visit in came) == pytest.approx(number / 1000, abs=len(LANGUAGES))

    def test_what_is_different_is_different(self) -> None:
        half = visits(Scene(weeks=12, scale=0.001, reviews=0.5), random.Random(1))
        assert sum(visit.wish == "review" for visit in half) == pytest.approx(231, abs=len(LANGUAGES))


@pytest.mark.django_db
class TestClock:
    def test_everything_is_dated_by_it_and_afterwards_nothing(self) -> None:
        before = timezone.now
        with virtual_clock(START) as clock:
            assert timezone.now() == START
            clock.at += timedelta(days=2)
            assert Opening().created_at == START + timedelta(days=2)
        assert timezone.now is before
        assert Opening().created_at > START + timedelta(days=365)


@pytest.mark.django_db
@pytest.mark.slow
class TestPlay:
    @pytest.fixture(autouse=True)
    def _no_limits(self, settings: Any) -> None:
        settings.RATE_LIMITS = False

    def test_it_works(self) -> None:
        played = play(DAYS, POLICY, seed=1)
        found = report(played)
        assert found.finished > 0
        assert list(find_differences(POLICY)) == []
        for wish, number in played.came.items():
            refused = sum(n for (what, _), n in played.refused.items() if what == wish)
            assert number == played.answered[wish] + refused, wish
        self._nothing_is_dated_otherwise()
        said = "\n".join(lines(found))
        assert f"{found.admitted} taken in, {found.finished} in the data set: {found.share:.0%}" in said

    def _nothing_is_dated_otherwise(self) -> None:
        end = START + timedelta(weeks=1)
        for model, column in DATED:
            dated = model.objects.exclude(**{column: None})
            assert dated.exists()
            assert not dated.exclude(**{f"{column}__range": (START, end)}).exists(), model

    def test_the_same_seed_is_the_same_history(self) -> None:
        assert self._history(1) == self._history(1) != self._history(2)

    def _history(self, seed: int) -> tuple[object, ...]:
        before = transaction.savepoint()
        found = report(play(DAYS, POLICY, seed=seed))
        transaction.savepoint_rollback(before)
        return found.played, found.states, found.stays


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
class TestCommand:
    def test_it_leaves_the_site_alone(self) -> None:
        out = StringIO()
        call_command("replay_arrivals", weeks=0.2, scale=0.001, stdout=out, stderr=out)
        assert "taken in" in out.getvalue()
        assert "check_invariants finds 0 differences" in out.getvalue()
        assert not MessageTree.objects.exists()
        assert settings.RATE_LIMITS

    @pytest.mark.parametrize("wrong", [{"weeks": 0}, {"scale": 0}, {"reviews": -1}])
    def test_senseless_numbers(self, wrong: dict[str, float]) -> None:
        with pytest.raises(CommandError, match="must be"):
            call_command("replay_arrivals", **wrong)
