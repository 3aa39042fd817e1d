"""Run a training in a folder: it can be killed at any moment, and goes on from its last checkpoint as if nothing was.

    FOLDER/checkpoints/checkpoint-N    of the last steps; see checkpoints.py
    FOLDER/model                       the trained model; there when the training is done

On a processor with float32 the same configuration, data and number of threads give the same weights, killed or not.
"""

import importlib.util
import json
import shutil
import time
from typing import Any

from inference.engine import weights
from inference.engine.chat_template import BadTemplate, ChatTemplate
from inference.engine.quiet import quieten
from inference.training import samples
from inference.training.base import Done, Hooks, Stopped, Training
from inference.training.checkpoints import CHECKPOINTS, KEPT, last_checkpoint
from inference.training.config import Common, Dpo, Kto, Online, Reward, Sft
from inference.training.errors import TrainingError
from inference.training.models import (
    ABOUT,
    load_model,
    load_tokenizer,
    pad_apart,
    precision_of,
    write_model,
)
from inference.training.packing import as_row, pack
from inference.training.samples import Funnel

MODEL = "model"
Parts = dict[str, list[Any]]
Funnels = dict[str, Funnel]


def run(training: Training, hooks: Hooks | None = None) -> Done:
    """Train to the end and write the model. Raise Stopped, or TrainingError with the cause; a later call goes on.

    Codes: those of `samples`, `base`, `template`, `diverged` (the loss is no number any more), `disk`, `memory`,
    `folder` (another model is there), `reward_model`, `not_installed`.
    """
    import torch

    hooks, started = hooks or Hooks(), time.monotonic()
    if (done := _done_before(training)) is not None:
        return done
    try:
        trainer, funnels = prepare(training, hooks)
        steps = _train(trainer, training)
        figures = _figures(trainer)
        _write(trainer, training, {**_source(training), "steps": steps, "figures": figures, "data": funnels})
    except BadTemplate as error:
        raise TrainingError(str(error), code="template") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TrainingError(
            "There is not enough memory: a smaller batch_size or max_length, lora, or gradient_checkpointing helps.",
            code="memory",
        ) from error
    except OSError as error:
        raise TrainingError(f"{training.folder} cannot be written: {error}", code="disk") from error
    digest = weights.digest(training.folder / MODEL)
    return Done(training.folder / MODEL, digest, steps, time.monotonic() - started, figures, funnels)


def _require_packages(config: Common) -> None:
    """Raise TrainingError (`not_installed`) if packages are missing that only trainings need."""
    needed = (["peft"] if config.lora else []) + (["trl", "datasets"] if isinstance(config, Online) else [])
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise TrainingError(
            f"Packages for trainings are missing ({', '.join(missing)}): run scripts/train, which installs them.",
            code="not_installed",
        )


def _done_before(training: Training) -> Done | None:
    """Return what an earlier call trained if the process ended before its caller noted that."""
    folder = training.folder / MODEL
    if not (folder / ABOUT).is_file():
        return None
    about = json.loads((folder / ABOUT).read_text())
    if {name: about[name] for name in _source(training)} != _source(training):
        raise TrainingError(f"{folder} is another model: train into an empty folder.", code="folder")
    return Done(folder, weights.digest(folder), about["steps"], 0.0, about["figures"], about["data"])


def prepare(training: Training, hooks: Hooks) -> tuple[Any, dict[str, Any]]:
    """Return the trainer with its data, and what became of the rows. Sets threads and seed of this process."""
    _require_packages(training.config)
    import torch
    from transformers import PrinterCallback, set_seed

    from inference.training.watching import Watch, require_space

    quieten()
    config = training.config
    if training.threads:
        torch.set_num_threads(training.threads)
    set_seed(config.seed)
    tokenizer = load_tokenizer(training.base)
    template = ChatTemplate(tokenizer, for_training=True)
    if isinstance(config, Reward):
        pad_apart(tokenizer, template)
    funnels = {split: Funnel() for split in ("train", "validation")}
    parts = {split: _samples(training, split, template, funnel) for split, funnel in funnels.items()}
    model = load_model(training.base, config, tokenizer, scores=isinstance(config, Reward))
    training.folder.mkdir(parents=True, exist_ok=True)
    require_space(training.folder, model, training.least_free_bytes)
    about = {"model": model, "callbacks": [Watch(training, hooks)]}
    trainer = _online_trainer if isinstance(config, Online) else _trainer
    made = trainer(training, parts, funnels, tokenizer, about)
    made.remove_callback(PrinterCallback)  # the caller says it
    return made, {split: funnel.as_values() for split, funnel in funnels.items()}


