"""In: an item of `GET /api/v1/support`. Out: what the trainer does about its challenger, and why, in a sentence.

The rule itself is in `trials/rule.py`; the processor applies it to every pick, and the item's `state` is its decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError
from trials.rule import State

_STATES = ("promote", "reject", "held", "running")
_OF = "{wins} of {n} decisive picks for it, by {people}"
# By the reason's key; those of a test that runs say how it stands.
_REASONS = {
    "won": f"Won its blind test: {_OF}.",
    "lost": f"Lost its blind test: {_OF}.",
    "picks_used_up": f"Undecided after as many picks as a test may take: {_OF}.",
    "time_used_up": f"Undecided after {{trial_days:g}} days: {_OF}.",
    "won_for_one_rater": (
        f"Won for one rater only: {_OF}; {{others}} of the others, and a decision needs {{min_others}}. "
        "Who manages models may promote it by name."
    ),
    "lost_for_one_rater": f"Lost for one rater only: {_OF}; {{others}} of the others, a decision needs {{min_others}}.",
}
_STANDING = f"{_OF} so far."


@dataclass(frozen=True)
class Verdict:
    """A decision (`running`, `promote`, `reject` or `held`) and the sentence that says why."""

    decision: State
    reason: str


def read_verdict(item: Mapping[str, Any]) -> Verdict:
    """Return the verdict of a support item; raises ThumbwheelError for a state this release does not know."""
    decision = item.get("state")
    if decision not in _STATES:
        raise ThumbwheelError(
            "unknown_state", f"The console calls a blind test {decision!r}.", "Run the same release everywhere."
        )
    reason = item["reason"]
    text = _STANDING if decision == "running" else _REASONS.get(reason["key"], _STANDING)
    raters = int(reason["raters"])
    return Verdict(decision, text.format(**reason, people="one rater" if raters == 1 else f"{raters} raters"))
