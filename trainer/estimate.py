"""What training a model of some size takes: memory, cards, and how many picks a decision takes. Needs no torch.

The rule of thumb is parameters x bytes per weight x 4 (load and run), in GiB. The finer estimate adds what each method
keeps: weights, gradients, AdamW's two moments. Neither holds activations, which grow with batch and length; measure
those on one step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError
from trials.picks import picks_needed

GIB = 2**30
CARD_GB = 24
RULE_FACTOR = 4
# Rank-16 LoRA on all linear layers trains about this share of a Llama-shaped model's weights (7e9: 40 million).
LORA_SHARE = 0.006
# Trained weights in float32: value, gradient, AdamW's two moments (Kingma and Ba 2015).
TRAINED_BYTES = 4 + 4 + 8


@dataclass(frozen=True)
class Method:
    """Bytes per weight by the rule, bytes of a weight in memory, and the share of weights that is trained."""

    rule_bytes: int
    stored_bytes: float
    trained_share: float


# 4-bit NF4 with double quantisation takes 4.127 bits a weight (Dettmers et al. 2023, section 3).
METHODS = {
    "full": Method(4, 0.0, 1.0),
    "lora": Method(2, 2.0, LORA_SHARE),
    "qlora8": Method(1, 1.0, LORA_SHARE),
    "qlora4": Method(1, 4.127 / 8, LORA_SHARE),
}


def rule_gib(parameters: float, method: str) -> float:
    """Return the rule of thumb in GiB."""
    return parameters * METHODS[method].rule_bytes * RULE_FACTOR / GIB


def finer_gib(parameters: float, method: str) -> float:
    """Return weights, gradients and optimiser in GiB, activations left out."""
    how = METHODS[method]
    return parameters * (how.stored_bytes + how.trained_share * TRAINED_BYTES) / GIB


def cards(gib: float, card_gb: float = CARD_GB) -> int:
    """Return how many cards hold so much."""
    return max(1, math.ceil(gib / card_gb))


def estimate(parameters: float, method: str, card_gb: float = CARD_GB, raters: int = 1) -> dict[str, Any]:
    """Return the estimate as JSON; raises ThumbwheelError for a size or method that is none.

    `picks_to_decide`: decisive picks in the median, by the share that the new model wins, for so many raters;
    None where most tests end undecided.
    """
    if method not in METHODS:
        raise ThumbwheelError("unknown_method", f"Unknown method {method!r}.", f"Use {', '.join(METHODS)}.")
    if not (math.isfinite(parameters) and 1e6 <= parameters <= 1e14):
        raise ThumbwheelError("bad_size", f"{parameters!r} is no number of parameters.", "Write 135M, 7B or 7e9.")
    if not (math.isfinite(card_gb) and card_gb > 0):
        raise ThumbwheelError("bad_card", f"{card_gb!r} GB is no card.", "Write --card 24.")
    rule, finer = rule_gib(parameters, method), finer_gib(parameters, method)
    return {
        "parameters": parameters, "method": method, "rule_gib": round(rule, 2),
        "rule_cards": cards(rule, card_gb), "finer_gib": round(finer, 2), "card_gb": card_gb,
        "raters": raters,
        "picks_to_decide": {f"{rate:.0%}": picks_needed(raters, rate) for rate in (0.8, 0.7, 0.6)},
    }  # fmt: skip


def parse_size(text: str) -> float:
    """Return 135M, 7B, 1.5b or 7e9 as a number; raises ThumbwheelError."""
    factors = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
    plain = text.strip().lower()
    factor = factors.get(plain[-1:], 1.0)
    try:
        return float(plain[:-1] if plain[-1:] in factors else plain) * factor
    except ValueError as error:
        raise ThumbwheelError(
            "bad_size", f"{text!r} is no number of parameters.", "Write 135M, 7B or 7e9."
        ) from error  # fmt: skip
