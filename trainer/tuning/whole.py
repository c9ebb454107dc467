"""Tuning the weights themselves, all of them or all but the frozen parts: a base, or a model to continue, in; the same
model to train, what changed, and a model folder out.

Such a model cannot share its base's weights: it is saved whole and served as a model of its own. TRL loads the
reference policy of a preference run by the path that the config names, so the model must come from a folder. It trains
in float32, since a bfloat16 weight loses small steps, and is saved, judged and served in the type of its base.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from contract.errors import ThumbwheelError
from inference.base_model import load_model
from inference.tuned import ADAPTER, WHOLE
from trainer.tuning.lora import chosen_layers
from trainer.tuning.settings import FrozenSettings, FullSettings
from trainer.tuning.shape import Parts, Prepared, digest

# Where a block's number stands in the name of a weight: model.layers.3.mlp.up_proj.weight.
BLOCKS = ".layers."


def prepare(model: Any, start: Path | None, settings: FullSettings) -> Prepared:
    """Return the model with every weight trainable; raises ThumbwheelError `bad_adapter` when `start` is no model."""
    if start is not None:
        model = _continued(model, start)
    before = {name: (weight.dtype, _digest(weight)) for name, weight in model.named_parameters()}
    model.float().requires_grad_(True)
    return Prepared(model, None, f"adapter {start.name}" if start else "base", before)


def prepare_frozen(model: Any, start: Path | None, settings: FrozenSettings) -> Prepared:
    """Return the model with some weights frozen; raises ThumbwheelError `bad_setting` for a part it has not."""
    prepared = prepare(model, start, FullSettings())
    count = prepared.model.config.num_hidden_layers
    frozen = chosen_layers(settings.frozen_layers or range(count // 2), count, "frozen_layers")
    names = [name for name, _ in prepared.model.named_parameters()]
    for part in settings.frozen_modules:
        if not any(part in name for name in names):
            raise ThumbwheelError(
                "bad_setting", f"No weight of the model has {part!r} in its name.",
                "Name a part such as embed_tokens, mlp or self_attn.", "frozen_modules",
            )  # fmt: skip
    for name, weight in prepared.model.named_parameters():
        still = block_of(name) in frozen or any(part in name for part in settings.frozen_modules)
        weight.requires_grad_(not still)
    if not any(weight.requires_grad for weight in prepared.model.parameters()):
        raise ThumbwheelError("bad_setting", "Everything is frozen.", "Leave something to train.", "frozen_layers")
    return prepared


def block_of(name: str) -> int | None:
    """Return the number of the block that a weight belongs to, None for what lies outside the blocks."""
    _, found, rest = name.partition(BLOCKS)
    return int(rest.split(".")[0]) if found else None


def _continued(model: Any, start: Path) -> Any:
    if (start / ADAPTER).exists() or not (start / WHOLE).exists():
        raise ThumbwheelError(
            "bad_adapter", f"The adapter in {start} cannot be continued: it is not a whole model.",
            "Train from the base instead: thumbwheel train --from base.",
        )  # fmt: skip
    found = load_model(start, model.dtype).to(model.device)
    theirs, ours = ({name: w.shape for name, w in one.named_parameters()} for one in (found, model))
    if theirs != ours:
        raise ThumbwheelError(
            "bad_adapter", f"The weights in {start} do not fit the base model.", "It was trained on another base."
        )
    return found


def _digest(weight: torch.Tensor) -> bytes:
    return hashlib.sha256(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).digest()


def changed(prepared: Prepared, trained: Any) -> float:
    """Return the share of trained weight tensors that are others, in the type in which they are saved."""
    tuned = [(name, weight) for name, weight in trained.named_parameters() if weight.requires_grad]
    moved = [_digest(w.detach().to(prepared.before[name][0])) != prepared.before[name][1] for name, w in tuned]
    return float(sum(moved) / max(1, len(moved)))


def save(model: Any, folder: Path, dtype: torch.dtype) -> str:
    """Turn the model into the type it is served in, and save it whole; return the SHA-256 of its weights."""
    model.to(dtype)
    model.save_pretrained(str(folder))
    return digest(*sorted(folder.glob("*.safetensors")))


FULL = Parts(load_model, prepare, changed, save)
FROZEN = FULL._replace(prepare=prepare_frozen)
