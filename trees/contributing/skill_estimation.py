"""Estimates how reliable reviewers are, from their answers and from the right ones where these are known.

Pure functions; memory grows with the people, not with their answers.

Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm",
1979, for two classes. Implemented here because libraries for it bring a numerical stack and hold all answers in memory;
the tests compare it with one of them.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from trees.lifecycle.consensus import SUREST, Skill

LEAST_TEXTS = 20  # with fewer texts that others judged too, or whose answer is known, an estimate says little

Person = TypeVar("Person", bound=Hashable)
Question = TypeVar("Question", bound=Hashable)

ROUNDS = 30  # of estimation; it converges much earlier
SETTLED = 0.005  # largest change of a skill
START = Skill(0.8, 0.9)  # of everybody, before anything is known
START_SHARE = 0.1
START_VOTES = 200.0  # the imagined votes of that kind, for the average of all
PERSON_VOTES = 6.0  # imagined votes like the average, for each person
GROUP_VOTES = 10.0  # imagined votes like the person's own in all groups, for each group


class Answers(NamedTuple, Generic[Person, Question]):
    """What people answered to one yes-or-no question about one text."""

    question: Question
    group: str  # people's skills differ by group, such as a language
    answers: list[tuple[Person, bool]]
    truth: bool | None = None  # if it is known
    odds: float = 1.0  # by which "yes" was more likely than usual before anybody answered


@dataclass(slots=True)
class Counts:
    """Expected numbers of answers about texts for which "yes" is right (`yes`) and wrong (`no`)."""

    found: float = 0
    yes: float = 0
    spared: float = 0
    no: float = 0
    texts: int = 0  # about which others answered too, or whose right answer is known
    differed: int = 0  # of those, where the answer of this person is probably wrong

    def add(self, other: "Counts") -> None:
        self.found += other.found
        self.yes += other.yes
        self.spared += other.spared
        self.no += other.no
        self.texts += other.texts
        self.differed += other.differed

    def spares(self, like: float, votes: float) -> float:
        """Return the share of kept good texts, shrunk: as if there were so many more answers, given like that."""
        return min(SUREST.spares, max(1 - SUREST.finds, (self.spared + votes * like) / (self.no + votes)))

    def finds(self, like: float, votes: float) -> float:
        """Return the share of rejected bad texts, shrunk in the same way."""
        return min(SUREST.finds, (self.found + votes * like) / (self.yes + votes))

    def skill(self, like: Skill, votes: float) -> Skill:
        """Return both, shrunk. Never worse than chance: a yes must not become a reason for no."""
        spares = self.spares(like.spares, votes)
        return Skill(max(1 - spares, self.finds(like.finds, votes)), spares)


@dataclass
class Estimate(Generic[Person, Question]):
    """Skills by (question, group, person), by (question, person), and of all together by question."""

    skills: dict[tuple[Question, str, Person], Skill] = field(default_factory=dict)
    people: dict[tuple[Question, Person], Skill] = field(default_factory=dict)
    averages: dict[Question, Skill] = field(default_factory=dict)
    shares: dict[Question, float] = field(default_factory=dict)  # of texts for which "yes" is right
    counts: dict[tuple[Question, str, Person], Counts] = field(default_factory=dict)

    def skill(self, question: Question, group: str, person: Person) -> Skill:
        """Return what is known best about this person: in the group, in general, or about everybody."""
        known = self.skills.get((question, group, person)) or self.people.get((question, person))
        return known or self.averages.get(question, START)

    def well_known_skill(self, question: Question, group: str, person: Person) -> Skill | None:
        """Return the skill of this person in the group, or None if too little is known of it."""
        counts = self.counts.get((question, group, person))
        return self.skills[question, group, person] if counts and counts.texts >= LEAST_TEXTS else None

    def chance_of_yes(self, item: Answers[Person, Question]) -> float:
        """Return the probability that "yes" is right."""
        if item.truth is not None:
            return float(item.truth)
        yes = self.shares.get(item.question, START_SHARE)
        no = 1 - yes
        yes *= item.odds
        skills, question, group = self.skills, item.question, item.group
        for person, answer in item.answers:
            finds, spares = skills.get((question, group, person)) or self.skill(question, group, person)
            yes *= finds if answer else 1 - finds
            no *= 1 - spares if answer else spares
        return yes / (yes + no)


def estimate(
    read: Callable[[], Iterable[Answers[Person, Question]]],
    start: Estimate[Person, Question] | None = None,
    rounds: int = ROUNDS,
) -> Estimate[Person, Question]:
    """Estimate all skills. `read` is called once for each round and returns the same texts each time.

    `start` is an earlier estimate, from which it converges sooner.
    """
    current = start or Estimate()
    for _ in range(rounds):
        updated = _next(current, read())
        change = max(_changes(current, updated), default=0.0)
        current = updated
        if change < SETTLED:
            break
    return current


def _changes(before: Estimate[Person, Question], after: Estimate[Person, Question]) -> Iterator[float]:
    for key, skill in after.skills.items():
        earlier = before.skills.get(key)
        yield max(abs(a - b) for a, b in zip(skill, earlier, strict=True)) if earlier else 1.0


def _next(
    current: Estimate[Person, Question], items: Iterable[Answers[Person, Question]]
) -> Estimate[Person, Question]:
    """Return the estimate of one more round."""
    counts: dict[tuple[Question, str, Person], Counts] = defaultdict(Counts)
    shares: dict[Question, list[float]] = defaultdict(lambda: [START_SHARE * START_VOTES, START_VOTES])
    for item in items:
        yes = current.chance_of_yes(item)
        no, is_shared = 1 - yes, len(item.answers) > 1 or item.truth is not None
        question, group = item.question, item.group
        if item.truth is None:
            shares[question][0] += yes
            shares[question][1] += 1
        for person, answer in item.answers:
            count = counts[question, group, person]
            count.yes += yes
            count.no += no
            if is_shared:
                count.texts += 1
                count.differed += answer != (yes > 0.5)
            if answer:
                count.found += yes
            else:
                count.spared += no
    people: dict[tuple[Question, Person], Counts] = defaultdict(Counts)
    everybody: dict[Question, Counts] = defaultdict(Counts)
    for (question, _, person), count in counts.items():
        people[question, person].add(count)
        everybody[question].add(count)
    result: Estimate[Person, Question] = Estimate(counts=dict(counts))
    result.shares = {question: yes / number for question, (yes, number) in shares.items()}
    result.averages = {question: _average(count) for question, count in everybody.items()}
    for question in everybody:
        own = {person: count for (asked, person), count in people.items() if asked == question}
        result.people |= {(question, p): skill for p, skill in _people(own, result.averages[question]).items()}
    for key, count in counts.items():
        question, _, person = key
        result.skills[key] = count.skill(result.people[question, person], GROUP_VOTES)
    return result


def _average(counts: Counts) -> Skill:
    """Return the average skill. Never worse than chance, which would exchange the meaning of yes and no."""
    finds, spares = counts.skill(START, START_VOTES)
    return Skill(max(0.5, finds), max(0.5, spares))


def _people(counts: Mapping[Person, Counts], average: Skill) -> dict[Person, Skill]:
    """Return each person's skill about one question, shrunk towards the average.

    Bad texts are rare, so `spares` is known long before `finds`. Where people with high `spares` usually have high
    `finds`, the latter is shrunk towards what the former predicts (a regression over all people).
    """
    spares = {person: count.spares(average.spares, PERSON_VOTES) for person, count in counts.items()}
    covariance = variance = 0.0
    for person, count in counts.items():
        distance = spares[person] - average.spares
        covariance += (count.found - count.yes * average.finds) * distance
        variance += count.yes * distance * distance
    slope = min(1.5, max(0.0, covariance / variance)) if variance else 0.0
    skills = {}
    for person, count in counts.items():
        predicted = average.finds + slope * (spares[person] - average.spares)
        likely = min(SUREST.finds, max(1 - spares[person], predicted))
        skills[person] = count.skill(Skill(likely, average.spares), PERSON_VOTES)
    return skills
