"""How well a reward model agrees with people on rankings that it was not trained on."""

from collections.abc import Callable, Sequence

from inference.comparing import ranking_metrics
from inference.comparing.ranking_metrics import Ranking
from inference.engine.base import Message
from inference.evaluating import intervals
from inference.evaluating.held_out import drawn
from inference.evaluating.report import Better, Measure, figure
from inference.evaluating.settings import Settings
from inference.training.judging import Judge
from inference.training.samples import Funnel, messages_of
from inference.training.snapshot import SnapshotFolder

PART = "reward_model"
Statistic = Callable[[Sequence[Ranking]], float | None]
Judged = tuple[str, str, Ranking]
"""Tree, language, and the ranking with scores."""


def margin(rankings: Sequence[Ranking]) -> float | None:
    """Return by how much the better answer of a pair scores higher, on average; each ranking weighs the same."""
    each = []
    for one in rankings:
        gaps = [one.scores[better] - one.scores[worse] for better, worse in one.pairs()]
        each += [sum(gaps) / len(gaps)] if gaps else []
    return sum(each) / len(each) if each else None


def kendall(rankings: Sequence[Ranking]) -> float | None:
    known = [tau for one in rankings if (tau := ranking_metrics.kendall_tau(one)) is not None]
    return sum(known) / len(known) if known else None


_STATISTICS: tuple[tuple[str, str, Better, Statistic], ...] = (
    ("accuracy", "Pairs that the reward model puts in the order of people", "higher", ranking_metrics.accuracy),
    ("best_beats_worst", "Best answer scores higher than the worst", "higher", ranking_metrics.best_beats_worst),
    ("kendall_tau", "Kendall's τ of scores and ranks", "higher", kendall),
    ("margin", "Score of the better answer minus that of the worse", "higher", margin),
    (
        "calibration_error",
        "Calibration error of the chance to be preferred",
        "lower",
        ranking_metrics.calibration_error,
    ),
    ("length_correlation", "Correlation of score and length", "", ranking_metrics.length_correlation),
)
_SHARES = ("accuracy", "best_beats_worst", "calibration_error")


def judged_rankings(judge: Judge, snapshot: SnapshotFolder, settings: Settings, funnel: Funnel) -> list[Judged]:
    """Return the rankings of the held-out part with scores. Raise TrainingError (`changed`, `template`)."""
    rows = list(snapshot.rows("rankings", settings.part, settings.langs))
    funnel.rows += len(rows)
    rows = drawn(rows, settings.most_rankings, settings.seed, funnel)
    funnel.samples += len(rows)
    asked = [(messages_of(row["prompt"]), [reply["content"] for reply in row["replies"]]) for row in rows]
    conversations = [[*prompt, Message("assistant", text)] for prompt, texts in asked for text in texts]
    scores = iter(judge.scores(conversations))
    return [
        (
            row["message_tree_id"],
            row["lang"] or "",
            Ranking([next(scores) for _ in texts], [reply["rank"] for reply in row["replies"]], list(map(len, texts))),
        )
        for row, (_, texts) in zip(rows, asked, strict=True)
    ]


def measures(judged: Sequence[Judged], settings: Settings) -> dict[str, Measure]:
    """Return the figures with intervals over trees, and the accuracy by language."""
    found = {
        f"{PART}.{name}": _measure(name, title, better, statistic, judged, settings)
        for name, title, better, statistic in _STATISTICS
    }
    name, title, better, statistic = _STATISTICS[0]
    for lang in sorted({lang for _, lang, _ in judged} - {""}):
        of_lang = [one for one in judged if one[1] == lang]
        found[f"{PART}.{name}.{lang}"] = _measure(name, f"{title}, {lang}", better, statistic, of_lang, settings)
    return found


def _measure(
    name: str, title: str, better: Better, statistic: Statistic, judged: Sequence[Judged], settings: Settings
) -> Measure:
    trees: dict[str, list[Ranking]] = {}
    for tree, _, ranking in judged:
        trees.setdefault(tree, []).append(ranking)
    groups = list(trees.values())
    value = statistic([ranking for _, _, ranking in judged])
    interval = intervals.of_groups(groups, statistic, rounds=min(settings.rounds, 200), seed=settings.seed)
    if name in ("accuracy", "best_beats_worst") and value is not None:
        low, high = intervals.wilson(value, len(groups))  # resamples of a few that are all right are all right too
        interval = (min(low, interval[0]), max(high, interval[1])) if interval else (low, high)
    cause = f"There are no rankings in the {settings.part} part of the snapshot that say it."
    return Measure(
        title=title,
        unit="share" if name in _SHARES else "",
        better=better,
        model=figure(value, interval, number=len(groups), cause=cause),
    )
