"""Load a model and its tokenizer from a folder in Hugging Face layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine.base import EngineError
from inference.engine.quiet import quieten
from inference.engine.weights import cache_values


@dataclass(frozen=True)
class LoadedModel:
    name: str
    model: Any
    tokenizer: Any
    end_ids: tuple[int, ...]
    """Tokens that end an answer."""
    context: int
    """The maximum of prompt and answer, in tokens."""
    vocabulary: int

    def memory(self, cache_tokens: int) -> int:
        """Return the bytes of the weights, of the copies that are kept for speed, and of the cache."""
        tensors = {one.data_ptr(): one for one in self.model.parameters()}.values()
        weights = sum(one.numel() * one.element_size() for one in tensors)
        copied = (module for module in self.model.modules() if getattr(module, "reordered", None) is not None)
        weights += sum(module.weight.numel() * module.weight.element_size() for module in copied)
        return weights + cache_tokens * cache_values(self.model.config.to_dict()) * self.model.dtype.itemsize


def load(folder: Path, *, name: str = "", dtype: str = "float32", threads: int = 1) -> LoadedModel:
    """Load a model. Takes seconds. Only in float32 is the greedy text the same as that of `generate`."""
    if not (folder / "config.json").is_file():
        raise EngineError(f"There is no model in {folder} (no config.json).")
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from inference.engine.attention import attend_in_groups

    quieten()
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            # Never run code from the folder: no pickles (.bin), no Python files.
            use_safetensors=True,
            trust_remote_code=False,
            dtype=getattr(torch, dtype),
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise EngineError(f"The model in {folder} cannot be loaded: {error}") from error
    if device == "cpu":
        _multiply_for_few_rows(model)
        attend_in_groups()
    return LoadedModel(
        name=name or folder.name,
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        end_ids=_end_ids(model, tokenizer),
        context=int(getattr(model.config, "max_position_embeddings", 0) or 2048),
        vocabulary=int(model.get_input_embeddings().weight.shape[0]),
    )


def uses_gpu() -> bool:
    """Return whether models are loaded into the memory of a GPU."""
    import torch

    return bool(torch.cuda.is_available())


def _multiply_for_few_rows(model: Any) -> None:
    """Make linear layers faster for the few rows of a step. Results differ only by rounding (docs/performance.md).

    From four rows on, torch reorders the weights for each product. Layers that widen, where most of the time goes, keep
    a reordered copy, which costs memory. The others compute (W xᵀ)ᵀ, which reads the weights in order.
    """
    import torch
    from torch import Tensor, nn

    class FewRows(nn.Linear):
        reordered: Tensor | None

        def forward(self, x: Tensor) -> Tensor:
            rows = x.reshape(-1, x.shape[-1])
            if len(rows) < 4:
                return super().forward(x)
            if self.reordered is not None:
                out = torch.ops.mkldnn._linear_pointwise(rows, self.reordered, self.bias, "none", [], "")
            else:
                out = (self.weight @ rows.t()).t().contiguous()
                out = out if self.bias is None else out + self.bias
            return out.view(*x.shape[:-1], -1)

    backends = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    known = backends and model.dtype == torch.float32  # measured only there
    for module in model.modules():
        if type(module) is nn.Linear:
            widens = module.out_features > module.in_features
            module.__class__ = FewRows
            module.reordered = (
                torch.ops.mkldnn._reorder_linear_weight(module.weight.detach(), None) if known and widens else None
            )


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the end tokens of the model and the tokenizer, and the end of a message of the chat template."""
    ids_of_model = model.generation_config.eos_token_id
    ids = {ids_of_model} if isinstance(ids_of_model, int) else set(ids_of_model or ())
    ids.add(tokenizer.eos_token_id)
    ids.add(tokenizer.get_added_vocab().get("<|im_end|>"))
    return tuple(sorted(token_id for token_id in ids if isinstance(token_id, int) and token_id >= 0))
