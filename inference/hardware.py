"""What this machine trains with, stated in full: TRL's own defaults are those of a large GPU.

TRL 1.16 loads float32 weights, turns bf16 and gradient checkpointing on, and without a GPU raises unless
`use_cpu=True`. Checkpointing costs 2 to 4 times on two CPU cores, so it is off there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Hardware:
    """Device, weight type and the trainer arguments that follow from them."""

    device: str
    dtype: torch.dtype
    autocast_bf16: bool
    checkpointing: bool

    def arguments(self) -> dict[str, Any]:
        """Return the TrainingArguments that depend on the machine."""
        return {
            "use_cpu": self.device == "cpu",
            "bf16": self.autocast_bf16,
            "fp16": False,
            "gradient_checkpointing": self.checkpointing,
            "dataloader_pin_memory": self.device != "cpu",
            "dataloader_num_workers": 0,
        }


def find_hardware(dtype: str = "auto", checkpointing: bool | None = None) -> Hardware:
    """Return how to train here.

    `dtype` is `auto`, `float32` or `bfloat16`: the type of the frozen base weights. The adapter's weights are always
    float32 (PEFT casts them), because a bfloat16 weight loses the small steps at the end of a schedule.
    """
    if torch.cuda.is_available():
        good = torch.cuda.is_bf16_supported()
        chosen = _named(dtype) or (torch.bfloat16 if good else torch.float32)
        return Hardware("cuda", chosen, good, True if checkpointing is None else checkpointing)
    chosen = _named(dtype) or (torch.bfloat16 if _cpu_has_bf16() else torch.float32)
    return Hardware("cpu", chosen, False, bool(checkpointing))


def _named(dtype: str) -> torch.dtype | None:
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(dtype)


def _cpu_has_bf16() -> bool:
    """Say whether the CPU multiplies bfloat16 natively (AVX-512 BF16 or AMX on x86, BF16 on ARM)."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return False
    return any(flag in text for flag in ("avx512_bf16", "amx_bf16", " bf16 "))
