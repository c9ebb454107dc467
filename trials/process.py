"""What a blind test is for, and what follows from its state. One test per scope, challenger and baseline.

`promotion`: a challenger against the champion. `rollback`: the champion against its predecessor, by the same rule with
the roles swapped: the predecessor is the side that must win. A test's picks are never carried over to another: those
that promoted a champion say nothing about whether it is worse than its predecessor.
"""

from __future__ import annotations

from typing import Literal

from trials.rule import State

Kind = Literal["promotion", "rollback"]
Consequence = Literal["none", "promote", "reject", "hold", "roll_back"]
WHOLE_PROJECT = "project"

_CONSEQUENCES: dict[tuple[Kind, State], Consequence] = {
    ("promotion", "promote"): "promote", ("promotion", "reject"): "reject", ("promotion", "held"): "hold",
    ("rollback", "promote"): "roll_back",
}  # fmt: skip


def consequence(kind: Kind, state: State) -> Consequence:
    """Return what is done about the models when a test of this kind is in this state."""
    return _CONSEQUENCES.get((kind, state), "none")
