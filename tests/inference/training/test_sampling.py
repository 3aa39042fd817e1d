"""A model answers many prompts at once as it would answer each alone."""

from pathlib import Path

import pytest
import torch

from inference.engine.base import Message
from inference.engine.chat_template import ChatTemplate
from inference.engine.loading import LoadedModel
from inference.engine.sampling import Sampling
from inference.training.errors import TrainingError
from inference.training.sampling import Sampler, answers

PROMPTS = [[Message("user", text)] for text in ("Hi", "Tell me about the sea, and about ships.", "Why?", "x " * 60)]
SHORT = Sampling(max_tokens=24)


@pytest.fixture(scope="module")
def sampler(tiny_folder: Path) -> Sampler:
    return Sampler(tiny_folder, threads=1, rows=3)


def test_the_likeliest_answers_are_those_of_each_prompt_alone(sampler: Sampler, tiny_model: LoadedModel) -> None:
    found = sampler.answers(PROMPTS, n=2, config=Sampling(max_tokens=24, temperature=0))
    for messages, said in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([ChatTemplate(tiny_model.tokenizer).prompt(messages)])
        alone = tiny_model.model.generate(input_ids=ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :]
        text = tiny_model.tokenizer.decode(alone, skip_special_tokens=True).strip()
        assert [one.text for one in said] == [text, text]
        assert said[0].tokens == len(alone) and said[0].ended == (alone[-1].item() in tiny_model.end_ids)


def test_drawn_ones_depend_on_the_seed_alone(sampler: Sampler) -> None:
    torch.manual_seed(1)
    first = sampler.answers(PROMPTS, n=4, config=SHORT, seed=7)
    before = torch.random.get_rng_state()
    assert sampler.answers(PROMPTS, n=4, config=SHORT, seed=7) == first
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's chance stays as it was"
    assert sampler.answers(PROMPTS, n=4, config=SHORT, seed=8) != first
    assert [len(one) for one in first] == [4] * 4
    assert len({one.text for one in first[0]}) > 1
    assert all(1 <= answer.tokens <= 24 and (answer.ended or answer.tokens == 24) for one in first for answer in one)


def test_nothing_to_answer(sampler: Sampler) -> None:
    assert sampler.answers([], n=2) == []
    with pytest.raises(TrainingError, match="Prompt 2: There is nothing to answer") as refused:
        sampler.answers([*PROMPTS[:1], [Message("user", " ")]], config=SHORT)
    assert refused.value.code == "prompt"


def test_a_prompt_longer_than_the_context(sampler: Sampler) -> None:
    with pytest.raises(TrainingError, match="too long for the model") as refused:
        sampler.answers([[Message("user", "x" * 5000)]], config=SHORT)
    assert refused.value.code == "prompt"


def test_settings_that_only_the_chat_has(sampler: Sampler) -> None:
    with pytest.raises(TrainingError) as refused:
        sampler.answers(PROMPTS, config=Sampling(stop=("x",)))
    assert refused.value.code == "settings"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        answers(tmp_path, PROMPTS)
    assert refused.value.code == "base"
