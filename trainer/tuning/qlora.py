"""Tuning by LoRA on a base of 8 or 4 bits (QLoRA, Dettmers et al. 2023, 2305.14314): the same adapter, another base.

The adapter answers differently on the base that is not quantised (0.06 in logits at 4 bits on a tiny model), so it is
judged and served on the quantised one: `tuning.json` beside its weights says which.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from inference.quantised import load_quantised
from inference.tuned import RECORD
from trainer.tuning import lora
from trainer.tuning.settings import LoraSettings
from trainer.tuning.shape import Parts, Prepared


class Float32(TrainerCallback):  # type: ignore[misc]
    """Keeps the adapter in float32, in which it is served: TRL turns it into bfloat16, which loses small steps."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Turn the weights that train back; the optimiser holds the same parameters."""
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()


def prepare(model: Any, start: Path | None, settings: LoraSettings, bits: int) -> Prepared:
    """Return the quantised model to train; raises ThumbwheelError as `lora.prepare` does."""
    return replace(lora.prepare(model, start, settings, bits=bits), callbacks=(Float32(),))


def save(model: Any, folder: Path, dtype: torch.dtype, bits: int) -> str:
    """Save the adapter, and how many bits its base has."""
    sha = lora.save(model, folder, dtype)
    (folder / RECORD).write_text(json.dumps({"bits": bits}), "utf-8")
    return sha


def _parts(bits: int) -> Parts:
    return Parts(
        partial(load_quantised, bits=bits), partial(prepare, bits=bits), lora.changed, partial(save, bits=bits)
    )


EIGHT, FOUR = _parts(8), _parts(4)
