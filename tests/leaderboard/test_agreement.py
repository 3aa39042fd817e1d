"""Agreement of reviewers, compared with the reference implementation, and the reliability of each reviewer."""

import random
from collections import Counter

import krippendorff
import numpy as np
import pytest

from leaderboard.agreement import alpha, interval, nominal
from oasst.accounts.models import User
from tests.factories import decide, new_people, new_prompt, review
from tests.leaderboard.test_tallies import POLICY
from trees.contributing import reviewers
from trees.models import ReviewerRecord
from trees.moderation import moderator_actions

# The example of Krippendorff's paper, as in the library: three people, thirteen texts; * is no answer.
EXAMPLE = (["*", "*", "*", "*", "*", "3", "4", "1", "2", "1", "1", "3", "3", "*", "3"],
           ["1", "*", "2", "1", "3", "3", "4", "3", "*", "*", "*", "*", "*", "*", "*"],
           ["*", "*", "2", "1", "3", "4", "4", "*", "2", "1", "1", "3", "3", "*", "4"])  # fmt: skip


def units_of(people: list[list[float]]) -> list[Counter[float]]:
    return [Counter(value for value in answers if value == value) for answers in zip(*people, strict=True)]


class TestAlpha:
    @pytest.mark.parametrize(
        ("distance", "level", "known"), [(nominal, "nominal", 0.691), (interval, "interval", 0.811)]
    )
    def test_the_example_of_the_library(self, distance: object, level: str, known: float) -> None:
        people = [[np.nan if value == "*" else int(value) for value in row] for row in EXAMPLE]
        ours = alpha(units_of(people), distance)  # type: ignore[arg-type]
        theirs = krippendorff.alpha(reliability_data=people, level_of_measurement=level)
        assert ours == pytest.approx(theirs, abs=1e-9)
        assert ours == pytest.approx(known, abs=5e-4)

    @pytest.mark.parametrize("seed", range(20))
    def test_random_answers(self, seed: int) -> None:
        dice = random.Random(seed)
        scale = dice.choice([[0.0, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]])
        people = [
            [dice.choice(scale) if dice.random() < 0.6 else float("nan") for _ in range(40)]
            for _ in range(dice.randrange(2, 6))
        ]
        for distance, level in ((nominal, "nominal"), (interval, "interval")):
            theirs = krippendorff.alpha(reliability_data=people, level_of_measurement=level)
            assert alpha(units_of(people), distance) == pytest.approx(theirs, abs=1e-9)  # type: ignore[arg-type]

    def test_where_there_is_nothing_to_say(self) -> None:
        assert alpha([], nominal) is None
        assert alpha([Counter([1]), Counter([2])], nominal) is None, "nobody judged the same"
        assert alpha([Counter([1, 1])], nominal) is None, "nobody ever gave another answer"


class TestSkills:
    def test_good_and_careless_reviewers_are_told_apart(self) -> None:
        dice = random.Random(7)
        right = {"Ann": 0.95, "Ben": 0.9, "Cem": 0.9, "Random": 0.5}
        bad = {text: dice.random() < 0.4 for text in range(400)}
        votes = {
            text: {who: is_bad == (dice.random() < chance) for who, chance in right.items()}
            for text, is_bad in bad.items()
        }
        found, outcome = reviewers.skills(votes)
        for who, chance in right.items():
            assert found[who].finds == pytest.approx(chance, abs=0.1)
            assert found[who].spares == pytest.approx(chance, abs=0.1)
        assert sum((outcome[text] > 0.5) == is_bad for text, is_bad in bad.items()) >= 380

    def test_few_votes_move_nobody_far(self) -> None:
        found, _ = reviewers.skills({1: {"Ann": False, "Ben": False, "New": True}})
        assert 0.3 < found["New"].spares < 0.7

    def test_nothing_at_all(self) -> None:
        assert reviewers.skills({}) == ({}, {})

    @pytest.mark.django_db
    def test_learning_from_reviews(self, alice: User, bob: User, mo: User) -> None:
        careful, hasty = new_people(2)
        for number in range(6):
            prompt = new_prompt(alice)
            review(prompt, careful)
            review(prompt, hasty, spam=number % 2)
            decide(prompt)
        assert reviewers.learn() >= 2
        record = ReviewerRecord.objects.get(person=hasty)
        assert (record.decided, record.agreed) == (6, 3)
        assert ReviewerRecord.objects.get(person=careful).agreed == 6
        before = list(ReviewerRecord.objects.order_by("pk").values_list("person", "agreed", "finds", "spares"))
        reviewers.learn()
        assert list(ReviewerRecord.objects.order_by("pk").values_list("person", "agreed", "finds", "spares")) == before
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="A test", policy=POLICY)
        reviewers.learn()
        assert ReviewerRecord.objects.get(person=hasty).decided == 5
