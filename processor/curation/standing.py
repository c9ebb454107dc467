"""In: nothing. Out: what is said of an item of a task, as rows, and where an item stands: the words of `items`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# An item passes "agreed" at once: on to its review, its spot check, or being settled.
Standing = Literal[
    "open", "in_review", "in_batch", "settled", "returned", "disputed", "unanswerable",
]  # fmt: skip
STANDINGS: tuple[Standing, ...] = (
    "open", "returned", "disputed", "in_review", "in_batch", "settled", "unanswerable",
)  # fmt: skip
Why = Literal[
    "waits", "below_agreement", "rejected", "dropped", "skipped", "nobody_left", "review", "no_reviewer", "batch",
    "settled", "adjudicated",
]  # fmt: skip
SKIPPED = "@skipped"
NOBODY: frozenset[str] = frozenset()
# Two people never write the same words: these are no ground to call them in disagreement.
FREE = frozenset({"@correction", "@spans"})


class ItemAnswer(NamedTuple):
    """One answer that counts. `value` is canonical JSON; `at` orders answers: (micros, event id).

    `live`: said of the product's reply, not in the task; the first answer of the item, with its tier.
    """

    event_id: str
    label: str
    value: str
    actor_id: str
    actor_kind: str
    stage: int
    round: int
    at: tuple[int, str]
    live: bool = False


class ItemReview(NamedTuple):
    """A reviewer's or adjudicator's decision that counts; `answers` is canonical JSON by label."""

    event_id: str
    kind: str
    verdict: str | None
    answers: Mapping[str, str]
    return_to: str | None
    target: str | None
    actor_id: str
    actor_kind: str
    stage: int
    round: int
    at: tuple[int, str]


class ItemBatch(NamedTuple):
    """A spot check that the item was in, or in the sample of; `verdict` is None until there is one."""

    batch_id: str
    stage: int
    at: tuple[int, str]
    sampled: bool
    verdict: str | None = None
    scope: str = "all"

    @property
    def returns(self) -> bool:
        """Say whether its verdict sends the item back."""
        return self.verdict == "reject" and (self.sampled or self.scope == "all")


@dataclass(frozen=True, kw_only=True)
class ItemState:
    """Where an item stands.

    `people` answered this stage and round, in order: the first `counted` of the `wanted` count, the others are extra
    (their answers are seen by `agreement` and `values`). `voters` answered it in any round, so decide nothing about
    it; `deciders` decided about it, so answer it no more. A returned item goes to `only` these people, or, with
    `others`, to people who have not answered it. `missing`: who could still do what it waits for, where people are
    named.
    """

    state: Standing
    stage: int
    round: int = 0
    counted: int = 0
    wanted: int = 0
    people: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    voters: frozenset[str] = NOBODY
    deciders: frozenset[str] = NOBODY
    only: frozenset[str] = NOBODY
    others: bool = False
    missing: tuple[str, ...] = ()
    agreement: float | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)
    why: Why = "waits"

    @property
    def extra(self) -> tuple[str, ...]:
        """Return who answered though no more answers were needed."""
        return self.people[self.counted :]

    @property
    def takes_answers(self) -> bool:
        """Say whether somebody may answer it next."""
        return self.state in ("open", "returned") and self.counted < self.wanted

    def may_answer(self, person: str) -> bool:
        """Say whether this person may answer it next: not twice in a round, and not after deciding about it."""
        if not self.takes_answers or person in self.people or person in self.skipped or person in self.deciders:
            return False
        return (not self.only or person in self.only) and not (self.others and person in self.voters)

    def may_decide(self, person: str) -> bool:
        """Say whether this person may review, adjudicate or spot-check it: nobody decides about own answers."""
        return person not in self.voters
