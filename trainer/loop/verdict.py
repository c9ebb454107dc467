"""In: an item of `GET /api/v1/support`. Out: what the trainer does about its challenger, and why, in a sentence.

The rule itself is in `trials/rule.py`; the processor applies it to every pick, and the item's `state` is its decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError

_REASONS = {
    "promote": "Won its blind test: {wins} of {n} decisive picks for it.",
    "reject": "Lost its blind test: {wins} of {n} decisive picks for it.",
    "held": "Undecided after {n} decisive picks: {wins} for it.",
    "running": "{wins} of {n} decisive picks for it so far.",
}


@dataclass(frozen=True)
class Verdict:
    """A decision (`running`, `promote`, `reject` or `held`) and the sentence that says why."""

    decision: str
    reason: str


def read_verdict(item: Mapping[str, Any]) -> Verdict:
    """Return the verdict of a support item; raises ThumbwheelError for a state this release does not know."""
    decision, wins = item.get("state"), int(item["wins"])
    if decision not in _REASONS:
        raise ThumbwheelError(
            "unknown_state", f"The console calls a blind test {decision!r}.", "Run the same release everywhere."
        )
    return Verdict(decision, _REASONS[decision].format(wins=wins, n=wins + int(item["losses"])))
