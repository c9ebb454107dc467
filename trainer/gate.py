"""The promotion gate: what a blind test, as counted so far, decides about its challenger.

Pure. In: an item of `GET /api/v1/support`. Out: a verdict with its reason. The rule: E = 2^n w! l! / (n+1)! reaches
20 k^2 for the k-th challenger against the same champion, w > l, n >= 40 and w / n >= 0.55 promote; the same E with
w < l rejects; still undecided after 400 decisive picks is held. Under a true rate of 1/2, E is a test martingale, so by
Ville's inequality watching it all the time promotes or rejects wrongly in at most 5 % of tests.

With several raters their votes depend on each other: promotion then needs at least five raters and the rater-clustered
95 % interval above 1/2; otherwise the result holds for these raters only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Decision = Literal["running", "promote", "reject", "held"]
NEEDED_E = 20.0
MIN_PICKS = 40
MAX_PICKS = 400
MIN_RATERS = 5


@dataclass(frozen=True)
class Evidence:
    """The counts of one process: one challenger, one baseline, one set of sampling settings."""

    wins: int
    losses: int
    k: int = 1
    raters: int = 1
    clustered_low: float | None = None

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return self.wins + self.losses


@dataclass(frozen=True)
class Verdict:
    """A decision and the sentence that says why."""

    decision: Decision
    reason: str


def log_e_value(wins: int, losses: int) -> float:
    """Return ln E, E = 2^n w! l! / (n+1)!: the Bayes factor of a uniform support rate against 1/2."""
    n = wins + losses
    return n * math.log(2) + math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)


def read_evidence(item: Mapping[str, Any]) -> Evidence:
    """Return the counts of a support item; `raters` may be a number or a list of raters."""
    raters = item.get("raters") or 0
    interval = item.get("clustered_interval")
    return Evidence(
        int(item["wins"]), int(item["losses"]), max(1, int(item.get("k") or 1)),
        raters if isinstance(raters, int) else len(raters), float(interval[0]) if interval else None,
    )  # fmt: skip


def decide(evidence: Evidence, min_rate: float = 0.55, min_picks: int = MIN_PICKS) -> Verdict:
    """Return the verdict on the counts so far; the caller acts on the first that is not `running`."""
    wins, losses, n = evidence.wins, evidence.losses, evidence.n
    crossed = log_e_value(wins, losses) >= math.log(NEEDED_E * evidence.k**2)
    counts = f"{wins} of {n} decisive picks"
    if crossed and wins < losses:
        return Verdict("reject", f"Lost its blind test: {counts} for it.")
    if crossed and n >= min_picks and wins >= min_rate * n and raters_agree(evidence):
        return Verdict("promote", f"Won its blind test: {counts} for it.")
    if n >= MAX_PICKS:
        return Verdict("held", f"Undecided after {n} decisive picks: {wins} for it.")
    if crossed and not raters_agree(evidence):
        return Verdict("running", f"{counts} for it, which holds for these {evidence.raters} raters only.")
    return Verdict("running", f"{counts} for it so far.")


def raters_agree(evidence: Evidence) -> bool:
    """Say whether the raters may carry a promotion: one alone, or five and more with an interval above 1/2."""
    if evidence.raters <= 1:
        return True
    return evidence.raters >= MIN_RATERS and evidence.clustered_low is not None and evidence.clustered_low > 0.5
