"""Thousands of events of every kind, each compared with an independent model. See life.py and model.py."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.trees.life import Cast, Life

pytestmark = pytest.mark.django_db


def live(histories: int, steps: int, *, derandomize: bool = True) -> int:
    """Run so many histories of so many steps. Return the number of events."""
    before = Life.events.total()
    Life.cast = Cast()
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # shrinking a failure takes longer than reading it
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Life.events.total() - before


def test_the_rules_hold_whatever_happens() -> None:
    assert live(histories=4, steps=30) > 100


@pytest.mark.slow
def test_the_rules_hold_for_thousands_of_events() -> None:
    assert live(histories=40, steps=50) > 2000
