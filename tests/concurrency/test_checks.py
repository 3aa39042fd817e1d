"""Checks asked for, answered and ended at the same moment."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.site.invariants import find_differences
from tasks import assignment, checks
from tasks.kinds import Kind
from tasks.models import Capacity, Task
from tests.concurrency.together import at_once, rival_before
from tests.crowd import answer, start_tree, take
from tests.factories import new_people, new_person
from trees.contributing import gold, reviews, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Review

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PLAIN = TreePolicy(check_share=0, max_active_trees=0, num_reviews_initial_prompt=1)
GOLD = replace(PLAIN, check_share=1 / 15, check_repeats=0, check_least_pool=1)
KIND = Kind.LABEL_INITIAL_PROMPT


@pytest.fixture
def bob(monkeypatch: pytest.MonkeyPatch) -> User:
    """A reviewer with as many reviews as a check needs, for whom the dice always ask for one."""
    monkeypatch.setattr(checks, "random", SimpleNamespace(random=lambda: 0.0))
    other, reviewer, boss = new_person("Other"), new_person("Bob"), new_person("Boss", role="admin")
    for _ in range(14):
        start_tree(PLAIN)
        answer(take(reviewer, PLAIN, KIND), PLAIN)
    for _ in range(2):
        tree = start_tree(PLAIN)
        answer(take(other, PLAIN, KIND), PLAIN)
        gold.mark(message_id=tree.pk, actor=boss, reason="Right.", policy=GOLD)
    for _ in range(3):
        start_tree(PLAIN)
    measure()
    return reviewer


def measure() -> None:
    """From here on, the language takes no more prompts, and reviews of prompts may be checks."""
    now = timezone.now()
    Capacity.objects.create(
        lang="en", reviews=9, replies=9, rankings=9, since=now, measured_at=now, checked_kinds=[KIND.value]
    )


def judge(task: Task, spam: float = 0) -> Task:
    return answer(task, GOLD, spam=spam)


def agrees() -> bool:
    return list(find_differences(GOLD)) == []


def test_two_tabs_get_one_check(bob: User) -> None:
    results: list[Any] = at_once([lambda: take(bob, GOLD, KIND)] * 3)
    assert sorted(task.check_kind for task in results) == ["", "", "gold"]
    assert agrees()


def test_two_people_may_get_the_same(bob: User) -> None:
    """A check holds nothing, so nobody waits and nobody goes without."""
    (other,) = new_people(1)
    Capacity.objects.all().delete()
    for _ in range(14):
        start_tree(PLAIN)
        answer(take(other, PLAIN, KIND), PLAIN)
    measure()
    tasks: list[Any] = at_once([lambda: take(bob, GOLD, KIND), lambda: take(other, GOLD, KIND)])
    assert [task.check_kind for task in tasks] == ["gold", "gold"]
    results = at_once([lambda task=task: judge(task) for task in tasks])  # type: ignore[misc]
    assert not [result for result in results if isinstance(result, Exception)]
    assert agrees()


def test_sent_twice_at_once_is_stored_once(bob: User) -> None:
    task = take(bob, GOLD, KIND)
    results = at_once([lambda: judge(task)] * 3)
    assert not [result for result in results if isinstance(result, Exception)]
    assert Review.by_author.filter(kind="gold").count() == 1
    assert agrees()


@pytest.mark.parametrize("event", ["ended", "withdrawn"])
def test_what_happens_to_it_while_it_is_sent(bob: User, event: str) -> None:
    """Before the answer locks the tree: an ended one is answered as if nothing had been, a withdrawn one refused."""
    task = take(bob, GOLD, KIND)
    message = Message.objects.get(pk=task.message_id)
    acts: dict[str, Callable[[], object]] = {
        "ended": lambda: gold.unmark(
            message_id=message.pk, actor=User.objects.get(role="admin"), reason="Unclear.", policy=GOLD
        ),
        "withdrawn": lambda: withdrawal.withdraw(message_id=message.pk, author=message.author, policy=GOLD),  # type: ignore[arg-type]
    }
    with rival_before(reviews, "lock_tree", acts[event]):
        if event == "ended":
            assert judge(task).status == Task.Status.DONE
        else:
            with pytest.raises(DomainError) as refusal:
                judge(task)
            assert refusal.value.code == "message_deleted"
    assert agrees()


def test_marking_and_ending_at_once(bob: User) -> None:
    message, boss = Message.objects.filter(gold__isnull=False)[0], User.objects.get(role="admin")
    arguments = {"message_id": message.pk, "actor": boss, "reason": "Why.", "policy": GOLD}
    acts: list[Callable[[], object]] = [lambda: gold.mark(**arguments), lambda: gold.unmark(**arguments)]
    results = at_once([*acts, lambda: gold.refresh(GOLD), lambda: gold.refresh(GOLD)])
    assert not [result for result in results if isinstance(result, Exception)]
    assert agrees()


def test_skipped_and_sent_at_once(bob: User) -> None:
    task = take(bob, GOLD, KIND)
    results = at_once([lambda: judge(task), lambda: assignment.skip(task_id=task.pk, user=bob, policy=GOLD)])
    assert sum(isinstance(result, DomainError) for result in results) == 1
    assert agrees()
