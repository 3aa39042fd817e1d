"""Attention for a batch of requests that computes heads with shared keys and values together.

The library copies keys and values for each head that shares them (`repeat_kv`), in each layer and step. Here the
queries of these heads are stacked as rows instead: grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245) as
one product per group.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def attend_in_groups() -> None:
    """Use this attention for all batches of this process. Idempotent."""
    AttentionInterface.register("sdpa", _attend)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    cache: Any = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Return the attention as (1, rows, heads, size). `query` is (1, heads, rows, size), `key` and `value` are
    (1, groups, rows, size), the mask is (1, 1, rows, keys)."""
    sharing = int(getattr(module, "num_key_value_groups", 1))
    ungrouped = not isinstance(cache, PagedAttentionCache) or sharing == 1 or query.shape[2] == 1
    # The library handles or refuses these.
    special = any(rest.get(name) is not None for name in ("position_bias", "softcap"))
    if ungrouped or special or attention_mask is None or attention_mask.shape[1] != 1:
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, cache=cache, **rest
        )
        return result
    key, value = cache.update(key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=rest)
    batch, heads, rows, size = query.shape
    out = scaled_dot_product_attention(
        query.reshape(batch, heads // sharing, sharing * rows, size),
        key,
        value,
        attn_mask=attention_mask.repeat(1, 1, sharing, 1),
        scale=scaling,
    )
    return out.view(batch, heads, rows, -1).transpose(1, 2).contiguous(), None
