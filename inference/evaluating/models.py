"""Load the models that are compared, and refuse what cannot be one."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine import weights
from inference.engine.base import EngineError
from inference.engine.chat_template import ChatTemplate
from inference.engine.loading import LoadedModel, load
from inference.evaluating.report import ModelFacts
from inference.training.errors import TrainingError


@dataclass
class Opened:
    """A model that can be asked. `close` gives its memory back."""

    loaded: LoadedModel
    facts: ModelFacts

    def template(self) -> ChatTemplate:
        return ChatTemplate(self.loaded.tokenizer, for_training=True)


def open_model(folder: Path, name: str, threads: int = 0) -> Opened:
    """Load a model. Raise TrainingError (`base`) if there is none, `broken` if it has weights that are no numbers."""
    import torch

    refuse_reward_model(folder)
    try:
        loaded = load(folder, name=name, threads=threads or torch.get_num_threads())
    except EngineError as error:
        raise TrainingError(str(error), code="base") from error
    parameters = 0
    for tensor in loaded.model.parameters():
        parameters += tensor.numel()
        if not bool(torch.isfinite(tensor).all()):
            raise broken(name)
    facts = facts_of(folder, name).model_copy(update={"parameters": parameters})
    return Opened(loaded, facts)


def broken(name: str) -> TrainingError:
    return TrainingError(
        f"{name} is broken: it has or computes values that are no numbers. Train it again, with a lower learning_rate.",
        code="broken",
    )


def refuse_reward_model(folder: Path) -> None:
    """Raise TrainingError (`base`) for a model that gives scores instead of answers, or none at all."""
    try:
        config: Any = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"There is no model in {folder} (no config.json).", code="base") from error
    if any("SequenceClassification" in kind for kind in config.get("architectures") or ()):
        raise TrainingError(
            f"The model in {folder} is a reward model, which answers nothing: give it as the judge of others.",
            code="base",
        )


def facts_of(folder: Path, name: str) -> ModelFacts:
    """Return what decides how the model answers, without loading it."""
    return ModelFacts(name=name, digest=weights.digest(folder), template=_template_digest(folder))


def _template_digest(folder: Path) -> str:
    """Return the SHA-256 of the chat template, which stands in a file of its own or in the tokenizer's."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return hashlib.sha256(file.read_bytes()).hexdigest()
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text("utf-8")).get("chat_template") or ""
    except (OSError, ValueError, AttributeError):
        template = ""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
