"""Training in which the model answers prompts and a reward model judges the answers: GRPO and RLOO of `trl`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.engine import weights
from inference.engine.base import Message
from inference.training.config import Grpo, Online
from inference.training.errors import TrainingError
from inference.training.judging import Judge
from inference.training.samples import Funnel


def prompt_rows(prompts: Sequence[Sequence[Message]], tokenizer: Any, funnel: Funnel) -> list[dict[str, Any]]:
    """Return the prompts as `trl` takes them, without those that contain control tokens.

    `trl` tokenizes the prompts itself, and there what people wrote could become a control token.
    """
    names = re.compile("|".join(map(re.escape, tokenizer.get_added_vocab())) or r"(?!)")
    rows = [
        {"prompt": [asdict(message) for message in messages]}
        for messages in prompts
        if not any(names.search(message.content) for message in messages)
    ]
    if left_out := len(prompts) - len(rows):
        funnel.left_out["control tokens"] += left_out
        funnel.samples -= left_out
    return rows


def make_trainer(
    config: Online, arguments: Mapping[str, Any], rows: Mapping[str, list[dict[str, Any]]], **more: Any
) -> Any:
    """Return the trainer of `trl`. `arguments` are those that all methods share, `rows` the prompts of each part.

    Raise TrainingError (`empty`) if there are fewer prompts than a step takes, and as `Judge` does.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    needed = config.batch_size * config.accumulation
    if len(rows["train"]) < needed:
        raise TrainingError(
            f"A step takes {needed} prompts (batch_size × accumulation), and there are {len(rows['train'])}.",
            code="empty",
        )
    kinds: tuple[Any, Any] = (GRPOConfig, GRPOTrainer) if isinstance(config, Grpo) else (RLOOConfig, RLOOTrainer)
    validation = rows["validation"]
    return kinds[1](
        reward_funcs=_asking(Judge(Path(config.reward_model), max_length=config.max_length)),
        args=kinds[0](**{**arguments, **_own_arguments(config)}),
        train_dataset=Dataset.from_list(rows["train"]),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        **more,
    )


def _own_arguments(config: Online) -> dict[str, Any]:
    # Batches of `trl` count answers; ours count prompts. A step begins with new answers, so a checkpoint, which is
    # written between steps, needs to keep none.
    size = config.batch_size * config.answers
    return {
        "num_generations": config.answers,
        "max_completion_length": config.answer_length,
        "temperature": config.temperature,
        "beta": config.beta,
        "per_device_train_batch_size": size,
        "per_device_eval_batch_size": size,
        "gradient_checkpointing": config.gradient_checkpointing,
        "log_completions": False,
    }


def _asking(judge: Judge) -> Callable[..., list[float]]:
    """Return the judge as a function that `trl` calls."""

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
        pairs = zip(prompts, completions, strict=True)
        return judge.scores(
            [[Message(one["role"], one["content"]) for one in (*asked, *said)] for asked, said in pairs]
        )

    return reward


def source_of(config: Online) -> dict[str, Any]:
    """Return what decides the weights beside the configuration: the weights of the reward model."""
    return {"reward_model": weights.digest(Path(config.reward_model))}
