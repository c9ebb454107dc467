"""The ways of tuning, in one table: a name in; its settings, how it is served, what it cannot do, its functions out.

Names, settings and refusals need no torch, so that the service loop starts without it and refuses a run before it
begins; `parts()` imports the rest. `TrainTuning` in `contract/facts.py` is what may travel;
`tests/trainer/test_methods.py` compares it with this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.errors import ThumbwheelError
from trainer.tuning import settings

if TYPE_CHECKING:
    from trainer.tuning.shape import Parts

DEFAULT = "lora"
# LoRA learns at about ten times the rate that suits the weights themselves (Schulman et al. 2025, "LoRA Without
# Regret").
WHOLE_RATE = 0.1
# A few tokens are all there is to move: Lester et al. 2021 train them at 0.3, LoRA's usual rate is some thousandths.
VIRTUAL_RATE = 10.0
# Measured by bench/tunings.py, each at its best rate.
WEAK = (
    "Weak: in 60 steps on a tiny model the preference loss fell from 0.69 to {loss}, with LoRA to 0.21. "
    "Take lora unless you know why not."
)


@dataclass(frozen=True)
class Tuning:
    """One way of tuning. `together`: its adapters share a batch with the base and with one another.

    `continues`: a later run may go on from its adapter. `rate` scales the recipe's learning rate, where a run names
    none. `virtual`: what is tuned are virtual tokens. `warning` is said with every run. `bits`: of a quantised base.
    """

    name: str
    settings: type
    parts: Callable[[], Parts]
    together: bool = True
    continues: bool = True
    virtual: bool = False
    rate: float = 1.0
    warning: str = ""
    bits: int = 0

    @property
    def chains(self) -> bool:
        """Say whether one stage of a run can go on from what the stage before made: an adapter, not whole weights."""
        return self.settings is settings.LoraSettings

    @property
    def served(self) -> str:
        """Return in words how its adapters are served."""
        if self.together:
            return "beside its base, in one batch"
        return f"as a model of its own, on the base in {self.bits} bits" if self.bits else "as a model of its own"


def _lora() -> Parts:
    from trainer.tuning import lora

    return lora.PLAIN


def _rslora() -> Parts:
    from trainer.tuning import lora

    return lora.RANK_STABLE


def _dora() -> Parts:
    from trainer.tuning import lora

    return lora.DECOMPOSED


def _qlora8() -> Parts:
    from trainer.tuning import qlora

    return qlora.EIGHT


def _qlora4() -> Parts:
    from trainer.tuning import qlora

    return qlora.FOUR


def _full() -> Parts:
    from trainer.tuning import whole

    return whole.FULL


def _frozen() -> Parts:
    from trainer.tuning import whole

    return whole.FROZEN


def _progressive() -> Parts:
    from trainer.tuning import progressive

    return progressive.PARTS


def _prompt() -> Parts:
    from trainer.tuning import virtual

    return virtual.PROMPT


def _ptuning() -> Parts:
    from trainer.tuning import virtual

    return virtual.P_TUNING


def _prefix() -> Parts:
    from trainer.tuning import virtual

    return virtual.PREFIX


def _virtual(name: str, parts: Callable[[], Parts], loss: str) -> Tuning:
    return Tuning(
        name, settings.PromptSettings, parts, continues=False, virtual=True, rate=VIRTUAL_RATE,
        warning=WEAK.format(loss=loss),
    )  # fmt: skip


TUNINGS = {
    tuning.name: tuning
    for tuning in (
        Tuning("lora", settings.LoraSettings, _lora),
        Tuning("rslora", settings.LoraSettings, _rslora),
        Tuning("dora", settings.LoraSettings, _dora, together=False),
        Tuning("qlora8", settings.LoraSettings, _qlora8, together=False, bits=8),
        Tuning("qlora4", settings.LoraSettings, _qlora4, together=False, bits=4),
        Tuning("full", settings.FullSettings, _full, together=False, rate=WHOLE_RATE),
        Tuning("frozen", settings.FrozenSettings, _frozen, together=False, rate=WHOLE_RATE),
        Tuning("progressive", settings.ProgressiveSettings, _progressive, together=False, rate=WHOLE_RATE),
        _virtual("prompt", _prompt, "0.67"),
        _virtual("p-tuning", _ptuning, "0.67"),
        _virtual("prefix", _prefix, "0.62"),
    )
}
# Ways that are known elsewhere and not offered, with the reason.
NOT_OFFERED = {
    "pissa": "PiSSA changes the base's own weights, so the reference of a preference run is wrong (its first loss is "
    "0.70 and not ln 2) and its adapter cannot be served beside the base.",
    "olora": "OLoRA changes the base's own weights, so the reference of a preference run is wrong (its first loss is "
    "0.71 and not ln 2) and its adapter cannot be served beside the base.",
    "lora-ga": "LoRA-GA changes the base's own weights, so its adapter cannot be served beside the base.",
}


def find_tuning(name: str) -> Tuning:
    """Return the tuning of that name; raises ThumbwheelError `bad_setting`."""
    if why := NOT_OFFERED.get(name.lower().replace("_", "-")):
        raise ThumbwheelError("bad_setting", why, "Use lora.", "tuning")
    if name not in TUNINGS:
        raise ThumbwheelError("bad_setting", f"Unknown tuning {name!r}.", f"Use {', '.join(TUNINGS)}.", "tuning")
    return TUNINGS[name]
