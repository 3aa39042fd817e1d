"""One simulated person: mostly diligent, sometimes absent-minded, with opinions of their own."""

import random
from dataclasses import dataclass, field

from oasst.accounts.models import User
from oasst.simulation.crowd.texts import Texts
from oasst.simulation.crowd.work import Answer, Client, Question, Work
from tasks.kinds import TABLE
from trees.models import Skip


@dataclass(frozen=True)
class Habits:
    """Probabilities."""

    calls_junk: float = 0.08
    skips: float = 0.03
    leaves: float = 0.04  # leaves a task and comes back to it later
    disagrees: float = 0.3  # swaps two replies of the usual order
    leaves_empty: float = 0.4  # leaves an optional question open


@dataclass
class Person:
    user: User
    client: Client
    texts: Texts
    rng: random.Random
    habits: Habits = Habits()
    left: list[Work] = field(default_factory=list)
    unwanted: Work | None = None  # a prompt task that the site offered but the crowd does not need
    nothing_in_a_row: int = 0

    def think(self, work: Work) -> Answer:
        match TABLE[work.kind].answer:
            case "text":
                return Answer(text=self.texts.draw(work.kind))
            case "labels":
                return Answer(labels={question.name: self._label(question) for question in work.questions})
            case "ranking":
                # Most people prefer the older reply (ids sort by time), so there is a consensus, but not unanimity.
                order = sorted(work.reply_ids)
                if self.rng.random() < self.habits.disagrees:
                    first, second = self.rng.sample(range(len(order)), 2)
                    order[first], order[second] = order[second], order[first]
                return Answer(order=tuple(order))

    def _label(self, question: Question) -> float | None:
        if question.name == "spam":
            return float(self.rng.random() < self.habits.calls_junk)
        if question.widget == "flag":
            # Never lang_mismatch, which counts as a vote against the message.
            return 1.0 if question.name != "lang_mismatch" and self.rng.random() < 0.02 else None
        if not question.mandatory and self.rng.random() < self.habits.leaves_empty:
            return None
        return float(self.rng.random() < 0.2) if question.widget == "yes_no" else self.rng.randrange(5) / 4

    def skip_reason(self) -> str:
        return self.rng.choice(Skip.Reason.values)
