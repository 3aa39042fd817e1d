"""Tasks with known answers: how files are read, and that likelihoods are those of the model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.evaluating.models import Opened, open_model
from inference.evaluating.settings import Settings
from inference.evaluating.tasks import Item, Task, likelihoods, marks, measures, read_tasks
from inference.training.errors import TrainingError


@pytest.fixture(scope="module")
def opened(tiny_folder: Path) -> Opened:
    return open_model(tiny_folder, "tiny", threads=1)


def read(tmp_path: Path, *rows: Any) -> Task:
    file = tmp_path / "colors.test.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return read_tasks(Settings(tasks=(str(file),)))[0]


def test_all_ways_to_name_the_answer(tmp_path: Path) -> None:
    rows = [
        {"question": "Q?", "choices": ["a", "b"], "answer": 1},
        {"question": "Q?", "choices": ["a", "b"], "answer": "B"},
        {"question": "Q?", "choices": ["a", "b"], "gold": "1"},
        {"question": "Q?", "choices": ["red", "blue"], "answer": "blue"},
        {"question": "Q?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"},
    ]
    task = read(tmp_path, *rows)
    assert task.name == "colors" and {one.answer for one in task.items} == {1}
    assert task.items[0] == Item("Question: Q?\nAnswer:", ("a", "b"), 1)
    task = read(tmp_path, {"ctx": "It goes ", "endings": ["on", "up"], "label": 0}, {"context": "A b", "target": "c"})
    assert task.items == (Item("It goes", ("on", "up"), 0), Item("A b", ("c",), 0))


@pytest.mark.parametrize(
    "row",
    [
        [],
        {"question": "Q?"},
        {"choices": ["a", "b"], "answer": 0},
        {"question": "Q?", "choices": ["a"], "answer": 0},
        {"question": "Q?", "choices": ["a", ""], "answer": 0},
        {"question": "Q?", "choices": ["a", "b"], "answer": 2},
        {"question": "Q?", "choices": ["a", "b"], "answer": True},
        {"question": "Q?", "choices": ["a", "b"], "answer": "C"},
        {"context": "A", "target": " "},
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: Any) -> None:
    with pytest.raises(TrainingError, match="line 2") as found:
        read(tmp_path, {"context": "A", "target": "b"}, row)
    assert found.value.code == "tasks"


def test_likelihoods_are_those_of_each_text_alone(opened: Opened) -> None:
    rows = [("Question: is it\nAnswer:", "yes, certainly"), ("A", "b"), ("The sea is wide and", "the ship")]
    tokenizer = opened.loaded.tokenizer
    for (asked, said), found in zip(rows, likelihoods(opened, rows), strict=True):
        ids, start = tokenizer.encode(f"{asked} {said}"), len(tokenizer.encode(asked))
        with torch.no_grad():
            logits = opened.loaded.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        alone = sum(float(logits[at - 1, ids[at]]) for at in range(start, len(ids)))
        assert found.nats == pytest.approx(alone, rel=1e-4)
        greedy = all(int(logits[at - 1].argmax()) == ids[at] for at in range(start, len(ids)))
        assert found.is_likeliest == greedy


def test_the_likeliest_is_chosen_also_for_its_length(opened: Opened) -> None:
    question, choices = "Question: Q?\nAnswer:", ("a", "a much longer one that says more")
    nats = [one.nats for one in likelihoods(opened, [(question, choice) for choice in choices])]
    best = nats.index(max(nats))
    per_byte = [one / len(choice.encode()) for one, choice in zip(nats, choices, strict=True)]
    by_length = per_byte.index(max(per_byte))
    found = marks(opened, Task("t", "", (Item(question, choices, 0), Item(question, choices, 1))))
    assert found.raw == [float(best == 0), float(best == 1)]
    assert found.by_length == [float(by_length == 0), float(by_length == 1)]
    named = measures(Task("t", "", ()), found, found)
    assert named["tasks.t.accuracy"].model.value == 0.5 and named["tasks.t.accuracy"].difference is not None


def test_cloze_is_right_if_the_model_would_say_it(opened: Opened) -> None:
    tokenizer, right = opened.loaded.tokenizer, []
    for asked in map(str, range(200)):
        ids = tokenizer.encode(asked)
        with torch.no_grad():
            likeliest = int(opened.loaded.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        said = tokenizer.decode([likeliest]).strip()
        if said and tokenizer.encode(f"{asked} {said}") == [*ids, likeliest]:  # a token that begins a word
            right += marks(opened, Task("t", "", (Item(asked, (said,), 0),))).raw
    assert right and set(right) == {1.0}
    assert marks(opened, Task("t", "", (Item("The sea", ("zzzz",), 0),))).raw == [0.0]
