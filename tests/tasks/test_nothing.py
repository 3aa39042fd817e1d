"""Whoever finds nothing reads the cause, in numbers, and what would bring work."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from tasks import assignment
from tasks.kinds import Kind
from tasks.queries import Nothing, explain_nothing
from tests.factories import new_people, new_prompt, review
from trees.models import Opening
from trees.policy import TreePolicy

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
KIND = Kind.LABEL_INITIAL_PROMPT


def why(person: User, kind: Kind = KIND, lang: str = "en") -> Nothing:
    """What a request for this work is refused with."""
    with pytest.raises(assignment.NothingToDo) as refused:
        assignment.request_task(user=person, lang=lang, kind=kind, policy=POLICY)
    nothing: Nothing = refused.value.details["nothing"]
    return nothing


def places() -> int:
    return Opening.objects.filter(held_until=None).count()


def test_own_words(alice: User) -> None:
    new_prompt(alice)
    assert f"{places()} about your own words" in why(alice).text
    assert "another contributor" in why(alice).unlock


def test_judged_already(alice: User, bob: User) -> None:
    review(new_prompt(alice), bob)
    assert f"{places()} about what you judged or answered already" in why(bob).text


def test_skipped(alice: User, bob: User) -> None:
    new_prompt(alice)
    task = assignment.request_task(user=bob, lang="en", kind=KIND, policy=POLICY)
    assignment.skip(task_id=task.pk, user=bob, policy=POLICY)
    assert f"{places()} about what you skipped" in why(bob).text


def test_begun(alice: User, bob: User) -> None:
    new_prompt(alice)
    assignment.request_task(user=bob, lang="en", kind=KIND, policy=POLICY)
    nothing = why(bob)
    assert f"{places()} among the tasks that you have begun" in nothing.text
    assert nothing.unlock.startswith("Finish or skip what you have begun.")


def test_several_at_once(alice: User, bob: User) -> None:
    new_prompt(bob)
    own = places()
    review(new_prompt(alice), bob)
    text = why(bob).text
    assert f"{own} about your own words" in text and f"{places() - own} about what you judged" in text


def test_held_by_others(alice: User, bob: User, carol: User) -> None:
    new_prompt(alice)
    until = timezone.now() + timedelta(minutes=5)
    for number, one in enumerate(Opening.objects.all()):
        Opening.objects.filter(pk=one.pk).update(holder=carol, held_until=until, lease=alice.pk if number else bob.pk)
        if number:
            Opening.objects.filter(pk=one.pk).delete()
    assert why(bob).text == "1 person is working on what is open."


def test_nothing_of_this_kind(bob: User) -> None:
    assert why(bob, Kind.RANK_ASSISTANT_REPLIES).title == "Nothing of this kind is open"


def test_other_languages_of_the_person_are_named(alice: User) -> None:
    new_prompt(alice)
    new_prompt(new_people(1)[0], lang="de")
    assert "de" not in why(alice).unlock
    User.objects.filter(pk=alice.pk).update(contribution_languages=["en", "de", "fr"])
    alice.refresh_from_db()
    assert why(alice).unlock.endswith(f"Open in your other languages: {places() // 2} in de.")


def test_it_costs_the_same_for_any_number_of_places(alice: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as found:
            explain_nothing(alice, "en", POLICY, KIND)
        return len(found)

    new_prompt(alice)
    before = cost()
    for _ in range(10):
        new_prompt(alice)
    assert cost() == before <= 2
