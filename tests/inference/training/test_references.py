"""Our losses against those of `trl`, `choix` and scipy: on numbers, and on a model from the tokens on."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.special import expit, log_expit
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, TrainingArguments
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference
from trl.trainer.reward_trainer import DataCollatorForPreference as CollatorOfRewards

from inference.engine.loading import LoadedModel
from inference.training import losses, trainers
from inference.training.config import Common, Dpo, Kto, Reward
from inference.training.samples import Judged, Pair

CHANCE = np.random.default_rng(20240107)
PAIRS = [
    Pair([5, 6, 7], [8, 9, 10, 11], [12, 13], share=1.0),
    Pair([9, 9], [20], [21, 22, 23, 24, 25, 26], share=1.0),
    Pair([40, 41, 42, 43], [44, 45, 46], [47, 48, 49], share=1.0),
]
JUDGED = [Judged(one.prompt, one.chosen, good=True) for one in PAIRS] + [
    Judged(one.prompt, one.rejected, good=False) for one in PAIRS
]


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64)


class TestNumbers:
    """In float64, to 1e-6."""

    chosen, rejected, share = CHANCE.normal(0, 5, 50), CHANCE.normal(0, 5, 50), CHANCE.uniform(0, 1, 50)

    def found(self, kind: str) -> np.ndarray:
        values = map(tensor, (self.chosen, self.rejected, self.share))
        return losses.preference(*values, kind=kind, beta=0.3, smoothing=0.1).numpy()

    def expected(self, cost: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sure = self.share * 0.9 + (1 - self.share) * 0.1
        return sure * cost(self.chosen - self.rejected) + (1 - sure) * cost(self.rejected - self.chosen)

    def test_dpo(self) -> None:
        assert self.found("sigmoid") == pytest.approx(self.expected(lambda gap: -log_expit(0.3 * gap)), abs=1e-6)

    def test_ipo(self) -> None:
        assert self.found("ipo") == pytest.approx(self.expected(lambda gap: (gap - 1 / 0.6) ** 2), abs=1e-6)

    def test_hinge(self) -> None:
        assert self.found("hinge") == pytest.approx(self.expected(lambda gap: np.maximum(0, 1 - 0.3 * gap)), abs=1e-6)

    def test_kto(self) -> None:
        good = CHANCE.uniform(0, 1, 50) < 0.5
        found = losses.desirability(
            tensor(self.chosen), tensor(1.7), torch.tensor(good), beta=0.3, weights=(1.0, 1.5)
        ).numpy()
        expected = np.where(good, 1 - expit(0.3 * (self.chosen - 1.7)), 1.5 * (1 - expit(0.3 * (1.7 - self.chosen))))
        assert found == pytest.approx(expected, abs=1e-6)

    def test_plackett_luce_has_the_maximum_that_choix_finds(self) -> None:
        """Of full rankings of five things: at its estimate our loss has no slope, to 1e-6."""
        orders = [list(map(int, CHANCE.permutation(5))) for _ in range(12)]
        best = choix.opt_rankings(5, orders, tol=1e-12)
        values = tensor(best).requires_grad_()
        ranks = torch.tensor(np.argsort(orders, axis=1))
        losses.plackett_luce(values.expand(12, 5), ranks).backward()
        assert values.grad is not None
        assert values.grad.numpy() == pytest.approx(np.zeros(5), abs=1e-6)

    def test_plackett_luce_is_the_likelihood_of_each_ranking(self) -> None:
        scores = CHANCE.normal(0, 2, 6)
        order = list(map(int, CHANCE.permutation(6)))
        expected = -sum(np.log(choix.probabilities(order[place:], scores)[0]) for place in range(5)) / 5
        found = losses.plackett_luce(tensor(scores[None]), torch.tensor(np.argsort(order)[None]))
        assert float(found) == pytest.approx(expected, abs=1e-6)


def tiny_one(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.fixture
def moved(tiny_folder: Path) -> Any:
    """A model that is a little away from the tiny one."""
    model = tiny_one(tiny_folder)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for weights in model.parameters():
            weights.add_(0.01 * torch.randn_like(weights))
    return model


def ours(config: Common, model: Any, reference: Any, tokenizer: Any, samples: list[Any], folder: Path) -> float:
    trainer = trainers.kind_of(config)(
        config=config,
        tokenizer=tokenizer,
        reference=reference,
        model=model,
        args=TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], label_names=[]),
    )
    return float(trainer.loss(model, trainer.collate(samples)).detach())


def about(folder: Path) -> dict[str, Any]:
    return {"output_dir": str(folder), "use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True}


class TestModels:
    """From the same tokens, in float32: log probabilities, what is summed, the reference model and the loss."""

    @pytest.mark.parametrize("kind", ["sigmoid", "ipo", "hinge"])
    def test_dpo(self, tiny_model: LoadedModel, tiny_folder: Path, moved: Any, tmp_path: Path, kind: str) -> None:
        tokenizer, pad = tiny_model.tokenizer, tiny_model.tokenizer.pad_token_id
        config = Dpo(loss=kind, beta=0.3, lora=False)
        found = ours(config, moved, tiny_one(tiny_folder), tokenizer, PAIRS, tmp_path)
        rows = [{"prompt_ids": one.prompt, "chosen_ids": one.chosen, "rejected_ids": one.rejected} for one in PAIRS]
        trainer = DPOTrainer(
            model=moved,
            ref_model=tiny_one(tiny_folder),
            args=DPOConfig(**about(tmp_path), beta=0.3, loss_type=[kind]),
            train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}] * 2),
            processing_class=copy.deepcopy(tokenizer),
        )
        expected = float(trainer.compute_loss(trainer.model, DataCollatorForPreference(pad)(rows)).detach())
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)

    def test_kto(self, tiny_model: LoadedModel, tiny_folder: Path, moved: Any, tmp_path: Path) -> None:
        tokenizer, pad = tiny_model.tokenizer, tiny_model.tokenizer.pad_token_id
        config = Kto(beta=0.3, good_weight=1.0, bad_weight=1.5, lora=False)
        found = ours(config, moved, tiny_one(tiny_folder), tokenizer, JUDGED, tmp_path)
        others = [JUDGED[-1], *JUDGED[:-1]]
        rows = [
            {"prompt_ids": one.prompt, "completion_ids": one.answer, "KL_completion_ids": other.answer}
            | {"label": one.good}
            for one, other in zip(JUDGED, others, strict=True)
        ]
        trainer = KTOTrainer(
            model=moved,
            ref_model=tiny_one(tiny_folder),
            args=KTOConfig(**about(tmp_path), beta=0.3, undesirable_weight=1.5),
            train_dataset=Dataset.from_list([{"prompt": "a", "completion": "b", "label": True}] * 2),
            processing_class=copy.deepcopy(tokenizer),
        )
        expected = float(trainer.compute_loss(trainer.model, DataCollatorForUnpairedPreference(pad)(rows)).detach())
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)

    def test_rewards_from_pairs(self, tiny_model: LoadedModel, tiny_folder: Path, tmp_path: Path) -> None:
        tokenizer, pad = tiny_model.tokenizer, tiny_model.tokenizer.pad_token_id
        model: Any = AutoModelForSequenceClassification.from_pretrained(tiny_folder, num_labels=1)
        model.config.pad_token_id = pad
        config = Reward(loss="pairs", score_penalty=0, lora=False)
        found = ours(config, model, None, tokenizer, PAIRS, tmp_path)
        rows = [{"chosen_ids": one.prompt + one.chosen, "rejected_ids": one.prompt + one.rejected} for one in PAIRS]
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(**about(tmp_path)),
            train_dataset=Dataset.from_list([{"chosen": "a", "rejected": "b"}] * 2),
            processing_class=copy.deepcopy(tokenizer),
        )
        expected = float(trainer.compute_loss(trainer.model, CollatorOfRewards(pad)(rows)).detach())
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
