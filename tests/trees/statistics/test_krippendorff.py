"""Krippendorff's alpha, compared with the reference implementation, and its interval."""

import os
import random
import subprocess
import sys
from itertools import permutations

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.paths import ROOT
from trees.statistics.krippendorff import Answers, Distance, alpha, alpha_interval, comparable

# The example of the library: three people, fifteen texts; * is no answer.
OF_LIBRARY = (["*", "*", "*", "*", "*", "3", "4", "1", "2", "1", "1", "3", "3", "*", "3"],
              ["1", "*", "2", "1", "3", "3", "4", "3", "*", "*", "*", "*", "*", "*", "*"],
              ["*", "*", "2", "1", "3", "4", "4", "*", "2", "1", "1", "3", "3", "*", "4"])  # fmt: skip
# Krippendorff 2011, section C and following: four people, twelve texts.
OF_PAPER = (["1", "2", "3", "3", "2", "1", "4", "1", "2", "*", "*", "*"],
            ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", "*", "3"],
            ["*", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "*"],
            ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "*"])  # fmt: skip


def people_of(table: tuple[list[str], ...]) -> list[list[float]]:
    return [[np.nan if value == "*" else int(value) for value in row] for row in table]


def units_of(people: list[list[float]]) -> list[Answers]:
    return [tuple(value for value in answers if value == value) for answers in zip(*people, strict=True)]


class TestAlpha:
    @pytest.mark.parametrize(
        ("table", "distance", "known"),
        [
            (OF_LIBRARY, Distance.NOMINAL, 0.691),
            (OF_LIBRARY, Distance.INTERVAL, 0.811),
            (OF_PAPER, Distance.NOMINAL, 0.743),
            (OF_PAPER, Distance.ORDINAL, 0.815),
            (OF_PAPER, Distance.INTERVAL, 0.849),
        ],
    )
    def test_published_examples(self, table: tuple[list[str], ...], distance: Distance, known: float) -> None:
        people = people_of(table)
        theirs = krippendorff.alpha(reliability_data=people, level_of_measurement=distance.value)
        assert alpha(units_of(people), distance) == pytest.approx(theirs, abs=1e-9)
        assert theirs == pytest.approx(known, abs=5e-4)

    @pytest.mark.parametrize("seed", range(20))
    def test_random_answers(self, seed: int) -> None:
        dice = random.Random(seed)
        scale = dice.choice([[0.0, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]])
        people = [
            [dice.choice(scale) if dice.random() < 0.6 else float("nan") for _ in range(40)]
            for _ in range(dice.randrange(2, 6))
        ]
        for distance in Distance:
            theirs = krippendorff.alpha(reliability_data=people, level_of_measurement=distance.value)
            assert alpha(units_of(people), distance) == pytest.approx(theirs, abs=1e-9)

    @pytest.mark.parametrize("distance", Distance)
    def test_where_there_is_nothing_to_compare(self, distance: Distance) -> None:
        for units in ([], [(1.0,), (2.0,)], [(1.0, 1.0)], [(1.0, 1.0), (0.0,)]):
            assert alpha(units, distance) is None
            assert alpha_interval(units, distance) is None
        assert comparable([(1.0,), (1.0, 1.0), (0.0, 1.0, 1.0)]) == 2


SCALE = [0.0, 0.25, 0.5, 0.75, 1.0]
UNITS = st.lists(st.lists(st.sampled_from(SCALE), min_size=1, max_size=4).map(tuple), max_size=12)
DISTANCES = st.sampled_from(Distance)


