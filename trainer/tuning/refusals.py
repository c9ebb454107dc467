"""What no run can do, refused before it begins: a tuning and the run's params in; its settings out. Needs no torch.

Each of these trains with curves that look fine, or crashes after minutes, in the libraries underneath.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.errors import ThumbwheelError
from trainer.tuning.settings import make_settings
from trainer.tuning.table import Tuning


def ready(tuning: Tuning, params: Mapping[str, Any]) -> Any:
    """Return the tuning's settings; raises ThumbwheelError `bad_setting` for what cannot be trained together."""
    _refuse_liger(params)
    if tuning.virtual and params.get("packing"):
        raise ThumbwheelError(
            "bad_setting", f"packing and {tuning.name} do not go together: the virtual tokens would stand before a "
            "pack of many demonstrations, and teach nothing of a single one.",
            "Leave packing out, or use --tuning lora.", "packing",
        )  # fmt: skip
    if tuning.name == "prefix" and params.get("checkpointing"):
        raise ThumbwheelError(
            "bad_setting", "checkpointing and prefix do not go together: a prefix lives in the key-value cache, which "
            "checkpointing throws away.",
            "Leave checkpointing out, or use --tuning lora.", "checkpointing",
        )  # fmt: skip
    return make_settings(tuning.name, tuning.settings, params)


def _refuse_liger(params: Mapping[str, Any]) -> None:
    for name in ("liger", "use_liger_kernel"):
        if params.get(name):
            raise ThumbwheelError(
                "bad_setting", f"{name} is not offered: Liger needs a GPU with Triton, and its fused losses know no "
                "weight per row.", "Leave it out.", name,
            )  # fmt: skip


def checkpointing(tuning: Tuning, params: Mapping[str, Any]) -> bool | None:
    """Return whether the run recomputes activations: as asked, never with a prefix, else as the machine likes it."""
    wanted = params.get("checkpointing")
    if wanted is not None and not isinstance(wanted, bool):
        raise ThumbwheelError(
            "bad_setting", f"checkpointing={wanted!r} is malformed.", "It looks like true.", "checkpointing"
        )
    return False if tuning.name == "prefix" else wanted
