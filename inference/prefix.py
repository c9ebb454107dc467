"""Virtual tokens as what they are to the layers: a beginning of the key-value cache.

In: an adapter of prompt tuning, P-tuning or prefix tuning. Out: the keys and values of its virtual tokens, which no
later token changes. So a row that begins with them stands in one batch with rows of the base and of LoRA adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, PeftType
from transformers import DynamicCache


@dataclass(frozen=True)
class Prefix:
    """Keys and values per layer, each (1, heads, virtual tokens, size)."""

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]

    @property
    def length(self) -> int:
        """Return the number of virtual tokens."""
        return int(self.keys[0].shape[2])


def has_virtual_tokens(model: Any) -> bool:
    """Say whether a model is a PEFT model whose active adapter is virtual tokens."""
    return isinstance(model, PeftModel) and bool(model.active_peft_config.is_prompt_learning)


def prefix_of(model: Any) -> Prefix:
    """Return the virtual tokens of a PEFT model's active adapter, computed by its base."""
    base, was_training = model.get_base_model(), model.training
    model.eval()
    with torch.inference_mode():
        if model.active_peft_config.peft_type == PeftType.PREFIX_TUNING:
            cache = model.get_prompt(1)
        else:
            embedded = model.get_prompt(1).to(base.get_input_embeddings().weight.dtype)
            cache = DynamicCache()
            base(inputs_embeds=embedded, past_key_values=cache, use_cache=True, logits_to_keep=1)
    model.train(was_training)
    return Prefix(
        tuple(layer.keys.clone() for layer in cache.layers), tuple(layer.values.clone() for layer in cache.layers)
    )


def load_prefix(base: Any, folder: Path) -> Prefix:
    """Return the virtual tokens of an adapter folder; `base` is left as it is."""
    return prefix_of(PeftModel.from_pretrained(base, str(folder)))


def beginning(prefixes: Sequence[Prefix | None], device: torch.device) -> tuple[Any, torch.Tensor]:
    """Return the cache that rows begin with, and its mask (rows, width): each prefix at the right."""
    width = max((one.length for one in prefixes if one), default=0)
    mask = torch.zeros((len(prefixes), width), dtype=torch.long, device=device)
    cache = DynamicCache()
    given = next((one for one in prefixes if one), None)
    if given is None:
        return cache, mask
    for row, one in enumerate(prefixes):
        mask[row, width - (one.length if one else 0) :] = 1
    for layer in range(len(given.keys)):
        keys, values = (
            torch.cat([_right(getattr(one, side)[layer] if one else None, kind[layer], width) for one in prefixes])
            for side, kind in (("keys", given.keys), ("values", given.values))
        )
        cache.update(keys, values, layer)
    return cache, mask


def _right(states: torch.Tensor | None, like: torch.Tensor, width: int) -> torch.Tensor:
    """Return states (1, heads, width, size) padded on the left; nothing but padding where there are none."""
    if states is None:
        return like.new_zeros((1, like.shape[1], width, like.shape[3]))
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))
