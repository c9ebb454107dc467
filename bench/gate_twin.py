"""The promotion rule once more, for ten thousand tests at a time: written apart from `trials/`, in numpy.

In: who picked what, pick after pick, as arrays; every pick counts. Out: each test's decision and when it fell. A test
and `bench.gate` compare it with `trials.trial` on the same histories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RUNNING, PROMOTE, REJECT, HELD, HELD_FOR_ONE = range(5)
STATES = ("running", "promote", "reject", "held", "held")
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Histories:
    """`rater` (small numbers) and `won`, both tests x picks; `gap_us` between two picks."""

    rater: NDArray[np.int16]
    won: NDArray[np.bool_]
    gap_us: int

    def __len__(self) -> int:
        return len(self.rater)


@dataclass(frozen=True)
class Outcome:
    """Each test's state (one of the constants), decisive picks and wins at its decision."""

    state: Ints
    picks: Ints
    wins: Ints


class _Books:
    """What is known of each test after some picks."""

    def __init__(self, tests: int, raters: int) -> None:
        self.wins = np.zeros((tests, raters))
        self.n = np.zeros((tests, raters))
        self.latest = np.full((tests, raters), -1)
        # ln prod B(w, l) / B(a, b) over raters with more than ten picks.
        self.own = np.zeros(tests)
        # All wins, and those among the first ten of each rater.
        self.all_wins = np.zeros(tests)
        self.all_first = np.zeros(tests)
        self.all_first_n = np.zeros(tests)

    def add(self, rater: NDArray[np.int16], won: NDArray[np.bool_], step: int) -> None:
        at = (np.arange(len(rater)), rater)
        wins, n = self.wins[at], self.n[at]
        later = n >= 10
        # B(w + 2, l + 1) / B(w + 1, l + 1) = (w + 1) / (n + 2): what the rater's own picks so far foretold.
        foretold = np.where(won, wins + 1, n - wins + 1) / (n + 2)
        self.own += np.where(later, np.log(foretold), 0.0)
        self.all_wins += won
        self.all_first += won & ~later
        self.all_first_n += ~later
        self.wins[at], self.n[at] = wins + won, n + 1
        self.latest[at] = step

    def log_n(self, n: int) -> Floats:
        first = self.all_first
        pooled = betaln(self.all_wins + 1, n - self.all_wins + 1)
        apart = betaln(first + 1, self.all_first_n - first + 1) + self.own
        found: Floats = np.logaddexp(pooled, apart) - np.log(2)
        return found


def run(histories: Histories, k: int = 1, min_rate: float = 0.55, wait_days: float = 3.0) -> Outcome:
    """Return the outcome of each test, looked at after every pick."""
    tests, most = histories.rater.shape
    books = _Books(tests, int(histories.rater.max()) + 1)
    needed = np.log(10 * k * (k + 1))
    state = np.zeros(tests, np.int64)
    picks = np.full(tests, most)
    wins = np.zeros(tests, np.int64)
    won_by = np.zeros(tests, np.int64)
    until = np.full(tests, np.iinfo(np.int64).max)
    won_since = np.zeros(tests, np.int64)
    for step in range(most):
        now = (step + 1) * histories.gap_us
        waited = (state == RUNNING) & (until <= now)
        state[waited], picks[waited] = HELD_FOR_ONE, step
        wins[waited] = books.wins[waited].sum(1)
        books.add(histories.rater[:, step], histories.won[:, step], step)
        if step + 1 < 40:
            continue
        side = np.zeros(tests, np.int64)
        log_n = books.log_n(step + 1)
        open_rows = np.flatnonzero((state == RUNNING) & (log_n + (step + 1) * np.log(2) >= needed))
        if len(open_rows):
            side[open_rows] = _sides(books, open_rows, log_n[open_rows] - needed, min_rate)
        others, latest = _others(books, np.flatnonzero(side))
        has_side = np.flatnonzero(side)
        won_since[has_side] = np.where(won_by[has_side] == side[has_side], won_since[has_side], now)
        won_by = side
        until[:] = np.iinfo(np.int64).max
        last = np.maximum(won_since[has_side], np.where(latest >= 0, (latest + 1) * histories.gap_us, 0))
        until[has_side] = last + round(wait_days * DAY_US)
        settled = has_side[(others == 0) | (others >= 20)]
        state[settled], picks[settled] = side[settled], step + 1
        wins[settled] = books.wins[settled].sum(1)
        if not (state == RUNNING).any():
            break
    rest = state == RUNNING
    state[rest] = np.where(won_by[rest] > 0, HELD_FOR_ONE, HELD)
    wins[rest] = books.wins[rest].sum(1)
    return Outcome(state, picks, wins)


def _others(books: _Books, rows: Ints) -> tuple[Floats, Ints]:
    """Return the picks of all but the busiest rater, and the step of the newest of them (-1: none)."""
    n, latest = books.n[rows], books.latest[rows].copy()
    busiest = n.argmax(1)
    latest[np.arange(len(rows)), busiest] = -1
    return n.sum(1) - n.max(1, initial=0), latest.max(1, initial=-1)


def _sides(books: _Books, rows: Ints, spare: Floats, min_rate: float) -> Ints:
    """Return which side has won in these rows: that of the weighted rate, if its largest likelihood is <= `spare`."""
    n, wins = books.n[rows], books.wins[rows]
    small = n < 10
    strata_n = np.column_stack([np.where(small, 0, n), (n * small).sum(1)])
    strata_w = np.column_stack([np.where(small, 0, wins), (wins * small).sum(1)])
    weight = np.column_stack([np.where(small, 0, 10), (n * small).sum(1)])
    weight = weight / weight.sum(1, keepdims=True)
    rate = (weight * strata_w / np.maximum(strata_n, 1)).sum(1)
    up = (rate > 0.5)[:, None]
    ours = np.where(up, strata_w, strata_n - strata_w)
    most = _largest(ours, strata_n, weight)
    crossed = most <= spare
    enough = rate >= min_rate - 1e-12
    return np.where(crossed & up[:, 0] & enough, PROMOTE, np.where(crossed & ~up[:, 0], REJECT, 0))


def _largest(wins: Floats, n: Floats, weight: Floats) -> Floats:
    """Return the largest log likelihood of rates whose weighted mean is 1/2, for rows with a mean of at least that."""
    low, high = np.zeros(len(n)), 2 * wins.sum(1)
    for _ in range(40):
        middle = (low + high) / 2
        above = (weight * _rates(wins, n, weight * middle[:, None])).sum(1) > 0.5
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    rates = _rates(wins, n, weight * high[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        ours = np.where(wins > 0, wins * np.log(rates), 0)
        theirs = np.where(n > wins, (n - wins) * np.log1p(-rates), 0)
    found: Floats = (ours + theirs).sum(1)
    return found


def _rates(wins: Floats, n: Floats, pull: Floats) -> Floats:
    root = n + pull + np.sqrt((n - pull) ** 2 + 4 * pull * (n - wins))
    return 2 * wins / np.maximum(root, 1e-300)
