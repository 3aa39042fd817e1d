"""Measuring how well the quality model tells accepted and rejected prompts apart, on samples that people judged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from trees.enrichment import embeddings
from trees.models import QualityModel, Role
from trees.quality import features, learning, linear

if TYPE_CHECKING:
    from trees.quality.linear import Floats, Matrix

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)
FIRST = (10, 20, 40)

Target = QualityModel.Target


def read_texts(file: Path) -> list[str]:
    """Read one text a line: a JSON string, an exported tree (its prompt), or the last column between tabs.

    Lines that begin with # are comments. Other line breaks than a newline do not end a line: exported texts may hold
    them. Raise ValueError with the line.
    """
    texts = []
    for number, line in enumerate(file.read_text().split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            record = json.loads(line) if line[0] in '"{' else line.split("\t")[-1].replace("\\n", "\n")
            texts.append(record if isinstance(record, str) else record["prompt"]["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}, line {number}: neither a JSON string nor a tree nor columns.") from error
    return texts


def measure(accepted: list[str], rejected: list[str], *, wrong: float, seed: int) -> Iterator[str]:
    """Yield the figures for each set of features and each penalty, then how fast rejected ones are found in order.

    Each text is predicted by a model that has not seen it. Each is a conversation of its own. `wrong` is the share of
    verdicts that are turned around, since reviewers err.
    """
    import numpy as np

    texts = [*accepted, *rejected]
    embedder = embeddings.load()
    facts = [(len(text), Role.PROMPTER, True) for text in texts]
    rows = features.features(embedder.embed(texts), facts)
    answers = np.array([1.0] * len(accepted) + [0.0] * len(rejected))
    answers = np.where(np.random.default_rng(seed).random(len(answers)) < wrong, 1 - answers, answers)
    vectors = embedder.dimensions
    yield f"{embedder.name}: {len(accepted)} accepted and {len(rejected)} rejected prompts, {wrong:.0%} turned around"
    for name, columns in (
        ("vector and length", slice(None)),
        ("vector", slice(vectors)),
        ("length", slice(vectors, vectors + 1)),
    ):
        yield _figures(name, rows[:, columns], answers)
    for penalty in PENALTIES:
        in_use = " (in use)" if penalty == linear.PENALTY else ""
        yield _figures(f"penalty {penalty:g}{in_use}", rows, answers, penalty)
    unseen = learning.predict_unseen(Target.ACCEPTED, _examples(rows, answers))
    found = np.cumsum(1 - answers[np.argsort(unseen.predicted, kind="stable")])
    share = float(1 - answers.mean())
    for first in FIRST:
        expected = f"of any {first} {share * first:.0f}"
        yield f"Of the {first} with the lowest predictions {found[first - 1]:.0f} were rejected, {expected}."


def _examples(rows: "Matrix", answers: "Floats") -> learning.Examples:
    import numpy as np

    trees = tuple(UUID(int=number) for number in range(len(answers)))
    return learning.Examples(rows, answers, np.array(["en"] * len(answers)), trees)


def _figures(name: str, rows: "Matrix", answers: "Floats", penalty: float = linear.PENALTY) -> str:
    examples = _examples(rows, answers)
    unseen = learning.predict_unseen(Target.ACCEPTED, examples, penalty=penalty)
    found = learning.assess_unseen(Target.ACCEPTED, examples, unseen)
    return (
        f"{name:22} AUC {found.auc:.3f} ({found.auc_low:.3f} to {found.auc_high:.3f}), Brier {found.brier:.3f} "
        f"(base rate {found.base_brier:.3f}), {found.skill:.0%} saved ({found.skill_low:.0%} to {found.skill_high:.0%})"
    )
