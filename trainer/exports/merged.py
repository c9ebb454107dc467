"""A merged model: a base and an adapter in; a model folder that answers without PEFT out, proven to answer like both.

Merged in float32, whatever the base is stored in, and saved in `dtype`. What a merge can lose is the adapter itself:
a change smaller than the steps between two bfloat16 numbers is rounded away. So the saved folder is loaded again and
its logits are compared with those of the adapter on its base.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel

from contract.errors import ThumbwheelError
from inference.base_model import load_model, load_tokenizer
from inference.tokens import Encoder, make_encoder
from trainer.guarding import evaluate

MERGEABLE = ("LORA",)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Of what the adapter changes in the logits, a merge that is worth its name keeps more than half.
MOST_LOST = 0.5
# The base's own files describe the tokens, the template and where a reply ends: they are copied, never made again.
NOT_COPIED = (".safetensors", ".bin", ".index.json", ".gguf", ".md")


@dataclass(frozen=True)
class Merged:
    """A merged folder, and the largest logit difference to adapter and base, as a share of the adapter's change."""

    folder: Path
    dtype: str
    lost: float


def merge(adapter: Path, base: Path, folder: Path, dtype: str = "auto") -> Merged:
    """Write the merged model into an empty folder; takes parameters x 4 bytes of memory, twice while it compares.

    `dtype` is float32, bfloat16, float16, or auto for what the base is stored in. Raises ThumbwheelError
    `not_mergeable` for adapters that are no change of weights, `lossy_merge` when rounding would undo the adapter.
    """
    _refuse_unmergeable(adapter)
    stored = dtype if dtype != "auto" else stored_dtype(base)
    model = load_model(base, torch.float32)
    encoder = make_encoder(load_tokenizer(base), model)
    before = evaluate.probe_logits(model, encoder)
    tuned = PeftModel.from_pretrained(model, str(adapter)).eval()
    meant = evaluate.probe_logits(tuned, encoder)
    plain = tuned.merge_and_unload(safe_merge=True)
    plain.to(DTYPES[stored]).save_pretrained(folder)
    del tuned, plain, model
    _copy_the_rest(base, folder)
    lost = _lost(folder, encoder, before, meant)
    if lost > MOST_LOST:
        raise ThumbwheelError(
            "lossy_merge", f"Saved as {stored}, the merged model loses {lost:.0%} of what the adapter changes.",
            "Export it with --dtype float32, or serve the adapter beside its base.", "dtype",
        )  # fmt: skip
    return Merged(folder, stored, lost)


def stored_dtype(base: Path) -> str:
    """Return the name of the type a model folder's weights are stored in."""
    config = json.loads((base / "config.json").read_text("utf-8"))
    found = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    return found if found in DTYPES else "float32"


def _refuse_unmergeable(adapter: Path) -> None:
    kind = PeftConfig.from_pretrained(str(adapter)).peft_type
    name = str(getattr(kind, "value", kind))
    if name not in MERGEABLE:
        raise ThumbwheelError(
            "not_mergeable", f"An adapter of the kind {name.lower()} adds to the prompt and cannot be merged.",
            "Take the adapter itself: --format card.", "format",
        )  # fmt: skip


def _copy_the_rest(base: Path, folder: Path) -> None:
    for file in base.iterdir():
        if file.is_file() and file.name != "config.json" and not file.name.endswith(NOT_COPIED):
            shutil.copyfile(file, folder / file.name)


def _lost(folder: Path, encoder: Encoder, before: Any, meant: Any) -> float:
    found = evaluate.probe_logits(load_model(folder, torch.float32), encoder)
    change = float((meant - before).abs().max())
    return float((meant - found).abs().max()) / change if change else 1.0
