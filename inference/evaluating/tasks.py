"""Tasks with known answers from local files, as lm-evaluation-harness lays them out; nothing of it is needed here.

One JSON object a line. With choices: `question` (or `query`, `context`, `ctx`), `choices` (or `endings`; texts, or an
object with `text` and `label`), and `answer` (or `gold`, `label`, `answerKey`): a place from 0, a letter, a label, or
the text. Without choices (cloze): `context` and `target` (or `answer`), which the model must find likeliest.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.evaluating.held_out import drawn
from inference.evaluating.models import Opened
from inference.evaluating.report import Measure
from inference.evaluating.settings import Settings
from inference.evaluating.shares import measure_of_shares
from inference.training.errors import TrainingError
from inference.training.samples import Funnel

PART = "tasks"
_ROWS = 16


@dataclass(frozen=True)
class Item:
    """A question with the texts that may follow it."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """The place of the right one. With a single choice the model must find it likeliest of all texts."""


@dataclass(frozen=True)
class Task:
    name: str
    digest: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Likelihood:
    nats: float
    is_likeliest: bool
    """Each token is the likeliest one."""


def read_tasks(settings: Settings) -> list[Task]:
    """Raise TrainingError (`tasks`) that names the line."""
    return [_read(Path(name), settings) for name in settings.tasks]


def _read(file: Path, settings: Settings) -> Task:
    try:
        content = file.read_bytes()
        rows = [json.loads(line) for line in content.decode("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file} cannot be read as JSON lines: {error}", code="tasks") from error
    items = [_item(file, number, row) for number, row in enumerate(rows, 1)]
    kept: Any = drawn(list(items), settings.most_questions, settings.seed, Funnel())  # type: ignore[arg-type]
    return Task(file.name.partition(".")[0], hashlib.sha256(content).hexdigest(), tuple(kept))


def _item(file: Path, number: int, row: Any) -> Item:
    where = f"{file}, line {number}"
    if not isinstance(row, dict):
        raise TrainingError(f"{where}: there must be a JSON object.", code="tasks")
    question = _first(row, "question", "query", "context", "ctx")
    found = _first(row, "choices", "endings")
    right = _first(row, "target") if found is None else None
    right = _first(row, "answer", "gold", "label", "answerKey") if right is None else right
    if not isinstance(question, str) or right is None:
        raise TrainingError(f"{where}: `question` and `answer` are needed, or `context` and `target`.", code="tasks")
    asked = f"Question: {question}\nAnswer:" if "question" in row else question.rstrip()
    if found is None:
        if not isinstance(right, str) or not right.strip():
            raise TrainingError(f"{where}: without choices the answer must be a text.", code="tasks")
        return Item(asked, (right.strip(),), 0)
    texts, labels = (found["text"], found.get("label")) if isinstance(found, dict) else (found, None)
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(one, str) and one.strip() for one in texts):
        raise TrainingError(f"{where}: there must be two texts to choose from, or more.", code="tasks")
    return Item(asked, tuple(one.strip() for one in texts), _place(where, right, texts, labels))


def _first(row: dict[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _place(where: str, right: Any, texts: list[str], labels: Any) -> int:
    """Return the place of the right answer, however it is named. Raise TrainingError (`tasks`)."""
    if isinstance(labels, list) and str(right) in map(str, labels):
        return list(map(str, labels)).index(str(right))
    if right in texts:
        return texts.index(right)
    letters = "ABCDEFGHIJ"
    if isinstance(right, str) and len(right) == 1 and right.upper() in letters[: len(texts)]:
        return letters.index(right.upper())
    if (
        isinstance(right, int | str)
        and not isinstance(right, bool)
        and str(right).isdecimal()
        and int(right) < len(texts)
    ):
        return int(right)
    raise TrainingError(f"{where}: {right!r} names none of the {len(texts)} choices.", code="tasks")


@dataclass(frozen=True)
class Marks:
    """For each question 1 if the model was right."""

    raw: list[float]
    """The likeliest choice."""
    by_length: list[float]
    """The likeliest choice for its length in bytes, so that long ones have a chance."""


def marks(opened: Opened, task: Task) -> Marks:
    """Let a model choose."""
    rows = [(item.question, choice) for item in task.items for choice in item.choices]
    found = iter(likelihoods(opened, rows))
    raw, by_length = [], []
    for item in task.items:
        each = [next(found) for _ in item.choices]
        if len(each) == 1:
            raw.append(float(each[0].is_likeliest))
            by_length.append(raw[-1])
            continue
        sums = [one.nats for one in each]
        sizes = [len(choice.encode()) for choice in item.choices]
        raw.append(_is_best(sums, item.answer))
        by_length.append(_is_best([nats / size for nats, size in zip(sums, sizes, strict=True)], item.answer))
    return Marks(raw, by_length)


def _is_best(values: list[float], place: int) -> float:
    """Return 1 if this one is best alone; less if it shares that, or nothing can be said."""
    if any(value != value for value in values):
        return 0.0
    best = max(values)
    return float(values[place] == best) / values.count(best)


def likelihoods(opened: Opened, rows: Sequence[tuple[str, str]]) -> list[Likelihood]:
    """Return how likely each text follows the one before it, without a chat template."""
    import torch

    model, tokenizer = opened.loaded.model, opened.loaded.tokenizer
    pieces = [_tokens(tokenizer, asked, said, opened.loaded.context) for asked, said in rows]
    found = [Likelihood(0.0, False)] * len(rows)
    order = sorted(range(len(rows)), key=lambda one: sum(map(len, pieces[one])))
    for start in range(0, len(order), _ROWS):
        places = order[start : start + _ROWS]
        longest = max(sum(map(len, pieces[one])) for one in places)
        texts = [pieces[one][0] + pieces[one][1] for one in places]
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=model.device)
        seen = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=seen, use_cache=False).logits.float().log_softmax(dim=-1)
        for row, one in enumerate(places):
            asked, said = pieces[one]
            there = logits[row, len(asked) - 1 : len(asked) + len(said) - 1]
            target = torch.tensor(said, device=model.device)
            nats = float(there.gather(1, target[:, None]).double().sum())
            found[one] = Likelihood(nats, bool((there.argmax(dim=1) == target).all()))
    return found


def _tokens(tokenizer: Any, asked: str, said: str, context: int) -> tuple[list[int], list[int]]:
    """Return the tokens of question and answer: those of both together, split where the question ends."""
    question = tokenizer.encode(asked, add_special_tokens=False, split_special_tokens=True)
    both = tokenizer.encode(f"{asked} {said}", add_special_tokens=False, split_special_tokens=True)
    if both[: len(question)] != question:  # the end of the question became one token with the answer
        both = question + tokenizer.encode(f" {said}", add_special_tokens=False, split_special_tokens=True)
    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    answer = both[len(question) :]
    before = (start + question)[-(context - len(answer)) :] or start or answer[:1]
    return before, answer


def measures(task: Task, mine: Marks, other: Marks | None) -> dict[str, Measure]:
    return {
        f"{PART}.{task.name}.accuracy": measure_of_shares(
            f"{task.name}: right by likelihood", "higher", mine.raw, None if other is None else other.raw
        ),
        f"{PART}.{task.name}.accuracy_by_length": measure_of_shares(
            f"{task.name}: right by likelihood for its length",
            "higher",
            mine.by_length,
            None if other is None else other.by_length,
        ),
    }
