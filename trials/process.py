"""What one blind test is about: which model must beat which, for whom, and what follows from its decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trials.rule import Rule, State

Kind = Literal["promotion", "rollback"]
Consequence = Literal["none", "promote", "reject", "hold", "roll_back", "keep"]
WHOLE_PROJECT = "project"

_CONSEQUENCES: dict[tuple[Kind, State], Consequence] = {
    ("promotion", "running"): "none", ("promotion", "promote"): "promote", ("promotion", "reject"): "reject",
    ("promotion", "held"): "hold",
    ("rollback", "running"): "none", ("rollback", "promote"): "roll_back", ("rollback", "reject"): "keep",
    ("rollback", "held"): "keep",
}  # fmt: skip


@dataclass(frozen=True)
class Process:
    """One blind test: one per scope, challenger and baseline; its picks are never carried over to another.

    `challenger` is the side that must win, whatever its name: a pick of its reply is a win.
    """

    challenger: str
    baseline: str
    kind: Kind = "promotion"
    scope: str = WHOLE_PROJECT
    k: int = 1

    def rule(self, base: Rule | None = None) -> Rule:
        """Return the rule for this process, with the settings of `base`."""
        return replace(base or Rule(), k=self.k)

    def consequence(self, state: State) -> Consequence:
        """Return what is done about the models when the test is in this state."""
        return _CONSEQUENCES[self.kind, state]


def promotion(challenger: str, champion: str, k: int = 1, scope: str = WHOLE_PROJECT) -> Process:
    """Return the test of the k-th challenger against this champion that got a counted pick."""
    return Process(challenger, champion, "promotion", scope, k)


def rollback(champion: str, predecessor: str, scope: str = WHOLE_PROJECT) -> Process:
    """Return the test whether the champion is worse than its predecessor: the same rule with the roles swapped.

    A new process with picks of its own: those that promoted the champion say nothing here. Its predecessor is the side
    that must win, and one champion has one predecessor, so k is 1.
    """
    return Process(predecessor, champion, "rollback", scope)
