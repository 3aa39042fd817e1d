"""Drawing: the filters equal those of the library, the noise is fair, and depends only on seed and position."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from inference.engine.processor import NEVER, draw
from inference.engine.sampling import Sampling

VOCABULARY = 400


def scores_of(seed: int) -> torch.Tensor:
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def library(scores: torch.Tensor, chosen: Sampling, before: list[int]) -> torch.Tensor:
    """Return the tokens that may be drawn according to transformers."""
    steps: list[Any] = []
    if chosen.repetition_penalty != 1:
        steps.append(RepetitionPenaltyLogitsProcessor(chosen.repetition_penalty))
    steps.append(TemperatureLogitsWarper(chosen.temperature))
    if chosen.top_k:
        steps.append(TopKLogitsWarper(chosen.top_k))
    if chosen.top_p < 1:
        steps.append(TopPLogitsWarper(chosen.top_p))
    if chosen.typical_p < 1:
        steps.append(TypicalLogitsWarper(chosen.typical_p))
    out: torch.Tensor = LogitsProcessorList(steps)(torch.tensor([before]), scores[None].clone())[0]
    return out


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 10_000),
    st.floats(0.05, 2),
    st.sampled_from([0, 1, 5, 50, 10_000]),
    st.sampled_from([1.0, 0.95, 0.5, 0.01]),
    st.sampled_from([1.0, 0.2, 0.9]),
    st.sampled_from([1.0, 1.2, 0.8]),
)
def test_the_same_tokens_are_left_as_in_the_library(
    seed: int, temperature: float, top_k: int, top_p: float, typical_p: float, penalty: float
) -> None:
    chosen = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, typical_p=typical_p, repetition_penalty=penalty, seed=seed
    )
    before = [seed % VOCABULARY, 7, 7, 12]
    left = draw(scores_of(seed), chosen, before) > NEVER
    assert left.any()
    expected = library(scores_of(seed), chosen, before) > NEVER
    # Another order of a sum may move a token at the edge to the other side.
    assert (left != expected).sum() <= 1


def test_a_flat_nucleus_larger_than_what_is_looked_at_first() -> None:
    scores = torch.zeros(5000)
    left = draw(scores, Sampling(top_p=0.9), [1]) > NEVER
    assert left.sum() == 4500


def test_draws_follow_the_distribution() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    number = 8000
    drawn = torch.tensor([int(draw(scores, Sampling(seed=5), [0] * place).argmax()) for place in range(1, number + 1)])
    shares = torch.bincount(drawn, minlength=4) / number
    assert torch.allclose(shares, torch.softmax(scores, 0), atol=0.02)


def test_seed_and_place_decide() -> None:
    chosen, other = Sampling(seed=1), Sampling(seed=2)
    scores = scores_of(3)
    assert torch.equal(draw(scores, chosen, [1, 2]), draw(scores, chosen, [8, 9]))
    assert not torch.equal(draw(scores, chosen, [1, 2]), draw(scores, chosen, [1, 2, 3]))
    assert not torch.equal(draw(scores, chosen, [1, 2]), draw(scores, other, [1, 2]))


def test_bias_and_penalty_without_temperature_stay_greedy() -> None:
    scores = torch.tensor([1.0, 2.0, 3.0])
    assert draw(scores, Sampling(temperature=0, logit_bias={0: 5}), [1]).argmax() == 0
    assert draw(scores, Sampling(temperature=0, repetition_penalty=2), [2]).argmax() == 1
    assert torch.equal(scores, torch.tensor([1.0, 2.0, 3.0])), "the scores of the model are not touched"


@pytest.mark.parametrize("value", [float("nan"), NEVER])
def test_broken_scores_do_not_raise(value: float) -> None:
    draw(torch.full((10,), value), Sampling(top_k=3, top_p=0.5), [1])
