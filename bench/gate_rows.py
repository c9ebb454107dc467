"""The rows of `bench.gate`: teams of raters whose true rates are known, and what is thrown at a blind test.

A team's rates are drawn anew for every test, with exactly this mean and standard deviation over its people. Rows of
`Ballots` go through the production rule as events, all others are drawn as arrays for `bench.gate_twin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bench.gate_twin import Floats, Histories
from trials.rule import Rule
from trials.votes import Ballot, Side

PICKS = 400
GAP_US = 20 * 60_000_000
# Kept away from 0 and 1: nobody is that sure.
EDGE = 0.02
Rng = np.random.Generator
Expect = Literal["no difference", "better", "worse"]
Ballots = list[Ballot]


@dataclass(frozen=True)
class Row:
    """One line of the table. `draw` makes histories, `events` the ballots of one test; `challengers` in a row."""

    group: str
    name: str
    expect: Expect
    draw: Callable[[Rng, int], Histories] | None = None
    events: Callable[[Rng], Ballots] | None = None
    rule: Rule = field(default_factory=Rule)
    challengers: int = 1

    @property
    def wrong(self) -> tuple[str, ...]:
        """Return the decisions that are wrong here."""
        return {"no difference": ("promoted", "rejected"), "better": ("rejected",), "worse": ("promoted",)}[self.expect]


def team(rng: Rng, tests: int, raters: int, mean: float, sd: float) -> Floats:
    """Return true rates, tests x raters: normal, shifted and stretched to this mean and sd, drawn again outside."""
    if raters == 1 or sd == 0:
        return np.full((tests, raters), mean)
    found = np.empty((tests, raters))
    missing = np.arange(tests)
    while len(missing):
        drawn = rng.standard_normal((len(missing), raters))
        drawn -= drawn.mean(1, keepdims=True)
        rates = mean + sd * drawn / drawn.std(1, keepdims=True)
        found[missing] = rates
        missing = missing[(rates.min(1) < EDGE) | (rates.max(1) > 1 - EDGE)]
    return found


def shares_of(kind: str | Sequence[float], raters: int) -> Floats:
    """Return each rater's share of the picks: even, skewed (1, 1/2, 1/3 ...) or as given."""
    if kind == "even":
        shares = np.ones(raters)
    elif kind == "skewed":
        shares = 1 / np.arange(1, raters + 1)
    else:
        shares = np.array(kind, float)
    return shares / shares.sum()


def histories(rng: Rng, rates: Floats, shares: Floats) -> Histories:
    """Return picks of these teams: who picks next is drawn by the shares."""
    tests = len(rates)
    rater = rng.choice(len(shares), size=(tests, PICKS), p=shares).astype(np.int16)
    won = rng.random((tests, PICKS)) < np.take_along_axis(rates, rater.astype(np.int64), 1)
    return Histories(rater, won, GAP_US)


def drawn(raters: int, sd: float, kind: str | Sequence[float], mean: float = 0.5) -> Callable[[Rng, int], Histories]:
    """Return a maker of histories of such teams."""
    return lambda rng, tests: histories(rng, team(rng, tests, raters, mean, sd), shares_of(kind, raters))


def fan(share: float, fan_rate: float, rate: float) -> Callable[[Rng, int], Histories]:
    """Return a maker of histories of one rater with this share of the picks among four others."""
    shares = shares_of([share] + [(1 - share) / 4] * 4, 5)
    return lambda rng, tests: histories(rng, np.tile([fan_rate] + [rate] * 4, (tests, 1)), shares)


def ballots_of(found: Histories, test: int) -> Ballots:
    """Return one history as ballots, each on an interaction and a prompt of its own."""
    return [
        _ballot(number, f"r{found.rater[test, number]:03}", bool(found.won[test, number]), found.gap_us)
        for number in range(found.rater.shape[1])
    ]


