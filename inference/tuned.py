"""What a run made, as it is served: a base and the folder of a tuned model in; how it answers, and the model, out.

Three forms. A plain LoRA and virtual tokens share the base's weights and a batch with it (`SHARED`, `VIRTUAL`). The
rest is a model of its own (`OWN`): all weights tuned, DoRA, whose scales belong to every weight of a layer, and any
adapter that was trained on a quantised base. `tuning.json` beside the weights names the bits of that base.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, PeftType

from contract.errors import ThumbwheelError
from inference.base_model import load_model
from inference.quantised import BITS, load_quantised

SHARED, VIRTUAL, OWN = "shared", "virtual", "own"
ADAPTER, WHOLE, RECORD = "adapter_config.json", "config.json", "tuning.json"
_VIRTUAL_TYPES = (PeftType.PROMPT_TUNING, PeftType.P_TUNING, PeftType.PREFIX_TUNING)


def is_tuned(folder: Path) -> bool:
    """Say whether a folder holds a tuned model."""
    return (folder / ADAPTER).exists() or (folder / WHOLE).exists()


def bits_of(folder: Path) -> int:
    """Return how many bits the base of an adapter has, 0 where it is not quantised; raises ValueError."""
    file = folder / RECORD
    bits = int(json.loads(file.read_text("utf-8")).get("bits", 0)) if file.exists() else 0
    if bits and bits not in BITS:
        raise ValueError(f"a base of {bits} bits is not known")
    return bits


def form_of(folder: Path) -> str:
    """Return how the tuned model in a folder is served; raises ValueError for an adapter of a kind that is not."""
    if not (folder / ADAPTER).exists():
        return OWN
    config = PeftConfig.from_pretrained(str(folder))
    if config.peft_type in _VIRTUAL_TYPES:
        return VIRTUAL
    if not _is_linear_lora(config):
        raise ValueError("only LoRA on linear layers, virtual tokens and whole models are served")
    return OWN if config.use_dora or bits_of(folder) else SHARED


def _is_linear_lora(config: Any) -> bool:
    """Say whether small matrices at linear layers are all there is: no biases, embeddings or copied modules."""
    return config.peft_type == PeftType.LORA and not (
        config.lora_bias or config.bias != "none" or config.modules_to_save or config.trainable_token_indices
    )


def load_tuned(base: Path, folder: Path, dtype: torch.dtype) -> Any:
    """Return the tuned model in evaluation mode, with weights of its own; raises ThumbwheelError `no_adapter`."""
    if not is_tuned(folder):
        raise ThumbwheelError("no_adapter", f"The folder {folder} holds no tuned model.", "Train one.")
    if not (folder / ADAPTER).exists():
        return load_model(folder, dtype)
    bits = bits_of(folder)
    model = load_quantised(base, dtype, bits) if bits else load_model(base, dtype)
    tuned = PeftModel.from_pretrained(model, str(folder))
    tuned.eval()
    return tuned


def bytes_of(base: Path, folder: Path, dtype: torch.dtype) -> int:
    """Return about how many bytes a model of its own takes in memory: its weights files, as `dtype`, or quantised."""
    whole = not (folder / ADAPTER).exists()
    stored = sum(file.stat().st_size for file in (folder if whole else base).glob("*.safetensors"))
    config = json.loads(((folder if whole else base) / WHOLE).read_text("utf-8"))
    width = {"float32": 4, "bfloat16": 2, "float16": 2}.get(str(config.get("dtype") or config.get("torch_dtype")), 2)
    bits = 0 if whole else bits_of(folder)
    return int(stored / width * (bits / 8 if bits else dtype.itemsize))
