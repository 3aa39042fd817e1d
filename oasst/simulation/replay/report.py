"""A report in numbers: what became of the prompts of a replay."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from statistics import median, quantiles

from django.db.models import Count

from oasst.simulation.replay.arrivals import LANGUAGES
from oasst.simulation.replay.play import Played
from trees.lifecycle.states import State
from trees.models import MessageTree, TreeTransition

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Stay:
    """How long trees stayed in a state before they left it, and how many are still in it."""

    days: list[float]
    still: int

    @property
    def p95(self) -> float:
        return quantiles(self.days, n=20)[-1] if len(self.days) > 1 else sum(self.days)


@dataclass(frozen=True)
class Report:
    played: Played
    states: dict[str, dict[State, int]]  # by language
    stays: dict[State, Stay]

    @property
    def admitted(self) -> int:
        return sum(sum(counts.values()) for counts in self.states.values())

    @property
    def finished(self) -> int:
        return sum(counts.get(State.READY_FOR_EXPORT, 0) for counts in self.states.values())

    @property
    def share(self) -> float:
        """The share of admitted prompts that are in the data set at the end."""
        return self.finished / max(1, self.admitted)


def report(played: Played) -> Report:
    """Make the report from the database of the replay."""
    states: dict[str, dict[State, int]] = defaultdict(dict)
    for lang, state, number in MessageTree.objects.values_list("lang", "state").annotate(Count("pk")):
        states[lang][State(state)] = number
    return Report(played, dict(states), _stays())


def _stays() -> dict[State, Stay]:
    days: dict[State, list[float]] = defaultdict(list)
    still: dict[State, int] = defaultdict(int)
    moves = TreeTransition.objects.order_by("tree_id", "id").values_list("tree_id", "to_state", "at")
    for _, of_tree in groupby(moves, key=itemgetter(0)):
        steps = [(State(state), at) for _, state, at in of_tree]
        for (state, since), (_, until) in pairwise(steps):
            days[state].append((until - since) / DAY)
        still[steps[-1][0]] += 1
    return {state: Stay(days[state], still[state]) for state in State if days[state] or still[state]}


def lines(result: Report) -> Iterator[str]:
    """Yield the report as text."""
    played = result.played
    yield (
        f"Prompts:   {played.came['prompt']} offered, {result.admitted} taken in, {result.finished} in the data set: "
        f"{result.share:.0%} of those taken in"
    )
    yield "Languages: offered, taken in, in the data set, not accepted, unfinished"
    for lang in LANGUAGES:
        counts = result.states.get(lang, {})
        taken, finished = sum(counts.values()), counts.get(State.READY_FOR_EXPORT, 0)
        ended = counts.get(State.ABORTED_LOW_GRADE, 0) + counts.get(State.HALTED_BY_MODERATOR, 0)
        numbers = played.prompts_offered[lang], taken, finished, ended, taken - finished - ended
        yield f"  {lang:<8}" + "".join(f"{number:7}" for number in numbers)
    yield "Days in a state: middle, 95 of 100 below; still there at the end"
    for state, stay in result.stays.items():
        if stay.days:
            yield f"  {state.value:<24}{median(stay.days):8.2f}{stay.p95:8.2f}{stay.still:8}"
        else:
            yield f"  {state.value:<24}{'':16}{stay.still:8}"
    yield "People who came, what they came for, and how many could do it"
    for wish, number in played.came.items():
        yield f"  {wish:<24}{number:8}{played.answered[wish]:8}  {played.answered[wish] / number:.0%}"
    yield "Why the others could not"
    for (wish, why), number in sorted(played.refused.items()):
        yield f"  {wish:<10}{number:6}  {why}"