def _trainer(training: Training, parts: Parts, funnels: Funnels, tokenizer: Any, about: dict[str, Any]) -> Any:
    """Return a trainer that learns from what people said."""
    from transformers import TrainingArguments

    from inference.training.trainers import kind_of

    config, reference = training.config, None
    if isinstance(config, Dpo | Kto) and not config.lora:
        reference = load_model(training.base, config, tokenizer).eval().requires_grad_(False)
    return kind_of(config)(
        config=config,
        tokenizer=tokenizer,
        reference=reference,
        args=TrainingArguments(**_arguments(training, parts)),
        train_dataset=parts["train"],
        eval_dataset=parts["validation"] or None,
        **about,
    )


def _online_trainer(training: Training, parts: Parts, funnels: Funnels, tokenizer: Any, about: dict[str, Any]) -> Any:
    """Return a trainer that learns from what a reward model says."""
    from inference.training.online import make_trainer, prompt_rows

    assert isinstance(training.config, Online)
    rows = {split: prompt_rows(prompts, tokenizer, funnels[split]) for split, prompts in parts.items()}
    return make_trainer(training.config, _arguments(training, rows), rows, processing_class=tokenizer, **about)


def _samples(training: Training, split: Any, template: ChatTemplate, funnel: Funnel) -> list[Any]:
    config, where = training.config, (training.snapshot, split, template)
    match config:
        case Sft():
            found = samples.conversations(*where, config, funnel)
            rows = pack(found, config.max_length) if config.packing else [[one] for one in found]
            return [as_row(row) for row in rows]
        case Reward(loss="plackett-luce"):
            return samples.orders(*where, config, funnel)
        case Reward() | Dpo():
            return samples.pairs(*where, config, funnel)
        case Kto():
            return samples.judged(*where, config, funnel)
        case _:
            return samples.prompts(training.snapshot, split, config, funnel)


def _arguments(training: Training, parts: Parts) -> dict[str, Any]:
    """Return what the trainers of all methods are told."""
    import torch

    config = training.config
    evaluates = bool(parts["validation"] and config.evaluate_every)
    return {
        "output_dir": str(training.folder / CHECKPOINTS),
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,  # less than 1: the share of all steps
        "num_train_epochs": config.epochs,
        "max_steps": config.most_steps or -1,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulation,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "seed": config.seed,
        "bf16": precision_of(config) == "bfloat16" and torch.cuda.is_available(),
        "activation_checkpointing": config.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": KEPT,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_steps": config.evaluate_every or None,
        "logging_strategy": "steps",
        "logging_steps": config.log_every,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "report_to": [],
        "label_names": [],
    }


def _train(trainer: Any, training: Training) -> int:
    """Train from the last complete checkpoint, or from the beginning. Return the number of steps."""
    last = last_checkpoint(training.folder / CHECKPOINTS)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.control.should_training_stop and trainer.state.global_step < trainer.state.max_steps:
        raise Stopped
    return int(trainer.state.global_step)


def _figures(trainer: Any) -> dict[str, float]:
    """Return the last figures of the training, and those of the validation part."""
    if trainer.eval_dataset:
        trainer.evaluate()
    found: dict[str, float] = {}
    for logged in trainer.state.log_history:
        found |= {name: value for name, value in logged.items() if isinstance(value, float | int)}
    return {name: found[name] for name in sorted(found) if not name.endswith(("_runtime", "_per_second"))}


def _write(trainer: Any, training: Training, about: dict[str, Any]) -> None:
    """Write the model, and remove the checkpoints. Of several processes the first one does it."""
    model, accelerator = trainer.model, trainer.accelerator
    if accelerator.num_processes > 1:  # each may have only a part of the weights
        weights = accelerator.get_state_dict(trainer.model_wrapped)
        if accelerator.is_main_process:
            scores = isinstance(training.config, Reward)
            model = load_model(training.base, training.config, trainer.processing_class, scores=scores)
            model.load_state_dict(weights)
    if accelerator.is_main_process:
        write_model(model, trainer.processing_class, training.folder / MODEL, about)
        shutil.rmtree(training.folder / CHECKPOINTS, ignore_errors=True)
    accelerator.wait_for_everyone()


def _source(training: Training) -> dict[str, Any]:
    """Return what decides the weights."""
    more = {}
    if isinstance(training.config, Online):
        from inference.training.online import source_of

        more = source_of(training.config)
    return {
        **more,
        "method": training.method,
        "config": training.config.model_dump(mode="json"),
        "snapshot": training.snapshot.digest,
        "base": weights.digest(training.base),
    }
