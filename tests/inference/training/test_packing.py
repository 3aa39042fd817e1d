"""Samples share a row without seeing each other, and little of a row is left empty."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.loading import LoadedModel
from inference.training.packing import PackedCollator, as_row, pack
from inference.training.samples import NO_LABEL, Conversation

sizes = st.lists(st.integers(1, 40), max_size=40)


def sample(*ids: int) -> Conversation:
    return Conversation(list(ids), [NO_LABEL, *ids[1:]])


@given(sizes)
def test_every_sample_is_in_one_row_that_is_not_too_long(found: list[int]) -> None:
    rows = pack([sample(*range(number, number + size)) for number, size in enumerate(found)], 32)
    assert sorted(one.ids[0] for row in rows for one in row) == list(range(len(found)))
    assert all(sum(len(one.ids) for one in row) <= 32 or len(row) == 1 for row in rows)


@given(sizes)
def test_no_two_rows_would_fit_into_one(found: list[int]) -> None:
    rows = pack([sample(*range(size)) for size in found], 32)
    filled = sorted(sum(len(one.ids) for one in row) for row in rows)
    assert len(filled) < 2 or filled[0] + filled[1] > 32


def test_the_same_samples_give_the_same_rows() -> None:
    found = [sample(*range(size)) for size in (5, 9, 5, 20, 1, 9)]
    assert pack(found, 24) == pack(found, 24)


def test_a_batch() -> None:
    rows = [as_row([sample(1, 2, 3), sample(4, 5)]), as_row([sample(6, 7)])]
    batch = PackedCollator(pad_token_id=0)(rows)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, 5], [-100, 7, -100, -100, -100]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]]


def test_samples_of_a_row_do_not_see_each_other(tiny_model: LoadedModel) -> None:
    found = [sample(*range(10, 22)), sample(*range(30, 35)), sample(*range(40, 49))]
    batch = PackedCollator(pad_token_id=0)([as_row(found), as_row(found[:1])])
    del batch["labels"]
    with torch.no_grad():
        together = tiny_model.model(**batch, use_cache=False).logits[0]
        alone = [tiny_model.model(input_ids=torch.tensor([one.ids])).logits[0] for one in found]
    assert torch.allclose(together[: 12 + 5 + 9], torch.cat(alone), atol=1e-4)
    with torch.no_grad():
        seen = tiny_model.model(input_ids=batch["input_ids"], use_cache=False).logits[0]
    assert not torch.allclose(seen[12:17], alone[1], atol=1e-4), "without positions they would"
    with pytest.raises(ValueError, match="max"):
        PackedCollator(pad_token_id=0)([])
