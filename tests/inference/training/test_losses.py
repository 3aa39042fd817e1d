"""Losses against values computed by hand, and against the definition written out in plain Python."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inference.training import losses
from inference.training.losses import PADDED

scores = st.lists(st.floats(-5, 5), min_size=2, max_size=5)


def table(*rows: Sequence[float]) -> Tensor:
    most = max(map(len, rows))
    return torch.tensor([[*row, *[9.0] * (most - len(row))] for row in rows], dtype=torch.float64)


def ranks(*rows: Sequence[int]) -> Tensor:
    most = max(map(len, rows))
    return torch.tensor([[*row, *[PADDED] * (most - len(row))] for row in rows])


def softplus(x: float) -> float:
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


class TestPlackettLuce:
    def test_by_hand(self) -> None:
        """Two choices of the first prompt, one of the second; each prompt weighs the same."""
        first = -math.log(math.e**1 / (math.e**1 + math.e**0.2 + math.e**-0.5))
        second = -math.log(math.e**0.2 / (math.e**0.2 + math.e**-0.5))
        other = -math.log(math.e**2 / (math.e**2 + 1))
        found = losses.plackett_luce(table([1.0, 0.2, -0.5], [2.0, 0.0]), ranks([0, 1, 2], [0, 1]))
        assert float(found) == pytest.approx(((first + second) / 2 + other) / 2, abs=1e-6)

    @settings(deadline=None)
    @given(scores, st.randoms(use_true_random=False))
    def test_the_definition(self, found: list[float], chance: object) -> None:
        order = list(range(len(found)))
        chance.shuffle(order)  # type: ignore[attr-defined]
        costs = []
        for place in range(len(found) - 1):
            left = [score for score, rank in zip(found, order, strict=True) if rank >= place]
            taken = found[order.index(place)]
            costs.append(math.log(sum(math.exp(score - taken) for score in left)))
        expected = sum(costs) / len(costs)
        assert float(losses.plackett_luce(table(found), ranks(order))) == pytest.approx(expected, abs=1e-6)

    def test_of_two_answers_it_is_the_logistic_loss(self) -> None:
        one = torch.ones(1, dtype=torch.float64)
        pair = losses.pairwise(one * 0.7, one * -0.2, one)
        assert float(losses.plackett_luce(table([0.7, -0.2]), ranks([0, 1]))) == pytest.approx(float(pair), abs=1e-9)

    def test_tied_answers_are_chosen_from_the_same_ones(self) -> None:
        every = math.e**1 + math.e**0.2 + math.e**-0.5
        expected = (-math.log(math.e**1 / every) - math.log(math.e**0.2 / every)) / 2
        found = losses.plackett_luce(table([1.0, 0.2, -0.5]), ranks([0, 0, 1]))
        assert float(found) == pytest.approx(expected, abs=1e-6)

    def test_if_all_are_tied_nothing_is_learned(self) -> None:
        values = table([1.0, 0.2], [1.0, 0.5]).requires_grad_()
        losses.plackett_luce(values, ranks([0, 0], [0, 1])).backward()
        assert values.grad is not None
        assert values.grad[0].tolist() == [0, 0] and values.grad[1, 0] < 0 < values.grad[1, 1]

    def test_what_fills_up_a_row_changes_nothing(self) -> None:
        alone = losses.plackett_luce(table([2.0, 0.0]), ranks([0, 1]))
        values = table([2.0, 0.0], [1.0, 0.2, -0.5]).requires_grad_()
        losses.plackett_luce(values, ranks([0, 1], [0, 1, 2])).backward()
        assert values.grad is not None and values.grad[0, 2] == 0 and bool(values.grad.isfinite().all())
        assert float(alone) == pytest.approx(softplus(-2), abs=1e-9)


class TestPairs:
    def test_values_of_the_reference(self) -> None:
        """`RMLoss` of Open-Assistant with β = 0.001 on two groups: 0.3257 and 0.1289, together 0.2273."""
        first, second = ([1.0, 0.2, -0.5], [0, 1, 2]), ([2.0, 0.0], [0, 1])
        each = [float(losses.all_pairs(table(s), ranks(r), penalty=0.001)) for s, r in (first, second)]
        assert each == pytest.approx([0.3257, 0.1289], abs=5e-5)
        both = losses.all_pairs(table(first[0], second[0]), ranks(first[1], second[1]), penalty=0.001)
        assert float(both) == pytest.approx(0.2273, abs=5e-5)

    def test_values_of_the_reference_without_penalty(self) -> None:
        """`RMCLSLoss`: the mean over all pairs of both groups, 0.2757."""
        better, worse = torch.tensor([1.0, 1.0, 0.2, 2.0]), torch.tensor([0.2, -0.5, -0.5, 0.0])
        assert float(losses.pairwise(better, worse, torch.ones(4)).mean()) == pytest.approx(0.2757, abs=5e-5)

    @settings(deadline=None)
    @given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1), st.floats(0, 0.49))
    def test_the_definition(self, better: float, worse: float, share: float, smoothing: float) -> None:
        one = torch.ones(1, dtype=torch.float64)
        found = losses.pairwise(one * better, one * worse, one * share, smoothing)
        p = share * (1 - smoothing) + (1 - share) * smoothing
        expected = p * softplus(worse - better) + (1 - p) * softplus(better - worse)
        assert float(found) == pytest.approx(expected, abs=1e-6)

    def test_people_who_are_divided_teach_no_difference(self) -> None:
        better, worse = torch.zeros(1, requires_grad=True), torch.zeros(1)
        losses.pairwise(better, worse, torch.full((1,), 0.5)).sum().backward()
        assert better.grad is not None and float(better.grad) == 0

    def test_share_in_order(self) -> None:
        """Of [3, 5, 1, 0.9] five of six pairs are in order; the best against the worst alone would say all."""
        found = losses.share_in_order(table([3.0, 5.0, 1.0, 0.9], [1.0, 0.0]), ranks([0, 1, 2, 3], [0, 1]))
        assert float(found) == pytest.approx((5 / 6 + 1) / 2)


class TestPreference:
    def test_by_hand(self) -> None:
        chosen, rejected, sure = torch.tensor([2.0]), torch.tensor([-1.0]), torch.ones(1)
        value = lambda kind: float(losses.preference(chosen, rejected, sure, kind=kind, beta=0.1))  # noqa: E731
        assert value("sigmoid") == pytest.approx(softplus(-0.3), abs=1e-6)
        assert value("hinge") == pytest.approx(0.7, abs=1e-6)
        assert value("ipo") == pytest.approx((3 - 5) ** 2, abs=1e-5)

    @pytest.mark.parametrize("kind", ["sigmoid", "hinge", "ipo"])
    def test_both_directions_by_their_shares(self, kind: str) -> None:
        a, b = torch.tensor([0.4]), torch.tensor([-0.9])
        one_way = losses.preference(a, b, torch.ones(1), kind=kind, beta=0.5)
        other_way = losses.preference(b, a, torch.ones(1), kind=kind, beta=0.5)
        found = losses.preference(a, b, torch.full((1,), 0.75), kind=kind, beta=0.5)
        assert float(found) == pytest.approx(float(0.75 * one_way + 0.25 * other_way), abs=1e-6)


class TestDesirability:
    def test_by_hand(self) -> None:
        """KTO: 1 - σ(β(gain - drift)) for a good answer, 1 - σ(β(drift - gain)) for a bad one."""
        gains, drift, good = torch.tensor([3.0, 3.0]), torch.tensor(1.0), torch.tensor([True, False])
        found = losses.desirability(gains, drift, good, beta=0.5, weights=(1.0, 2.0))
        above = 1 / (1 + math.exp(-1))
        assert found.tolist() == pytest.approx([1 - above, 2 * above], abs=1e-6)
