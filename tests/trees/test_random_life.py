"""Trees under people who do anything at any time: after each event all agrees, and in the end all is finished."""

import random
from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from oasst.core.errors import DomainError
from oasst.invariants import differences
from tasks import assignment, lottery, submission, upkeep
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.factories import delete, new_people
from trees.models import Message, MessageTree, Opening
from trees.policy import TreePolicy
from trees.states import ACTIVE, State

pytestmark = pytest.mark.django_db
FEW_TREES = 5


class Life:
    """One repeatable history: the seed decides the policy, who does what, and what they think."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        random.seed(seed)  # the services draw kinds, prompts and orders themselves
        self.policy = self._some_policy()
        self.people = new_people(8)
        self.words = (f"Text {seed}-{number}, like no other." for number in count())

    def _some_policy(self) -> TreePolicy:
        pick, number = self.chance.choice, self.chance.randint
        return TreePolicy(
            max_active_trees=number(1, 3),
            max_tree_depth=number(0, 4),
            max_children_count=number(1, 4),
            num_prompter_replies=number(1, 3),
            goal_tree_size=number(1, 15),
            num_reviews_initial_prompt=number(1, 5),
            num_reviews_reply=number(1, 5),
            acceptance_threshold_initial_prompt=pick([0, 0.3, 0.6, 0.9]),
            acceptance_threshold_reply=pick([0, 0.3, 0.6, 0.9]),
            num_required_rankings=number(1, 4),
            rank_prompter_replies=pick([False, True]),
            lonely_children_count=number(1, 3),
        )

    def some_event(self) -> None:
        events = {
            self.ask_for_work: 30,
            self.answer_something: 30,
            self.answer_again: 2,
            self.skip: 2,
            self.leave_until_the_hold_ends: 5,
            self.leave_for_good: 2,
            self.come_back: 2,
            self.moderate: 1,
        }
        (event,) = self.chance.choices(list(events), list(events.values()))
        with suppress(DomainError):  # a refusal; the check that follows shows that it broke nothing
            event()

    def ask_for_work(self) -> None:
        kinds = [None, None, *Kind]
        if MessageTree.objects.count() >= FEW_TREES:
            kinds = [kind for kind in Kind if kind != Kind.INITIAL_PROMPT]
        person, kind = self.chance.choice(self.people), self.chance.choice(kinds)
        assignment.request_task(user=person, lang="en", kind=kind, policy=self.policy)

    def answer_something(self) -> None:
        self.answer(self._one_of(Task.objects.filter(status=Task.Status.OPEN)))

    def answer_again(self) -> None:
        self.answer(self._one_of(Task.objects.exclude(status=Task.Status.OPEN)))

    def answer(self, task: Task | None, *, junk: float = 0.2) -> None:
        if task is None:
            return
        about = {"task_id": task.pk, "user": task.user, "policy": self.policy}
        match TABLE[Kind(task.kind)].answer:
            case "text":
                submission.submit_text(text=next(self.words), **about)  # type: ignore[arg-type]
            case "labels":
                submission.submit_labels(labels={"spam": int(self.chance.random() < junk)}, **about)  # type: ignore[arg-type]
            case "ranking":
                order = self.chance.sample(task.reply_ids, len(task.reply_ids))
                submission.submit_ranking(ordered_ids=order, not_rankable=self.chance.random() < 0.1, **about)  # type: ignore[arg-type]

    def skip(self) -> None:
        if task := self._one_of(Task.objects.filter(status=Task.Status.OPEN)):
            assignment.skip(task_id=task.pk, user=task.user)

    def leave_until_the_hold_ends(self) -> None:
        if opening := self._one_of(Opening.objects.filter(lease__isnull=False)):
            Opening.objects.filter(pk=opening.pk).update(held_until=timezone.now() - timedelta(seconds=1))

    def leave_for_good(self) -> None:
        if task := self._one_of(Task.objects.filter(status=Task.Status.OPEN)):
            Task.objects.filter(pk=task.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
            upkeep.expire_tasks()

    def come_back(self) -> None:
        if task := self._one_of(Task.objects.filter(status=Task.Status.OPEN)):
            assignment.extend_lease(task_id=task.pk, user=task.user)

    def moderate(self) -> None:
        if message := self._one_of(Message.objects.filter(deleted=False)):
            delete(message, self.policy)

    def _one_of(self, rows):  # type: ignore[no-untyped-def]
        found = list(rows.order_by("pk"))
        return self.chance.choice(found) if found else None

    def finish(self) -> None:
        """Everybody goes home; fresh people do whatever there is to do."""
        Opening.objects.filter(lease__isnull=False).update(held_until=timezone.now() - timedelta(seconds=1))
        for _ in range(600):
            lottery.draw("en", self.policy)
            opening = Opening.objects.order_by("pk").first()
            if opening is None:
                if not MessageTree.objects.filter(state=State.PROMPT_LOTTERY_WAITING).exists():
                    return
                continue
            (person,) = new_people(1)
            kind = Kind(opening.work)
            task = assignment.request_task(user=person, lang="en", kind=kind, policy=self.policy)
            self.answer(task, junk=0)
        raise AssertionError("there is no end to it")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_nothing_gets_stuck_overshoots_or_disagrees(seed: int) -> None:
    life = Life(seed)
    for number in range(50):
        life.some_event()
        assert [str(one) for one in differences(life.policy)] == [], f"event {number} of {life.policy}"
    life.finish()
    assert [str(one) for one in differences(life.policy)] == []
    running = MessageTree.objects.filter(state__in=[*ACTIVE, State.PROMPT_LOTTERY_WAITING])
    assert list(running.values_list("state", flat=True)) == []
