"""How well machines read labelled samples: languages, personal data, toxicity. Near-duplicates are in `similarity`.

Each function yields lines for a person to read. With `faults` every text that was read otherwise than it is labelled
gets a line as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.scoring import personal_data, toxicity
from oasst.core.text import language_detection
from oasst.simulation.measuring.labelled import Figures, MarkedText, read_columns, read_marked
from trees.enrichment.builtin import TOXIC
from trees.quality.assessment import auc

THRESHOLDS = (0.5, TOXIC)
BATCH = 16  # texts


# --- Languages ---


def measure_languages(folder: Path, *, faults: bool = False) -> Iterator[str]:
    rows = read_columns(folder / "languages.tsv", 2)
    found = [(lang, language_detection.detect(text), text) for lang, text in rows]
    exact = sum(one.tag == lang for lang, one, _ in found)
    alike = sum(_is_alike(one.tag, lang) for lang, one, _ in found) - exact
    unknown = sum(one.tag is None for _, one, _ in found)
    wrong = [(lang, one.tag, text) for lang, one, text in found if one.tag and not _is_alike(one.tag, lang)]
    yield (
        f"Language, {len(rows)} texts in {len({lang for lang, _ in rows})} languages: {exact} exact, "
        f"{alike} as a similar language, {unknown} unknown, {len(wrong)} wrong"
    )
    foreign = [one for lang, one, _ in found if not _is_alike("en", lang)]
    noticed = sum(one.differs_from("en") is not None for one in foreign)
    yield f"  filed under English by mistake: {noticed} of {len(foreign)} noticed"
    if faults:
        yield from (f"  {lang} as {tag}: {text}" for lang, tag, text in wrong)
    yield from _measure_questions(folder, faults=faults)


def _measure_questions(folder: Path, *, faults: bool) -> Iterator[str]:
    """Texts that are filed rightly, and whose authors should not be asked."""
    asked: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = read_columns(folder / "languages_hard.tsv", 3)
    for group, lang, text in rows:
        other = language_detection.detect_other_language(text, lang)
        asked[group] += [(other, text)] if other else []
    sizes = {group: sum(one == group for one, _, _ in rows) for group in dict.fromkeys(row[0] for row in rows)}
    total = sum(map(len, asked.values()))
    groups = ", ".join(f"{group} {len(asked[group])} of {size}" for group, size in sizes.items())
    yield f"  filed rightly, and asked all the same: {total} of {len(rows)} ({groups})"
    if faults:
        yield from (f"  taken for {other}: {text}" for texts in asked.values() for other, text in texts)


def _is_alike(tag: str | None, lang: str) -> bool:
    return tag is not None and language_detection.are_alike(tag, lang)


# --- Personal data ---


def figures_of_findings(samples: Sequence[MarkedText]) -> dict[str, Figures]:
    """Return figures by kind, and for "all". A finding is right if start, end and kind are."""
    figures = defaultdict[str, Figures](Figures)
    for sample in samples:
        wanted = set(sample.spans)
        found = {(one.start, one.end, one.kind) for one in personal_data.find(sample.text, sample.lang)}
        for group, name in ((found & wanted, "right"), (found - wanted, "wrong"), (wanted - found, "missed")):
            for start, end, kind in group:
                fault = "" if name == "right" else f"{name} {kind}: {sample.text[start:end]!r} in {sample.text!r}"
                for one in (figures[kind], figures["all"]):
                    one.count(name, fault)
    return figures


def measure_personal_data(folder: Path, *, faults: bool = False) -> Iterator[str]:
    for name, known in (("personal_data.tsv", "known to"), ("personal_data_unseen.tsv", "unknown to")):
        samples = read_marked(folder / name)
        figures = figures_of_findings(samples)
        tempting = sum(not sample.spans for sample in samples)
        yield f"Personal data, {len(samples)} lines {known} whoever wrote the rules, {tempting} of them without any:"
        for kind in sorted(figures, key=lambda kind: (kind == "all", kind)):
            yield f"  {kind:12}{figures[kind]}"
        if faults:
            yield from (f"  {fault}" for fault in figures["all"].faults)


# --- Toxicity ---


@dataclass(frozen=True)
class Scored:
    """A sentence of the sample with its score; None if it is unknown."""

    is_toxic: bool
    group: str
    text: str
    score: float | None


def measure_toxicity(folder: Path, *, faults: bool = False) -> Iterator[str]:
    """Yield how well the classifier of this site does. A text without a score counts as unknown, not as harmless."""
    rows = read_columns(folder / "toxicity.tsv", 3)
    ladder = toxicity.ladder()
    if not ladder.is_configured():
        yield f"Toxicity, {len(rows)} sentences: nothing to measure, TOXICITY_URL and OASST_TOXICITY_MODEL are unset"
        return
    outcomes: list[toxicity.Scores | Exception] = []
    for start in range(0, len(rows), BATCH):
        outcomes += ladder.score([toxicity.Question(text, "en") for _, _, text in rows[start : start + BATCH]])
    models = sorted({f"{one.model} {one.version}" for one in outcomes if isinstance(one, toxicity.Scores)})
    scored = [
        Scored(label == "toxic", group, text, _toxicity(outcome))
        for (label, group, text), outcome in zip(rows, outcomes, strict=True)
    ]
    yield f"Toxicity, {len(rows)} sentences, by {', '.join(models) or 'nothing that answered'}"
    yield from _figures_of_scores(scored, faults=faults)
    unknown = [f"{type(one).__name__}: {one}" for one in outcomes if not isinstance(one, toxicity.Scores)]
    if unknown:
        yield f"  unknown: {len(unknown)} of {len(rows)}; the first: {unknown[0]}"


def _toxicity(outcome: toxicity.Scores | Exception) -> float | None:
    return outcome.values["toxicity"] if isinstance(outcome, toxicity.Scores) else None


def _figures_of_scores(scored: Sequence[Scored], *, faults: bool) -> Iterator[str]:
    import numpy as np

    toxic = [one.score for one in scored if one.is_toxic and one.score is not None]
    harmless = [one.score for one in scored if not one.is_toxic and one.score is not None]
    if not toxic or not harmless:
        return
    area = auc(np.array([*toxic, *harmless]), np.array([1.0] * len(toxic) + [0.0] * len(harmless)))
    yield f"  area under the curve {area:.3f} (0.5 is guessing)"
    for threshold in THRESHOLDS:
        right, wrong = (sum(score >= threshold for score in scores) for scores in (toxic, harmless))
        figures = Figures(right, wrong, len(toxic) - right)
        yield f"  toxic from {threshold} on: {figures}"
        yield f"    {'false alarms:':17}{_by_group(scored, False, threshold)}"
        yield f"    {'found:':17}{_by_group(scored, True, threshold)}"
    if faults:
        for one in scored:
            if one.score is not None and one.is_toxic != (one.score >= TOXIC):
                yield f"  {one.score:.2f} {'toxic' if one.is_toxic else 'harmless'} ({one.group}): {one.text}"


def _by_group(scored: Sequence[Scored], is_toxic: bool, threshold: float) -> str:
    groups: dict[str, list[bool]] = defaultdict(list)
    for one in scored:
        if one.is_toxic == is_toxic and one.score is not None:
            groups[one.group].append(one.score >= threshold)
    return ", ".join(f"{group} {sum(hits)} of {len(hits)}" for group, hits in groups.items())