class TestLaws:
    @given(st.lists(st.tuples(st.sampled_from(SCALE), st.integers(2, 4)), min_size=2), DISTANCES)
    def test_full_agreement_is_1(self, unanimous: list[tuple[float, int]], distance: Distance) -> None:
        units = [(value,) * people for value, people in unanimous]
        if len({value for value, _ in unanimous}) > 1:
            assert alpha(units, distance) == 1
            assert alpha_interval(units, distance, rounds=20) == (1, 1)

    @given(UNITS, DISTANCES, st.randoms())
    def test_neither_the_order_of_texts_nor_of_people_matters(
        self, units: list[Answers], distance: Distance, dice: random.Random
    ) -> None:
        shuffled = [tuple(dice.sample(unit, len(unit))) for unit in dice.sample(units, len(units))]
        assert alpha(units, distance) == alpha(shuffled, distance)
        assert alpha_interval(units, distance, rounds=20) == alpha_interval(shuffled, distance, rounds=20)

    @given(UNITS, st.permutations(SCALE))
    def test_names_may_be_exchanged(self, units: list[Answers], others: list[float]) -> None:
        renamed = dict(zip(SCALE, others, strict=True))
        ours = alpha([tuple(renamed[value] for value in unit) for unit in units], Distance.NOMINAL)
        assert ours == pytest.approx(alpha(units, Distance.NOMINAL), abs=1e-9)

    @given(UNITS)
    def test_only_the_order_matters_to_ordinal_and_only_proportions_to_interval(self, units: list[Answers]) -> None:
        stretched = [tuple(value**3 for value in unit) for unit in units]
        assert alpha(stretched, Distance.ORDINAL) == pytest.approx(alpha(units, Distance.ORDINAL), abs=1e-9)
        moved = [tuple(7 - 10 * value for value in unit) for unit in units]
        assert alpha(moved, Distance.INTERVAL) == pytest.approx(alpha(units, Distance.INTERVAL), abs=1e-9)

    @given(UNITS, DISTANCES)
    def test_the_interval_contains_the_estimate(self, units: list[Answers], distance: Distance) -> None:
        value, interval = alpha(units, distance), alpha_interval(units, distance, rounds=50)
        if interval:
            assert value is not None
            assert interval.low <= value <= interval.high <= 1


class TestInterval:
    def test_it_narrows_with_more_texts(self) -> None:
        few = alpha_interval([(0, 0), (1, 1), (0, 1)] * 10, Distance.NOMINAL)
        many = alpha_interval([(0, 0), (1, 1), (0, 1)] * 1000, Distance.NOMINAL)
        assert few and many
        assert few.low < many.low < many.high < few.high
        assert (many.high - many.low) * 8 < few.high - few.low

    @pytest.mark.parametrize("distance", Distance)
    def test_it_is_that_of_resampling_texts_one_by_one(self, distance: Distance) -> None:
        """Efron's bootstrap, the plain way."""
        dice = random.Random(5)
        units = [tuple(min(1.0, max(0.0, quality + dice.choice([-0.25, 0, 0.25]))) for _ in range(3))
                 for quality in dice.choices(SCALE, k=300)]  # fmt: skip
        resampled = sorted(alpha(dice.choices(units, k=300), distance) or 0 for _ in range(600))
        interval = alpha_interval(units, distance)
        assert interval
        assert interval.low == pytest.approx(resampled[15], abs=0.02)
        assert interval.high == pytest.approx(resampled[585], abs=0.02)

    def test_it_is_the_same_in_every_process(self) -> None:
        script = (
            "from trees.statistics.krippendorff import *\n"
            "units = {(0.0, 0.25), (1.0, 1.0, 0.75), (0.5, 0.5), (0.0, 0.0)}\n"
            "print([(alpha(units, one), alpha_interval(units, one)) for one in Distance])"
        )
        outputs = {
            subprocess.run(
                [sys.executable, "-c", script],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(outputs) == 1

    def test_a_hundred_thousand_texts_are_computed_as_a_few(self) -> None:
        """A round looks at different units only: 35 here."""
        units = dict.fromkeys({tuple(sorted(some)) for some in permutations(SCALE * 3, 3)}, 2858)
        assert len(units) == 35
        interval = alpha_interval(units, Distance.ORDINAL)
        assert interval and interval.high - interval.low < 0.01
