"""Tuning by LoRA: a base, or an adapter to continue, in; a model to train, what changed, and PEFT files out.

A new adapter's reference policy is the base (adapter off). A continued one is loaded trainable under the name
`default`; TRL's preference trainers then copy it to `ref`, which is the reference policy and is never saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors import safe_open

from contract.errors import ThumbwheelError
from trainer.tuning.shape import Prepared

WEIGHTS = "adapter_model.safetensors"
# Largest rank that is served: vLLM slows down with the rank cap, even for base requests (vllm#14435, #9143).
MAX_RANK = 32


def prepare(model: Any, start: Path | None, rank: int, alpha: int) -> Prepared:
    """Return the model to train: a new LoRA on all linear layers, or the adapter at `start`, trainable.

    Raises ThumbwheelError `bad_adapter` when weights in the folder do not fit the base.
    """
    if not 1 <= rank <= MAX_RANK:
        raise ThumbwheelError(
            "bad_setting", f"rank={rank} is outside 1..{MAX_RANK}.", "Serve-able adapters stay within it.", "rank"
        )
    if start is None:
        lora = LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        return Prepared(model, lora, "base")
    try:
        continued = PeftModel.from_pretrained(model, str(start), adapter_name="default", is_trainable=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ThumbwheelError(
            "bad_adapter", f"The adapter in {start} cannot be continued: {str(error).splitlines()[0]}",
            "Train from the base instead: thumbwheel train --from base.",
        ) from error  # fmt: skip
    _check_loaded(continued, start)
    return Prepared(continued, None, f"adapter {start.name}", weights(continued))


def _check_loaded(model: Any, folder: Path) -> None:
    # Keys that do not match are dropped with at most a warning (peft#2699).
    with safe_open(str(folder / WEIGHTS), "pt") as file:
        stored = set(file.keys())
    loaded = set(get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False))
    if stored != loaded:
        raise ThumbwheelError(
            "bad_adapter", f"{len(stored ^ loaded)} weights of the adapter in {folder} do not fit the base model.",
            "It was trained on another base.",
        )  # fmt: skip


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Return a copy of the `default` adapter's weights, on the CPU."""
    state = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def changed_share(before: Mapping[str, torch.Tensor] | None, after: Mapping[str, torch.Tensor]) -> float:
    """Return the share of weight tensors that differ; 0.0 means that training did nothing (trl#6701).

    `before` is None for a new LoRA, whose B matrices begin as zeros: then the share of B matrices that are not.
    """
    if before is None:
        changes = [bool(value.any()) for name, value in after.items() if "lora_B" in name]
    else:
        changes = [name not in before or not torch.equal(before[name], value) for name, value in after.items()]
    return sum(changes) / max(1, len(changes))


def changed(prepared: Prepared, trained: Any) -> float:
    """Return the share of the adapter's weight tensors that training moved."""
    return changed_share(prepared.before, weights(trained))


def save(model: Any, folder: Path) -> str:
    """Save the `default` adapter alone, not `ref`; return the SHA-256 of its weights file."""
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    # PEFT writes a README of its own with the base's path in it; the card is written when the adapter is registered.
    (folder / "README.md").unlink(missing_ok=True)
    return digest(folder)


def digest(folder: Path) -> str:
    """Return the SHA-256 of the adapter's weights file."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