def _ballot(number: int, rater: str, won: bool, gap_us: int = GAP_US) -> Ballot:
    at = (number + 1) * gap_us
    event = f"e{number}"
    side: Side = "win" if won else "loss"
    return Ballot(
        interaction_id=f"i{number}", actor_id=rater, event_id=event, arrived=at, moment=(at, at, event), side=side,
        prompt_group=f"g{number}",
    )  # fmt: skip


def team_ballots(rng: Rng, raters: int, sd: float, mean: float = 0.5) -> Ballots:
    """Return the ballots of one team in one test."""
    return ballots_of(drawn(raters, sd, "even", mean)(rng, 1), 0)


def _again(ballot: Ballot, event: str, minutes: int, **changes: object) -> Ballot:
    """Return another ballot on the same interaction, some minutes later."""
    at = ballot.arrived + minutes * 60_000_000
    return replace(ballot, event_id=event, arrived=at, moment=(at, at, event), **changes)  # type: ignore[arg-type]


def ghosts(side: Side, mean: float) -> Callable[[Rng], Ballots]:
    """Five names that no candidates were issued for vote on every interaction, the same way."""

    def make(rng: Rng) -> Ballots:
        honest = team_ballots(rng, 3, 0.12, mean)
        extra = [
            _again(one, f"{one.event_id}-{name}", 1, actor_id=f"ghost{name}", side=side, excluded="unsigned")
            for one in honest for name in range(5)
        ]  # fmt: skip
        return honest + extra

    return make


def unnamed_fans(rng: Rng) -> Ballots:
    """Four of ten candidates are issued for nobody, and voted for by one who always likes the challenger."""
    honest = team_ballots(rng, 3, 0.12)
    return [replace(one, named=False, side="win") if rng.random() < 0.4 else one for one in honest]


def twenty_settings(rng: Rng) -> Ballots:
    """The registered sampling setting is one of twenty; every second pick is under another."""
    honest = team_ballots(rng, 1, 0.0)
    others = [
        _again(one, f"{one.event_id}-s", 1, interaction_id=f"{one.interaction_id}-s", prompt_group=None,
               side="win" if rng.random() < 0.5 else "loss", excluded="other_settings")
        for one in honest
    ]  # fmt: skip
    return honest + others


def reader_of_counts(rng: Rng) -> Ballots:
    """A console user takes 20 % of the losing picks back an hour later; they stand."""
    honest = team_ballots(rng, 1, 0.0)
    return honest + [
        _again(one, f"{one.event_id}-u", 60, retracts=one.event_id, frozen=True)
        for one in honest if one.side == "loss" and rng.random() < 0.2
    ]  # fmt: skip


def blind_retraction(rng: Rng) -> Ballots:
    """Raters who know nothing take every fifth pick back, an hour later."""
    honest = team_ballots(rng, 3, 0.12)
    return honest + [
        _again(one, f"{one.event_id}-u", 60, retracts=one.event_id) for one in honest if rng.random() < 0.2
    ]


def blind_change(rng: Rng) -> Ballots:
    """Raters who know nothing turn every fifth pick round, an hour later."""
    honest = team_ballots(rng, 3, 0.12)
    return honest + [
        _again(one, f"{one.event_id}-c", 60, side="loss" if one.side == "win" else "win")
        for one in honest if rng.random() < 0.2
    ]  # fmt: skip


def five_prompts(rng: Rng) -> Ballots:
    """One rater asks five prompts again and again; on each the same side wins nine times of ten."""
    rates = 0.1 + 0.8 * rng.integers(0, 2, 5)
    return [
        replace(_ballot(number, "r000", bool(rng.random() < rates[number % 5])), prompt_group=f"g{number % 5}")
        for number in range(PICKS)
    ]


