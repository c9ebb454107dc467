"""Whether a preference run begins where its reference is: the one look that shows a wrong reference.

Before the first step policy and reference are the same model, so each preference loss has one value: DPO's sigmoid loss
ln 2 (Rafailov et al. 2023, equation 7 at margin 0), KTO's a half of its weights (2402.01306, equation 7). An
initialisation that moves the base, or a reference loaded from elsewhere, shows here and nowhere later (trl#5222,
trl#6591): PiSSA's first loss is 0.703, OLoRA's 0.714.
"""

from __future__ import annotations

import torch

from contract.errors import ThumbwheelError

# Nats a token. Both sides run the same arithmetic, so what lies between them is nothing, or another model.
MOST_APART = 0.01
MOST_OFF = 0.005
HINT = "Train from the base, with --tuning lora."


def check_same(policy: torch.Tensor, reference: torch.Tensor, tokens: torch.Tensor) -> None:
    """Raise ThumbwheelError `wrong_reference` where log-probabilities of replies (rows,) lie apart before any step."""
    apart = ((policy - reference).abs() / tokens.clamp(min=1)).max().item()
    if not apart <= MOST_APART:
        raise ThumbwheelError(
            "wrong_reference", f"The policy begins {apart:.3g} nats a token away from its reference, and not at it.",
            HINT,
        )  # fmt: skip


def check_loss(loss: float, expected: float) -> None:
    """Raise ThumbwheelError `wrong_reference` where the first preference loss is not what it must be."""
    if not abs(loss - expected) <= MOST_OFF:
        raise ThumbwheelError(
            "wrong_reference", f"The first preference loss is {loss:.4f} and not {expected:.4f}: the reference is not "
            "where the run starts.", HINT,
        )  # fmt: skip
