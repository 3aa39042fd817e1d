"""What a visitor does with a task. Opinions as in the simulation of `spec/demand.md`: most judge well, some badly."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from oasst.accounts.models import User
from oasst.simulation.replay.arrivals import Wish
from tasks import submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.lifecycle.policy import TreePolicy

BAD_TEXTS = 0.093  # share of messages in OASST2 that were not accepted
JUDGES_RIGHT = ((0.7, 0.92), (0.9, 0.75), (1.0, 0.5))  # (cumulative share of people, how often they are right)
LEAVES = 0.05  # share of tasks that are never answered
MINUTES: dict[str, float] = {"text": 6, "labels": 2, "ranking": 3}  # average time of a task

KINDS: dict[Wish, tuple[Kind, ...]] = {
    "prompt": (Kind.INITIAL_PROMPT,),
    "reply": (Kind.ASSISTANT_REPLY, Kind.PROMPTER_REPLY),
    "review": (Kind.LABEL_ASSISTANT_REPLY, Kind.LABEL_PROMPTER_REPLY, Kind.LABEL_INITIAL_PROMPT),
    "ranking": (Kind.RANK_ASSISTANT_REPLIES,),
}


@dataclass
class Crowd:
    """The opinions and texts of everybody."""

    policy: TreePolicy
    chance: random.Random
    bad: set[UUID] = field(default_factory=set)
    right: dict[UUID, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def choose(self, wish: Wish, on_offer: Mapping[Kind, int]) -> Kind:
        """Choose the kind that this visitor asks for, preferably one with available work."""
        kinds = KINDS[wish]
        return self.chance.choice([kind for kind in kinds if on_offer[kind]] or kinds)

    def leaves(self) -> bool:
        return self.chance.random() < LEAVES

    def minutes(self, task: Task) -> float:
        return self.chance.expovariate(1 / MINUTES[TABLE[Kind(task.kind)].answer])

    def answer(self, task: Task, user: User) -> None:
        """Answer the task. Raise what `submission` raises."""
        arguments: dict[str, Any] = {"task_id": task.pk, "user": user, "policy": self.policy}
        match TABLE[Kind(task.kind)].answer:
            case "text":
                text = f"Text number {next(self._numbers)} of this replay."
                done = submission.submit_text(text=text, **arguments)
                if self.chance.random() < BAD_TEXTS and done.result_message_id:
                    self.bad.add(done.result_message_id)
            case "labels":
                rejects = (task.message_id in self.bad) == (self.chance.random() < self._is_right(user))
                submission.submit_labels(labels={"spam": float(rejects)}, **arguments)
            case "ranking":
                order = sorted(task.reply_ids)  # by time
                self.chance.shuffle(order)
                submission.submit_ranking(ordered_ids=order, **arguments)

    def _is_right(self, user: User) -> float:
        if user.pk not in self.right:
            drawn = self.chance.random()
            self.right[user.pk] = next(right for share, right in JUDGES_RIGHT if drawn <= share)
        return self.right[user.pk]