def half_repeated(rng: Rng) -> Ballots:
    """Three raters ask every prompt twice, and find the second time what they found the first."""
    honest = team_ballots(rng, 3, 0.12)
    return honest + [
        _again(one, f"{one.event_id}-r", 60, interaction_id=f"{one.interaction_id}-r") for one in honest[: PICKS // 2]
    ]


def leaver(rng: Rng) -> Ballots:
    """The second rater gives one pick and is never seen again; the first one goes on."""
    first, *others = team_ballots(rng, 1, 0.0, 0.7)
    return [replace(first, actor_id="r001"), *others]


def _team_rows() -> Iterator[Row]:
    yield Row("A/A", "1 rater", "no difference", drawn(1, 0, "even"))
    for raters in (2, 3, 5, 10, 20):
        for sd in (0.0, 0.12, 0.22):
            for kind in ("even", "skewed"):
                yield Row(
                    "indifferent on average", f"{people(raters)}, sd {sd:.2f}, {kind} shares", "no difference",
                    drawn(raters, sd, kind),
                )  # fmt: skip
    yield Row("indifferent on average", "150 raters, sd 0.22, even shares", "no difference", drawn(150, 0.22, "even"))
    for share in (0.92, 0.8, 0.6):
        shares = [share] + [(1 - share) / 4] * 4
        yield Row("one gives most picks", f"{share:.0%}, all at 50 %", "no difference", drawn(5, 0.0, shares))
        yield Row("one gives most picks", f"{share:.0%}, sd 0.20", "no difference", drawn(5, 0.2, shares))
    for share in (0.92, 0.8, 0.6):
        yield Row("a fan at 90 % against four at 10 %", f"{share:.0%} of picks", "worse", fan(share, 0.9, 0.1))
    for share in (0.92, 0.8, 0.6):
        yield Row("a foe at 10 % against four at 90 %", f"{share:.0%} of picks", "better", fan(share, 0.1, 0.9))


def _event_rows() -> Iterator[Row]:
    same: Expect = "no difference"
    yield Row("ghosts", "5 unsigned names for it on every pick", same, events=ghosts("win", 0.5))
    yield Row("ghosts", "5 unsigned names against, true 70 %", "better", events=ghosts("loss", 0.7))
    yield Row("ghosts", "40 % issued for nobody, all for it", same, events=unnamed_fans)
    yield Row("settings", "twenty, one of them registered", same, events=twenty_settings)
    yield Row("taken back", "20 % of losses by a reader of counts", same, events=reader_of_counts)
    yield Row("taken back", "20 % of picks, blindly", same, events=blind_retraction)
    yield Row("taken back", "20 % of picks turned round, blindly", same, events=blind_change)
    yield Row("repeated prompts", "one rater, five prompts", same, events=five_prompts)
    yield Row("repeated prompts", "three raters, every prompt twice", same, events=half_repeated)
    yield Row("somebody leaves", "after one pick, the other goes on at 70 %", "better", events=leaver)
    yield Row(
        "rollback", "champion as good as its predecessor", same, events=lambda rng: team_ballots(rng, 3, 0.12),
        rule=Rule(),
    )  # fmt: skip


def people(raters: int) -> str:
    """Return so many raters in words."""
    return "1 rater" if raters == 1 else f"{raters} raters"


def _rows() -> Iterator[Row]:
    yield from _team_rows()
    yield from _event_rows()
    for raters, sd in ((1, 0.0), (5, 0.12)):
        yield Row("ten challengers in a row", f"{people(raters)}, sd {sd:.2f}", "no difference",
                  drawn(raters, sd, "even"), challengers=10)  # fmt: skip
    for mean in (0.6, 0.7, 0.8):
        for raters in (1, 2, 3, 5, 10, 20, 150):
            name = f"true {mean:.0%}, {people(raters)}" + (", sd 0.10" if raters > 1 else "")
            yield Row("power", name, "better", drawn(raters, 0.1, "even", mean))


ROWS = tuple(_rows())
# Numbers of raters and rates of the table of picks needed.
CELLS = [(raters, rate) for raters in (1, 2, 3, 5, 10, 20, 50, 150) for rate in (0.6, 0.7, 0.8)]
