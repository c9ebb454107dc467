"""In: how a person answered questions whose answer is known. Out: whether they work, pause, or begin again, and why.

Beginning: a person's first `onboarding` items are gold, and that many are one try. With at least `pass_mark` of them
right they work; else the next try begins, and after TRIES of them a person has to decide.

Working: the share `rate` of the items are gold. A sum grows with each wrong answer, shrinks with each right one, and is
never below 0 (Page 1954: CUSUM):

    S <- max(0, S + ln(p1 / p0))  when right,    max(0, S + ln((1 - p1) / (1 - p0)))  when wrong

p0 being the pass mark, p1 half way from there to guessing. At S >= ln(PATIENCE) the person pauses. Who keeps the pass
mark comes there by chance after PATIENCE gold answers at the least, on average (Lorden 1971). With a pass mark of 0.8
and two choices it is after about 1,100; who falls to half way pauses after about 50, and who begins to guess after
about 22. The share of all that was ever answered right would need the longer for it, the longer somebody was good.

Again: who pauses is given gold only, in tries as at the beginning, or is taken back by a person.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from scipy.special import bdtrc

from contract.curation.definitions import Gold
from contract.errors import ThumbwheelError
from trials.intervals import anytime_interval

State = Literal["onboarding", "working", "paused", "stopped"]
# One gold answer, or that a person took somebody back.
Step = Literal["right", "wrong", "resumed"]
PATIENCE = 50
TRIES = 3
# How many answers are a try for who pauses in a task without onboarding.
LEAST_TRY = 5
# With a pass mark of 1 one slip in a lifetime would be proof.
_HIGHEST = 0.99


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state after so many steps (`at`), and what it follows from: `right` of `answered` gold answers.

    Counted since the state before began, or its last try. `sum`: S of who worked. `low`, `high`: how often they are
    right, an interval that holds at every look.
    """

    at: int
    state: State
    right: int
    answered: int
    sum: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands: as in `Change`, since the state or the last try began. `changes`: all there were, in order.

    `failed`: tries without success since the state began. `limit`: S at which somebody pauses.
    """

    state: State
    right: int
    answered: int
    failed: int
    sum: float
    limit: float
    low: float
    high: float
    changes: tuple[Change, ...]


def standing(gold: Gold, steps: Iterable[Step], chance: float = 0.5) -> Standing:
    """Return the state after these steps, in the order received; `chance`: how often guessing is right.

    Where `gold.pause` is off everybody goes on working, and the figures are counted all the same. Raises `bad_gold`
    where the pass mark is no better than guessing.
    """
    if not 0 <= chance < gold.pass_mark:
        raise ThumbwheelError(
            "bad_gold", f"A pass mark of {gold.pass_mark} is no better than guessing ({chance:.2f}).", "Raise it."
        )
    member = _Member(gold, chance, "onboarding" if gold.onboarding else "working")
    for at, step in enumerate(steps, 1):
        state = "working" if step == "resumed" else member.after(step == "right")
        if state != member.state or step == "resumed":
            member.change(at, state)
    low, high = anytime_interval(member.right, member.answered - member.right)
    return Standing(
        member.state, member.right, member.answered, member.failed, member.sum, math.log(PATIENCE), low, high,
        tuple(member.changes),
    )  # fmt: skip


def chance_to_pass(gold: Gold, accuracy: float) -> float:
    """Return how often somebody who is right so often passes one try of the onboarding."""
    return float(bdtrc(_needed(gold.pass_mark, gold.onboarding) - 1, gold.onboarding, accuracy))


def is_gold(gold: Gold, state: State, secret: str, place: tuple[str, str, int]) -> bool:
    """Say whether the next item of a person is a gold question; `place`: task, person, and which of their items it is.

    Who works is given the share `rate`, by SHA-256 over the secret and the place: the same at every ask, and nobody who
    does not know the secret can tell.
    """
    if state != "working":
        return True
    drawn = hashlib.sha256(json.dumps([secret, *place]).encode()).digest()
    return int.from_bytes(drawn[:8], "big") < gold.rate * 2**64


@dataclass
class _Member:
    """A person on the way from step to step."""

    gold: Gold
    chance: float
    state: State
    right: int = 0
    answered: int = 0
    failed: int = 0
    sum: float = 0.0
    changes: list[Change] = field(default_factory=list)

    def after(self, right: bool) -> State:
        """Count one gold answer, and return the state that it leads to."""
        if self.state == "stopped":
            return "stopped"
        if self.state != "working" and self.answered == self._try():
            self.right = self.answered = 0
        self.answered, self.right = self.answered + 1, self.right + right
        if self.state == "working":
            best = min(self.gold.pass_mark, _HIGHEST)
            worse = (best + self.chance) / 2
            step = math.log(worse / best) if right else math.log((1 - worse) / (1 - best))
            self.sum = max(0.0, self.sum + step)
            return "paused" if self.gold.pause and self.sum >= math.log(PATIENCE) else "working"
        if self.answered < self._try():
            return self.state
        if self.right >= _needed(self.gold.pass_mark, self.answered) or not self.gold.pause:
            return "working"
        self.failed += 1
        return "stopped" if self.failed >= TRIES else self.state

    def change(self, at: int, state: State) -> None:
        """Enter a state, with the figures that led there."""
        low, high = anytime_interval(self.right, self.answered - self.right)
        self.changes.append(Change(at, state, self.right, self.answered, self.sum, low, high))
        self.state, self.sum = state, 0.0
        self.right = self.answered = self.failed = 0

    def _try(self) -> int:
        return self.gold.onboarding or LEAST_TRY


def _needed(pass_mark: float, answers: int) -> int:
    """Return how many right answers pass."""
    return math.ceil(round(pass_mark * answers, 9))
