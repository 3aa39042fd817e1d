"""A model folder (Hugging Face layout) to a model and its tokenizer in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine.base import EngineError


@dataclass(frozen=True)
class Loaded:
    name: str
    model: Any
    tokenizer: Any
    end_ids: tuple[int, ...]
    """Tokens with which an answer ends."""
    context: int
    """Tokens that the model was made for: prompt and answer together."""
    vocabulary: int


def load(folder: Path, *, name: str = "", dtype: str = "float32", threads: int = 1) -> Loaded:
    """Takes seconds. The greedy text is the same as that of `generate` in float32 only."""
    if not (folder / "config.json").is_file():
        raise EngineError(f"There is no model in {folder} (no config.json).")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from inference.engine.attention import attend_in_groups

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            # A folder of weights is data: pickles (.bin) and programs that come along are not run.
            use_safetensors=True,
            trust_remote_code=False,
            dtype=getattr(torch, dtype),
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"The model in {folder} can not be loaded: {error}") from error
    if device == "cpu":
        _multiply_for_few_rows(model)
        attend_in_groups()
    return Loaded(
        name=name or folder.name,
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        end_ids=_end_ids(model, tokenizer),
        context=int(getattr(model.config, "max_position_embeddings", 0) or 2048),
        vocabulary=int(model.get_input_embeddings().weight.shape[0]),
    )


def _multiply_for_few_rows(model: Any) -> None:
    """Linear layers for the few rows of a step, with numbers that differ by rounding alone (docs/performance.md).

    From four rows on torch copies the weights into another order at each product: where a layer widens, which is where
    most of the time goes, they are kept in that order too, for more memory. Elsewhere (W xᵀ)ᵀ reads them in order.
    """
    import torch
    from torch import Tensor, nn

    class FewRows(nn.Linear):
        in_order: Tensor | None

        def forward(self, x: Tensor) -> Tensor:
            rows = x.reshape(-1, x.shape[-1])
            if len(rows) < 4:
                return super().forward(x)
            if self.in_order is not None:
                out = torch.ops.mkldnn._linear_pointwise(rows, self.in_order, self.bias, "none", [], "")
            else:
                out = (self.weight @ rows.t()).t().contiguous()
                out = out if self.bias is None else out + self.bias
            return out.view(*x.shape[:-1], -1)

    backends = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    known = backends and model.dtype == torch.float32  # measured there alone
    for module in model.modules():
        if type(module) is nn.Linear:
            widens = module.out_features > module.in_features
            module.__class__ = FewRows
            module.in_order = (
                torch.ops.mkldnn._reorder_linear_weight(module.weight.detach(), None) if known and widens else None
            )


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """What the model says, what the tokenizer says, and the end of a turn where the template has one."""
    said = model.generation_config.eos_token_id
    ids = {said} if isinstance(said, int) else set(said or ())
    ids.add(tokenizer.eos_token_id)
    ids.add(tokenizer.get_added_vocab().get("<|im_end|>"))
    return tuple(sorted(one for one in ids if isinstance(one, int) and one >= 0))
