"""Tuning by LoRA (Hu et al. 2021, 2106.09685), rsLoRA (2312.03732) or DoRA (2402.09353): a base, or an adapter to
continue, in; a model to train, what changed, and PEFT files out.

A new adapter's reference policy is the base (adapter off). A continued one is loaded trainable under the name
`default`; TRL's preference trainers then copy it to `ref`, which is the reference policy and is never saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors import safe_open

from contract.errors import ThumbwheelError
from inference.base_model import load_model
from inference.tuned import bits_of
from trainer.tuning.settings import HEAD, LoraSettings
from trainer.tuning.shape import Parts, Prepared, digest

WEIGHTS = "adapter_model.safetensors"


def prepare(model: Any, start: Path | None, settings: LoraSettings, bits: int = 0, **variant: bool) -> Prepared:
    """Return the model to train: a new LoRA on the chosen linear layers, or the adapter at `start`, trainable.

    `bits` are those of the model's base, 0 for a plain one; `variant` is `use_rslora` or `use_dora`. Raises
    ThumbwheelError `bad_adapter` when weights in the folder do not fit the base, `bad_setting` for a layer the model
    has not.
    """
    if start is None:
        return Prepared(model, make_config(model, settings, **variant), "base")
    try:
        _check_same(start, bits, variant)
        continued = PeftModel.from_pretrained(model, str(start), adapter_name="default", is_trainable=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ThumbwheelError(
            "bad_adapter", f"The adapter in {start} cannot be continued: {str(error).splitlines()[0]}",
            "Train from the base instead: thumbwheel train --from base.",
        ) from error  # fmt: skip
    _check_loaded(continued, start)
    return Prepared(continued, None, f"adapter {start.name}", weights(continued))


def make_config(model: Any, settings: LoraSettings, **variant: bool) -> LoraConfig:
    """Return PEFT's config; raises ThumbwheelError `bad_setting` for a layer or module the model has not."""
    linear = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    if unknown := sorted(set(settings.modules) - linear):
        raise ThumbwheelError(
            "bad_setting", f"The model has no linear layer {', '.join(unknown)}.",
            f"It has {', '.join(sorted(linear - {HEAD}))}.", "modules",
        )  # fmt: skip
    layers = chosen_layers(settings.layers, model.config.num_hidden_layers, "layers")
    # Every model's own config says where its blocks are; PEFT must be told the modules by name to choose blocks.
    modules = list(settings.modules) or (sorted(linear - {HEAD}) if layers else "all-linear")
    return LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=modules,
        layers_to_transform=layers or None, task_type="CAUSAL_LM", **variant,
    )  # fmt: skip


def chosen_layers(layers: Sequence[int], count: int, name: str) -> list[int]:
    """Return block numbers from 0, -1 being the last; raises ThumbwheelError `bad_setting` outside the model."""
    if outside := [number for number in layers if not -count <= number < count]:
        raise ThumbwheelError(
            "bad_setting", f"The model has no layer {outside[0]}.", f"Its layers are 0 to {count - 1}.", name
        )
    return sorted({number % count for number in layers})


def _check_same(start: Path, bits: int, variant: Mapping[str, bool]) -> None:
    if (theirs := bits_of(start)) != bits:
        raise ValueError(f"its base has {theirs or 'all its'} bits, this run's {bits or 'all its'}")
    config = PeftConfig.from_pretrained(str(start))
    for name in ("use_rslora", "use_dora"):
        if bool(getattr(config, name, False)) != variant.get(name, False):
            raise ValueError(f"it was tuned with {name}={getattr(config, name, None)}, this run is not")


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


def save(model: Any, folder: Path, dtype: torch.dtype) -> str:
    """Save the `default` adapter alone, not `ref`, in the type it was trained in; return the SHA-256 of its weights."""
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    # PEFT writes a README of its own with the base's path in it; the card is written when the adapter is registered.
    (folder / "README.md").unlink(missing_ok=True)
    return digest(folder / WEIGHTS)


PLAIN = Parts(load_model, prepare, changed, save)
RANK_STABLE = PLAIN._replace(prepare=partial(prepare, use_rslora=True))
DECOMPOSED = PLAIN._replace(prepare=partial(prepare, use_dora=True))
