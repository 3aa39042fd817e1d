"""Load a model to train, and write a trained one so that it appears complete or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference.engine.base import Message
from inference.engine.chat_template import ChatTemplate
from inference.training.config import Common
from inference.training.errors import TrainingError

ABOUT = "training.json"
"""What a trained model says about how it was made."""


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer, which pads. Raise TrainingError (`base`)."""
    from transformers import AutoTokenizer

    with _as_bad_base(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise TrainingError(f"The tokenizer in {folder} has neither a padding nor an end token.", code="base")
    return tokenizer


def pad_apart(tokenizer: Any, template: ChatTemplate) -> None:
    """Let a token pad that ends no answer.

    A reward model reads its score at the last token that is no padding, which shall be the one that ends the answer.
    """
    end = template.conversation([Message("user", "?"), Message("assistant", "!")])
    ends = {token for token, is_answer in zip(end.ids, end.is_answer, strict=True) if is_answer}
    if tokenizer.pad_token_id in ends:
        names = sorted(tokenizer.get_added_vocab().items(), key=lambda named: named[1])
        tokenizer.pad_token = next((name for name, token in names if token not in ends), tokenizer.pad_token)


def load_model(folder: Path, config: Common, tokenizer: Any, *, scores: bool = False) -> Any:
    """Return the model to train, with adapters if it is trained by them; with `scores` one that gives a text a score.

    Raise TrainingError (`base`) if it cannot be loaded, or has values that are no numbers.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    precision = precision_of(config)
    if scores:
        model = _load(AutoModelForSequenceClassification, folder, precision, num_labels=1)
    else:
        model = _load(AutoModelForCausalLM, folder, precision)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.use_cache = False
    return _with_adapters(model, config, scores=scores) if config.lora else model


def load_reward_model(folder: Path, tokenizer: Any) -> Any:
    """Return a trained reward model, to be asked. Raise TrainingError (`reward_model`, `base`)."""
    import torch
    from transformers import AutoModelForSequenceClassification

    with _as_bad_base(folder):
        about = json.loads((folder / "config.json").read_text())
    if not any("SequenceClassification" in str(name) for name in about.get("architectures") or ()):
        raise TrainingError(f"The model in {folder} gives no score: it is no reward model.", code="reward_model")
    model = _load(AutoModelForSequenceClassification, folder, "float32")
    if model.config.num_labels != 1:
        raise TrainingError(f"The model in {folder} gives several scores: it is no reward model.", code="reward_model")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _load(kind: Any, folder: Path, precision: str, **more: Any) -> Any:
    import torch

    with _as_bad_base(folder):
        model = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,  # never code from the folder: no pickles, no Python files
            trust_remote_code=False,
            dtype=getattr(torch, precision),
            attn_implementation="sdpa",
            **more,
        )
    if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        raise TrainingError(f"The model in {folder} is broken: it has weights that are no numbers.", code="base")
    return model


def precision_of(config: Common) -> str:
    """Return the name of the type of torch to compute in."""
    import torch

    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if _multiplies_bfloat16() else "float32"


def _multiplies_bfloat16() -> bool:
    """Return whether the processor has instructions for it; without them it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _with_adapters(model: Any, config: Common, *, scores: bool) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS if scores else TaskType.CAUSAL_LM,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        modules_to_save=["score"] if scores else None,
    )
    return get_peft_model(model, lora)


@contextmanager
def _as_bad_base(folder: Path) -> Iterator[None]:
    if not (folder / "config.json").is_file():
        raise TrainingError(f"There is no model in {folder} (no config.json).", code="base")
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:  # RuntimeError: unfit shapes
        raise TrainingError(f"The model in {folder} cannot be loaded: {error}", code="base") from error


def write_model(model: Any, tokenizer: Any, folder: Path, about: Mapping[str, Any]) -> None:
    """Write a trained model, adapters merged, with tokenizer, chat template and `about`. Raise TrainingError (`disk`).

    The folder appears when it is complete; one that is there already is replaced.
    """
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    merged.config.use_cache = True
    unfinished = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        merged.save_pretrained(unfinished, safe_serialization=True)
        tokenizer.save_pretrained(unfinished)
        (unfinished / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise TrainingError(f"The model cannot be written to {folder}: {error}", code="disk") from error
