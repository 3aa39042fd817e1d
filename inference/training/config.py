"""The configuration of a training: one default set for each method, overridden by a YAML file and then by single keys.

An unknown key or a wrong value ends it before anything is loaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from inference.training.errors import TrainingError
from inference.training.yaml_settings import parse_changes, read_yaml, words

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Common(BaseModel):
    """What all methods have. Lengths are in tokens, sizes of batches in samples of one process."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    langs: Annotated[tuple[str, ...], BeforeValidator(words)] = ()
    """Languages of the prompts; all if empty."""
    most_samples: Count = 0
    """Take only so many, the same ones for the same seed; 0 for all."""
    max_length: Annotated[int, Field(ge=32)] = 1024
    """Longer conversations are cut between turns."""

    learning_rate: Rate = 2e-4
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Share = 0.05
    """Share of the steps."""
    epochs: Rate = 1.0
    most_steps: Count = 0
    """End after so many; 0 for all of the epochs."""
    batch_size: Positive = 4
    accumulation: Positive = 1
    """Batches for one step."""
    weight_decay: Share = 0.0
    max_grad_norm: Rate = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20240107

    lora: bool = True
    """Train low-rank adapters (Hu et al., 2021), which are merged into the weights at the end; else all weights."""
    lora_rank: Positive = 16
    lora_alpha: Positive = 32
    lora_dropout: Share = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the processor computes in it, else float32."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them."""

    save_every: Positive = 50
    """Steps between checkpoints."""
    evaluate_every: Count = 0
    """Steps between losses on the validation part; 0 for once at the end."""
    log_every: Positive = 5


class Sft(Common):
    """Supervised fine-tuning on conversations."""

    top_k: Count = 0
    """Only conversations of the best so many replies at each step; 0 for all."""
    packing: bool = True
    """Fill each row with several conversations, which do not see each other."""


class Reward(Common):
    """A reward model from rankings of replies."""

    learning_rate: Rate = 1e-4
    loss: Literal["plackett-luce", "pairs"] = "plackett-luce"
    most_replies: Several = 5
    """Of one ranking: the best ones, and always the worst one."""
    score_penalty: Annotated[float, Field(ge=0)] = 0.001
    """Weight of half the squared scores, so that they stay around zero."""
    near_ties: bool = True
    """Use pairs about which people were almost divided, with the weight that this leaves them."""
    chats: bool = True
    """Learn from pairs of the chat too, if the snapshot has any; rankings are of trees alone."""


class Dpo(Common):
    """Direct preference optimization (Rafailov et al., 2023) from pairs of replies."""

    learning_rate: Rate = 5e-5
    beta: Rate = 0.1
    """How much it costs to leave the base model."""
    loss: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"
    near_ties: bool = False
    chats: bool = True
    """Learn from pairs of the chat too, if the snapshot has any."""


class Kto(Common):
    """Kahneman–Tversky optimization (Ethayarajh et al., 2024) from single replies, good or bad."""

    learning_rate: Rate = 5e-5
    beta: Rate = 0.1
    good_weight: Rate = 1.0
    bad_weight: Rate = 1.0
    chats: bool = True
    """Learn from thumbs in the chat too, if the snapshot has any."""


class Online(Common):
    """What the methods share that let the model answer prompts and a reward model judge the answers."""

    learning_rate: Rate = 1e-5
    reward_model: str = ""
    """Its folder."""
    answers: Several = 4
    """To each prompt."""
    answer_length: Positive = 128
    temperature: Rate = 1.0
    beta: Annotated[float, Field(ge=0)] = 0.04
    """Weight of the distance (KL) from the base model."""


class Grpo(Online):
    """Group relative policy optimization (Shao et al., 2024)."""


class Rloo(Online):
    """REINFORCE leave-one-out (Ahmadian et al., 2024)."""


METHODS: dict[str, type[Common]] = {"sft": Sft, "reward": Reward, "dpo": Dpo, "kto": Kto, "grpo": Grpo, "rloo": Rloo}


def read_config(method: str, file: Path | None = None, changes: Sequence[str] = ()) -> Common:
    """Return the configuration of a method. `changes` are of the form `key=value`, values as in YAML.

    Raise TrainingError (`config`) that names each wrong key, and what it may be.
    """
    values = read_yaml(file, may_be_empty=True) if file is not None else {}
    return from_values(method, {**values, **parse_changes(changes)})


def from_values(method: str, values: Mapping[str, Any]) -> Common:
    """Return the configuration of a method with these values. Raise TrainingError (`config`)."""
    kind = METHODS.get(method)
    if kind is None:
        raise TrainingError(f"There is no method {method!r}: choose {', '.join(METHODS)}.", code="config")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        wrong = [_sentence(method, kind, found) for found in error.errors(include_url=False)]
        raise TrainingError(" ".join(wrong), code="config") from error


def _sentence(method: str, kind: type[Common], found: Any) -> str:
    name = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        return f"{method} has no setting {name!r}. It has: {', '.join(sorted(kind.model_fields))}."
    return f"{name} is {found['input']!r}: {found['msg']}."
