"""The ways of tuning, in one table: a name in, its three functions out."""

from __future__ import annotations

from contract.errors import ThumbwheelError
from trainer.tuning import lora
from trainer.tuning.shape import Tuning

DEFAULT = "lora"
TUNINGS = {tuning.name: tuning for tuning in (Tuning("lora", lora.prepare, lora.changed, lora.save),)}


def find_tuning(name: str) -> Tuning:
    """Return the tuning of that name; raises ThumbwheelError `bad_setting`."""
    if name not in TUNINGS:
        raise ThumbwheelError("bad_setting", f"Unknown tuning {name!r}.", f"Use {', '.join(TUNINGS)}.", "tuning")
    return TUNINGS[name]
