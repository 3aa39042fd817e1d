"""Reviews weighed by skill, given at the same moment: each counts once, with the skill that its author had then."""

from dataclasses import replace

import pytest
from django.utils import timezone

from oasst.site.invariants import find_differences
from tasks.kinds import Kind
from tests.concurrency.together import at_once
from tests.crowd import answer, start_tree, take
from tests.factories import new_people
from trees.contributing import reviewers
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, Review, ReviewerSkill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
POLICY = TreePolicy(weighted_reviews=True, weighted_full_share=0)


def make_known(person: object, quality: float) -> None:
    ReviewerSkill.objects.create(
        person=person, lang="en", label="verdict", texts=50, differed=0, finds=quality, spares=quality,
        updated_at=timezone.now(),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_two_at_once_decide_once(seed: int) -> None:
    policy = replace(POLICY, weighted_least_reviews=2)  # two openings at once
    prompt = start_tree(policy).pk
    people = new_people(2)
    for person in people:
        make_known(person, 0.95)
    tasks = [take(person, policy, Kind.LABEL_INITIAL_PROMPT) for person in people]
    results = at_once([lambda task=task: answer(task, policy, spam=1) for task in tasks])  # type: ignore[misc]
    assert not [result for result in results if isinstance(result, Exception)]
    assert Message.objects.get(pk=prompt).review_result is False
    assert Happening.objects.filter(kind=Happening.Kind.MESSAGE_REJECTED, message_id=prompt).count() == 1
    assert list(find_differences(policy)) == []


def test_learning_beside_a_review() -> None:
    """The job replaces skills while reviews read them: the decision stays that of the skill stored with the review."""
    people = new_people(3)
    trees = [start_tree(POLICY).pk for _ in range(3)]
    for person in people:
        make_known(person, 0.95)
    tasks = [take(person, POLICY, Kind.LABEL_INITIAL_PROMPT) for person in people]
    acts = [lambda task=task: answer(task, POLICY) for task in tasks]  # type: ignore[misc]
    results = at_once([*acts, reviewers.learn, reviewers.learn])
    assert not [result for result in results if isinstance(result, Exception)]
    for review in Review.objects.filter(message__in=trees):
        assert review.message.review_result is (None if review.finds is None else True)
    assert list(find_differences(POLICY)) == []
