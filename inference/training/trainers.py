"""The trainers of each method: `transformers` with our samples and losses."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer

from inference.comparing import ranking_metrics
from inference.comparing.ranking_metrics import Ranking
from inference.training import batches, losses
from inference.training.batches import Batch
from inference.training.config import Common, Dpo, Kto, Reward, Sft
from inference.training.packing import PackedCollator
from inference.training.samples import NO_LABEL


class MethodTrainer(Trainer):
    """A trainer whose loss is that of a method, on batches of samples instead of rows.

    Figures beside the loss are averaged since they were last logged, under the names of `note`.
    """

    def __init__(self, *, config: Any, tokenizer: Any, reference: Any = None, **more: Any) -> None:
        super().__init__(data_collator=self.collate, processing_class=tokenizer, **more)
        self.config, self.reference = config, reference
        self._pad = tokenizer.pad_token_id
        self._noted: dict[str, list[float]] = defaultdict(list)
        self.model_accepts_loss_kwargs = False  # each batch of an accumulation weighs the same

    def collate(self, samples: Sequence[Any]) -> Batch:
        raise NotImplementedError

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        raise NotImplementedError

    def compute_loss(self, model: Any, inputs: Batch, return_outputs: bool = False, **_: Any) -> Any:
        loss = self.loss(model, inputs)
        return (loss, {"loss": loss.detach()}) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> tuple[Any, None, None]:
        with torch.no_grad():
            return self.loss(model, self._prepare_inputs(inputs)).detach(), None, None

    def note(self, **figures: torch.Tensor) -> None:
        part = "" if self.model.training else "eval_"
        for name, figure in figures.items():
            self._noted[part + name].append(float(figure.detach().float().mean()))

    def log(self, logs: dict[str, float], *args: Any, **more: Any) -> None:
        part = "eval_" if any(name.startswith("eval_") for name in logs) else ""
        for name in [one for one in self._noted if one.startswith("eval_") == bool(part)]:
            noted = self._noted.pop(name)
            logs[name] = sum(noted) / len(noted)
        super().log(logs, *args, **more)

    def reference_log_probabilities(self, batch: Batch) -> torch.Tensor:
        """Return what the base model gives: the reference, or the model without its adapters."""
        model = self.reference or self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        with torch.no_grad(), model.disable_adapter() if self.reference is None else nullcontext():
            found = batches.log_probabilities(model, batch)
        model.train(was_training)
        return found


class ConversationTrainer(MethodTrainer):
    """Each learned token of a step weighs the same, however the step is divided into batches."""

    config: Sft

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.model_accepts_loss_kwargs = True  # then `compute_loss` gets the number of tokens of the step

    def collate(self, samples: Sequence[Any]) -> Batch:
        return PackedCollator(self._pad)(samples)

    def compute_loss(self, model: Any, inputs: Batch, return_outputs: bool = False, **more: Any) -> Any:
        costs, learned = self._costs(model, inputs)
        number = more.get("num_items_in_batch")
        loss = costs / (learned if number is None else number)
        return (loss, {"loss": loss.detach()}) if return_outputs else loss

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        costs, learned = self._costs(model, batch)
        return costs / learned

    def _costs(self, model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        # With a cache, `transformers` lets the samples of a row see each other.
        outputs = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False)
        logits = outputs.logits[:, :-1].float()
        labels = batch["labels"][:, 1:]
        smoothing = self.config.label_smoothing if self.model.training else 0.0
        costs = cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=NO_LABEL, reduction="sum", label_smoothing=smoothing
        )
        return costs, (labels != NO_LABEL).sum().clamp(min=1)


class RewardTrainer(MethodTrainer):
    """Its figures of an evaluation are those of `ranking_metrics`, over all rankings of this process."""

    config: Reward

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._judged: list[Ranking] = []

    def collate(self, samples: Sequence[Any]) -> Batch:
        by_lists = self.config.loss == "plackett-luce"
        return (batches.of_orders if by_lists else batches.of_pairs)(samples, self._pad)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        scores = batches.scores(model, batch)
        penalty = self.config.score_penalty * scores.pow(2).mean() / 2
        if not self.model.training:
            self._judged += batches.rankings(batch, scores)
        if "ranks" not in batch:
            better, worse = scores.chunk(2)
            if self.model.training:
                self.note(accuracy=(better > worse).float(), margin=better - worse)
            return losses.pairwise(better, worse, batch["share"], self.config.label_smoothing).mean() + penalty
        ranks = batch["ranks"]
        table = torch.zeros(ranks.shape, dtype=scores.dtype, device=scores.device)
        table[ranks != losses.PADDED] = scores  # rows come in the order of the places
        if self.model.training:
            self.note(accuracy=losses.share_in_order(table, ranks))
        return losses.plackett_luce(table, ranks) + penalty

    def log(self, logs: dict[str, float], *args: Any, **more: Any) -> None:
        if any(name.startswith("eval_") for name in logs):
            logs |= {f"eval_{name}": value for name, value in ranking_metrics.figures(self._judged).items()}
            self._judged.clear()
        super().log(logs, *args, **more)


class PairsTrainer(MethodTrainer):
    config: Dpo

    def collate(self, samples: Sequence[Any]) -> Batch:
        return batches.of_pairs(samples, self._pad)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        gains = batches.log_probabilities(model, batch) - self.reference_log_probabilities(batch)
        if self.config.loss == "ipo":
            gains = gains / batch["is_answer"].sum(dim=1)
        chosen, rejected = gains.chunk(2)
        self.note(accuracy=(chosen > rejected).float(), margin=self.config.beta * (chosen - rejected))
        about = {"kind": self.config.loss, "beta": self.config.beta, "smoothing": self.config.label_smoothing}
        return losses.preference(chosen, rejected, batch["share"], **about).mean()  # type: ignore[arg-type]


class JudgedTrainer(MethodTrainer):
    config: Kto

    def collate(self, samples: Sequence[Any]) -> Batch:
        return batches.of_judged(samples, self._pad)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        config, good, unsaid = self.config, batch["good"], batch["unsaid"]
        said = batches.log_probabilities(model, batch) - self.reference_log_probabilities(batch)
        with torch.no_grad():
            drift = batches.log_probabilities(model, unsaid) - self.reference_log_probabilities(unsaid)
        drift = drift.mean().clamp(min=0)
        self.note(drift=drift, **{name: said[which] for name, which in _kinds(good).items()})
        weights = config.good_weight, config.bad_weight
        return losses.desirability(said, drift, good, beta=config.beta, weights=weights).mean()


def _kinds(good: torch.Tensor) -> Mapping[str, torch.Tensor]:
    return {name: which for name, which in (("gain_good", good), ("gain_bad", ~good)) if bool(which.any())}


def kind_of(config: Common) -> type[MethodTrainer]:
    """Return the trainer of a method that learns from what people said."""
    kinds: dict[type[Common], type[MethodTrainer]] = {
        Sft: ConversationTrainer,
        Reward: RewardTrainer,
        Dpo: PairsTrainer,
        Kto: JudgedTrainer,
    }
    return kinds[type(config)]
