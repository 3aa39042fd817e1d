"""A reward model scores the answer at the token that ends it, alone or in a batch."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from inference.engine.base import Message
from inference.engine.chat_template import ChatTemplate
from inference.engine.loading import LoadedModel
from inference.training.errors import TrainingError
from inference.training.judging import Judge
from inference.training.models import pad_apart
from tests.inference.training.making import BAD, GOOD, ask


def talk(*texts: str) -> list[Message]:
    return [Message(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def judge(reward_folder: Path) -> Judge:
    return Judge(reward_folder, max_length=128, rows=4)


def test_the_answer_that_people_liked_scores_higher(judge: Judge) -> None:
    for number in range(50, 54):
        good, bad = judge.scores([talk(ask(number), GOOD), talk(ask(number), BAD)])
        assert good > bad


def test_a_score_is_that_of_the_end_of_the_answer_whatever_it_is_judged_with(judge: Judge, reward_folder: Path) -> None:
    """Compared with the hidden state behind each conversation alone, multiplied by hand."""
    talks = [talk("Hi", "a" * length) for length in (40, 1, 3, 17, 0, 9)]
    model = AutoModelForSequenceClassification.from_pretrained(reward_folder).eval()
    template = ChatTemplate(AutoTokenizer.from_pretrained(reward_folder))
    expected = []
    for messages in talks:
        tokens = template.conversation(messages)
        end = len(tokens) - tokens.is_answer[::-1].index(True)
        with torch.no_grad():
            hidden = model.model(input_ids=torch.tensor([tokens.ids[:end]])).last_hidden_state[0, -1]
            expected.append(float(model.score.weight[0] @ hidden))
    assert judge.scores(talks) == pytest.approx(expected, abs=1e-4)


def test_of_a_long_conversation_the_end_is_judged(judge: Judge) -> None:
    last = talk("Is it?", GOOD)
    old = talk("x" * 300, "y" * 300)
    assert judge.scores([[*old, *last]]) == pytest.approx(judge.scores([last]), abs=1e-4)
    (score,) = judge.scores([talk("x" * 1000, "y" * 1000)])
    assert score == score, "even a turn that is too long alone gets a score"


def test_nothing_to_judge(judge: Judge) -> None:
    assert judge.scores([]) == []
    for wrong in ([], talk("Hi"), talk("Hi", "Ho", "Hi"), [Message("assistant", "Ho")]):
        with pytest.raises(TrainingError) as refused:
            judge.scores([wrong])
        assert refused.value.code == "prompt"


class TestRefusedModels:
    def test_a_chat_model(self, tiny_folder: Path) -> None:
        with pytest.raises(TrainingError, match="no reward model") as refused:
            Judge(tiny_folder)
        assert refused.value.code == "reward_model"

    def test_a_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError) as refused:
            Judge(tmp_path)
        assert refused.value.code == "base"

    def test_one_that_is_torn(self, reward_folder: Path, tmp_path: Path) -> None:
        shutil.copytree(reward_folder, tmp_path / "torn")
        (tmp_path / "torn/config.json").write_text("{")
        with pytest.raises(TrainingError) as refused:
            Judge(tmp_path / "torn")
        assert refused.value.code == "base"


def test_what_ends_an_answer_does_not_pad(tiny_model: LoadedModel) -> None:
    tokenizer = copy.deepcopy(tiny_model.tokenizer)
    tokenizer.pad_token = "<|im_end|>"
    pad_apart(tokenizer, ChatTemplate(tokenizer))
    assert tokenizer.pad_token == "<|endoftext|>"
    tokenizer.pad_token = "<|im_start|>"
    pad_apart(tokenizer, ChatTemplate(tokenizer))
    assert tokenizer.pad_token == "<|im_start|>"
