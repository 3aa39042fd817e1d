"""Let a model answer each prompt several times and keep what a reward model likes best.

Best-of-n says how good the best of n answers is. Rejection sampling keeps the best ones to learn from. They stay marked
as written by a model, in each row and in the manifest.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import zstandard

from inference.engine.base import Message
from inference.engine.sampling import Sampling
from inference.training.errors import TrainingError
from inference.training.judging import Judge
from inference.training.samples import messages_of
from inference.training.sampling import Answer, Sampler
from inference.training.snapshot import SnapshotFolder, Split

SIZES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Prompt:
    tree: str
    lang: str
    messages: list[Message]


@dataclass(frozen=True)
class Scored:
    """Answers to a prompt, the one with the highest score first."""

    prompt: Prompt
    answers: list[Answer]
    scores: list[float]

    def split(self, keep: int) -> tuple[list[tuple[Answer, float]], list[tuple[Answer, float]]]:
        """Return the best different answers, `keep` of them or fewer, and all others.

        One that the model did not end is never among the best: a model must not learn to end there.
        """
        best: list[tuple[Answer, float]] = []
        others: list[tuple[Answer, float]] = []
        for one in zip(self.answers, self.scores, strict=True):
            is_new = one[0].text not in {answer.text for answer, _ in best}
            fits = len(best) < keep and one[0].ended and bool(one[0].text) and is_new
            (best if fits else others).append(one)
        return best, others


def prompts_of(snapshot: SnapshotFolder, split: Split, langs: Collection[str] = ()) -> list[Prompt]:
    """Return the accepted prompts of a part. Raise TrainingError (`changed`)."""
    rows = snapshot.rows("prompts", split, langs)
    return [Prompt(row["message_tree_id"], row["lang"], messages_of(row["prompt"])) for row in rows]


def score(
    prompts: Sequence[Prompt], sampler: Sampler, judge: Judge, *, n: int, config: Sampling | None = None, seed: int = 0
) -> list[Scored]:
    """Return `n` answers to each prompt with their scores. Raise as `Sampler.answers` and `Judge.scores` do."""
    said = sampler.answers([one.messages for one in prompts], n=n, config=config, seed=seed)
    talks = [
        [*prompt.messages, Message("assistant", answer.text)]
        for prompt, answers in zip(prompts, said, strict=True)
        for answer in answers
    ]
    scores = iter(judge.scores(talks))
    found = []
    for prompt, answers in zip(prompts, said, strict=True):
        judged = sorted(((next(scores), answer) for answer in answers), key=lambda one: -one[0])
        found.append(Scored(prompt, [answer for _, answer in judged], [value for value, _ in judged]))
    return found


def curve(scored: Sequence[Scored], sizes: Iterable[int] = SIZES) -> dict[int, float]:
    """Return the mean score of the best of so many answers, for the sizes of which there are enough answers.

    It is the expectation over all choices among the answers that there are, so it needs no luck to rise.
    """
    least = min((len(one.scores) for one in scored), default=0)
    return {
        size: sum(_best_of(one.scores, size) for one in scored) / len(scored) for size in sizes if 0 < size <= least
    }


def _best_of(scores: Sequence[float], size: int) -> float:
    """Return the expected maximum of `size` of the scores, drawn without putting back."""
    number = len(scores)
    ways = [math.comb(place, size - 1) for place in range(number)]  # in which this one is the best of those drawn
    return math.fsum(way * value for way, value in zip(ways, sorted(scores), strict=True)) / math.comb(number, size)


def write_selection(scored: Sequence[Scored], folder: Path, *, keep: int, model_name: str, reward_model: str) -> None:
    """Write the best answers to each prompt, so that `sft` can learn from them, and the others.

        selected_samples.json, rejected_samples.json    [{prompt, outputs: [[text, score], ...]}]
        comparison.json                                 mean, least and greatest score of both
        manifest.json, data/threads                     the best ones as a snapshot folder

    The folder appears when it is complete. Raise TrainingError (`empty`) if nothing was kept, (`disk`, `folder`).
    """
    if folder.exists():
        raise TrainingError(f"{folder} is there already: choose another folder.", code="folder")
    parts = [(one.prompt, *one.split(keep)) for one in scored]
    if not any(best for _, best, _ in parts):
        raise TrainingError("No answer was worth keeping: none was ended by the model.", code="empty")
    unfinished = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        (unfinished / "data/threads").mkdir(parents=True)
        _write(unfinished / "selected_samples.json", [_outputs(prompt, best) for prompt, best, _ in parts])
        _write(unfinished / "rejected_samples.json", [_outputs(prompt, others) for prompt, _, others in parts])
        _write(
            unfinished / "comparison.json",
            _comparison(rejected=[others for _, _, others in parts], selected=[best for _, best, _ in parts]),
        )
        rows = [row for prompt, best, _ in parts for row in _threads(prompt, best, model_name)]
        about = {"synthetic": True, "model_name": model_name, "reward_model": reward_model, "kept": keep}
        _write(unfinished / "manifest.json", {**about, "files": _write_parts(unfinished, rows)})
        os.replace(unfinished, folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingError(f"{folder} cannot be written: {error}", code="disk") from error


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _outputs(prompt: Prompt, answers: Sequence[tuple[Answer, float]]) -> dict[str, Any]:
    """Return answers in the form of Open-Assistant, whose scores are strings."""
    return {"prompt": prompt.messages[-1].content, "outputs": [[one.text, str(value)] for one, value in answers]}


def _comparison(**parts: Sequence[Sequence[tuple[Answer, float]]]) -> dict[str, dict[str, float]]:
    found = {}
    for name, answers in parts.items():
        values = [value for some in answers for _, value in some]
        if values:
            found[name] = {"mean": math.fsum(values) / len(values), "min": min(values), "max": max(values)}
    return found


def _threads(prompt: Prompt, answers: Sequence[tuple[Answer, float]], model_name: str) -> Iterable[dict[str, Any]]:
    """Yield conversations as rows of a snapshot, marked as written by a model."""
    for place, (answer, _) in enumerate(answers):
        messages = [*prompt.messages, Message("assistant", answer.text)]
        ids = [f"{prompt.tree}:{number}" for number in range(len(prompt.messages))]
        yield {
            "message_tree_id": prompt.tree,
            "lang": prompt.lang,
            "messages": [asdict(one) for one in messages],
            "message_ids": [*ids, f"{prompt.tree}:{model_name}:{place}"],
            "top_k": place + 1,
            "synthetic": True,
            "model_name": model_name,
        }


def _write_parts(folder: Path, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Write the rows to learn from, and none to validate on: those are people's. Return the facts of the files."""
    facts = {}
    for split, some in (("train", rows), ("validation", [])):
        name = f"data/threads/{split}.jsonl.zst"
        content = zstandard.compress("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some).encode())
        (folder / name).write_bytes(content)
        facts[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return facts
