"""How many reviews are saved by stopping when the outcome is certain: a seeded simulation without a database.

    scripts/bench saved-reviews --messages 100000 --seed 1

90.7 % of the messages are good, the share that was accepted in OASST2. Reviewers err as often on good messages as on
bad ones, so only how well they judge makes a difference.
"""

import random
from argparse import ArgumentParser
from dataclasses import dataclass

from trees.lifecycle.consensus import MajorityRule, Vote, count_rejecting, is_accepted
from trees.lifecycle.policy import TreePolicy

GOOD = 0.907  # share of all messages
Crowd = tuple[tuple[float, float], ...]
"""For each kind of reviewer: their share, and how often they judge like a perfect reviewer."""
MIXED: Crowd = ((0.7, 0.92), (0.2, 0.75), (0.1, 0.5))
CROWDS: dict[str, Crowd] = {
    "mixed (7 of 10 judge well, 1 of 10 guesses)": MIXED,
    "careful (95 of 100 judgments right)": ((1.0, 0.95),),
    "careless (70 of 100 judgments right)": ((1.0, 0.7),),
}


@dataclass
class Outcome:
    messages: int = 0
    fixed: int = 0  # reviews, with a fixed number for each message
    needed: int = 0  # reviews, when stopping as soon as the outcome is certain
    superfluous: int = 0  # openings that were open at that moment
    different: int = 0  # messages with different outcomes

    @property
    def saved(self) -> float:
        return 1 - self.needed / self.fixed


def simulate(*, messages: int, seed: int, crowd: Crowd = MIXED, wanted: int = 3, threshold: float = 0.6) -> Outcome:
    """Review this many messages both ways with the same reviewers."""
    chance, outcome, rule = random.Random(seed), Outcome(messages), MajorityRule(wanted, threshold)
    for _ in range(messages):
        votes = _votes(chance, chance.random() < GOOD, wanted, crowd)
        given = 0
        while (decision := rule.verdict(votes[:given])) is None:
            # As many openings as the earliest decision needs; all are used before the next check.
            given += rule.votes_needed(votes[:given])
        outcome.fixed += wanted
        outcome.needed += given
        outcome.superfluous += rule.verdict(votes[: given - 1]) is not None
        outcome.different += decision != is_accepted(count_rejecting(votes), wanted, threshold)
    return outcome


def _votes(chance: random.Random, is_good: bool, number: int, crowd: Crowd) -> list[Vote]:
    """Return the vote of each reviewer."""
    skills = chance.choices([skill for _, skill in crowd], [share for share, _ in crowd], k=number)
    return [Vote((chance.random() < skill) != is_good) for skill in skills]


def main() -> None:
    parser = ArgumentParser(prog="scripts/bench saved-reviews", description="How many reviews does stopping save?")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    policy = TreePolicy()
    wanted, threshold = policy.num_reviews_reply, policy.acceptance_threshold_reply
    for name, crowd in CROWDS.items():
        found = simulate(messages=options.messages, seed=options.seed, crowd=crowd, wanted=wanted, threshold=threshold)
        print(  # noqa: T201
            f"{name}: {found.needed / found.messages:.3f} reviews a message instead of {wanted}, "
            f"{found.saved:.1%} saved, {found.different} of {found.messages} messages decided otherwise"
        )


if __name__ == "__main__":
    main()
