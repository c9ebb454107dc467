"""The base in 8 or 4 bits by bitsandbytes, on CPU and GPU alike (Dettmers et al. 2023, 2305.14314).

In: the folder of a base and the number of bits. Out: the model with quantised linear layers, the head excepted. It
answers a little differently from the base itself, so an adapter that was trained on it is judged and served on it.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from contract.errors import ThumbwheelError

BITS = (4, 8)


def check_quantised() -> None:
    """Raise ThumbwheelError `missing_library` where bitsandbytes is not installed."""
    if find_spec("bitsandbytes") is None:
        raise ThumbwheelError(
            "missing_library", "Quantised bases need bitsandbytes, which is not installed.",
            "Run: pip install bitsandbytes, or use --tuning lora.",
        )  # fmt: skip


def load_quantised(folder: Path, dtype: torch.dtype, bits: int) -> Any:
    """Return the model in evaluation mode with linear layers of `bits` bits; raises ThumbwheelError."""
    check_quantised()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # It says with every layer that it casts to float16, which is how it works.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if bits == 4:
        how = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    else:
        how = BitsAndBytesConfig(load_in_8bit=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=how, device_map={"": device})
    _keep_one_arithmetic(model)
    model.eval()
    return model


def _keep_one_arithmetic(model: Any) -> None:
    """Have a 4-bit layer compute the same way while it trains, is judged and is served.

    On CPUs with AVX-512 BF16 bitsandbytes repacks a layer at its first evaluation and rounds its scales, for good.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
