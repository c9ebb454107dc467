"""Whether a preference run begins where its reference is: the one look that shows a wrong reference.

Before the first step policy and reference are the same, so each preference loss has one value: DPO's sigmoid loss ln 2
(Rafailov et al. 2023, equation 7 at margin 0), KTO's a half of its weights (2402.01306, equation 7). An initialisation
that moves the base, or a reference loaded from elsewhere, shows here and nowhere later (trl#5222, trl#6591).
"""

from __future__ import annotations

from contract.errors import ThumbwheelError

# PiSSA's first loss is 0.010 off, OLoRA's 0.021; rounding in bfloat16 is far below.
MOST_OFF = 0.005


def check_first(loss: float, expected: float) -> None:
    """Raise ThumbwheelError `wrong_reference` where the first preference loss is not what it must be."""
    if not abs(loss - expected) <= MOST_OFF:
        raise ThumbwheelError(
            "wrong_reference", f"The first preference loss is {loss:.4f} and not {expected:.4f}: the run would learn "
            "against a reference that is not where it starts.",
            "Train from the base, with --tuning lora.",
        )  # fmt: skip
