"""Learning and guessing while others do the same, and while people take reviews."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import User
from tasks import hot as tasks_hot
from tests.concurrency.together import at_once, in_other_connection
from tests.factories import new_person
from tests.trees.quality.made_prompts import bad_text, good_text, make_prompts
from trees.lifecycle.states import Work
from trees.models import Message, Opening, QualityModel, QualityScore
from trees.quality import assessment, learning, scores

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def learned(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Return a likely rejection and a likely acceptance that wait for reviews."""
    settings.OASST_EMBEDDINGS = "made"
    for name, value in (("LEAST_TEXTS", 20), ("LEAST_OF_EACH", 5), ("FOLDS", 2)):
        monkeypatch.setattr(learning, name, value)
    monkeypatch.setattr(assessment, "ROUNDS", 20)
    alice, bob = new_person("Alice"), new_person("Bob")
    texts = [make(number) for number in range(12) for make in (good_text, bad_text)]
    make_prompts(texts, alice, reviewer=bob)
    learning.learn()
    return make_prompts([bad_text(50), good_text(51)], alice)


def offered(person: User) -> object:
    now = timezone.now()
    until = now + timedelta(minutes=5)
    return tasks_hot.hold_opening(Work.LABEL_INITIAL_PROMPT, person, "en", lease=uuid4(), now=now, until=until)


def test_several_runs_at_once(learned: list[Message]) -> None:
    results = at_once([learning.learn, scores.refresh, learning.learn, scores.refresh, scores.refresh])
    assert [result for result in results if isinstance(result, Exception)] == []
    scores.refresh()
    assert QualityModel.objects.count() == 2 and QualityScore.objects.count() == 2
    assert set(Opening.objects.filter(deferred=True).values_list("message", flat=True)) == {learned[0].pk}


def test_a_review_that_is_being_taken_is_left_for_the_next_run(learned: list[Message]) -> None:
    carol = new_person("Carol")
    with transaction.atomic():
        assert offered(carol) == learned[0].pk, "nothing is ordered yet"
        in_other_connection(scores.refresh)  # it does not wait for this transaction
        taken = Opening.objects.get(holder=carol)
        assert not taken.deferred and Opening.objects.get(message=learned[0], holder=None).deferred
    assert scores.order_reviews() == 1


def test_nobody_who_asks_for_a_review_waits_for_the_order(learned: list[Message]) -> None:
    carol = new_person("Carol")
    with transaction.atomic():
        Opening.objects.select_for_update(of=("self",), no_key=True).get(
            pk=Opening.objects.filter(message=learned[0]).order_by("pk")[0].pk
        )
        assert in_other_connection(lambda: offered(carol)) == learned[0].pk, "the other opening of the same text"
