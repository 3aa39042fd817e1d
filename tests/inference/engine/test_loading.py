"""How loading changes a model."""

from pathlib import Path

import pytest
import torch
from torch import nn

from inference.engine.loading import load


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 17, 256])
def test_linear_layers_give_the_same_for_any_number_of_rows(tiny_folder: Path, rows: int) -> None:
    torch.manual_seed(rows)
    linear = [one for one in load(tiny_folder).model.modules() if isinstance(one, nn.Linear)]
    assert {one.out_features > one.in_features for one in linear} == {True, False}
    for layer in linear:
        x = torch.randn(1, rows, layer.in_features)
        with torch.no_grad():
            assert torch.allclose(layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=1e-5)
