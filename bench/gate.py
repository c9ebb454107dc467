"""How often is the promotion rule wrong, and how soon is it right? Prints the whole table, looked at after every pick.

    python -m bench.gate [--runs 10000] [--seed 1]
    python -m bench.gate --picks [--runs 4000]     the table of picks needed, for trials/picks.py

A row fails above 5 % wrong promotions or wrong rejections; the interval behind each share is Wilson's. Teams of raters
go through a vectorised twin of the rule, and a part of every row (column `rule`) also through the rule itself, pick
after pick: the two must agree. Rows about ghosts, settings, retractions and repeats are ballots and go through the rule
itself, all of them. Exit 1 when a row fails or twin and rule differ. 10,000 runs take about 20 minutes on two cores,
300 about one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from bench import gate_twin as twin
from bench.gate_rows import CELLS, PICKS, ROWS, Rng, Row, ballots_of, drawn
from trials.intervals import wilson
from trials.rule import Rule
from trials.trial import Trial
from trials.votes import Ballot, in_order

LIMIT = 0.05
CHUNK = 5000
# So many runs of a chunk also go through the rule itself, or one in fifty where that is more.
CHECKED = 20
ONE = "for_one_rater"


@dataclass
class Result:
    """What became of the runs of a row; `picks` until promotion (of all runs: beyond the last where there is none)."""

    runs: int = 0
    promoted: int = 0
    rejected: int = 0
    held_for_one: int = 0
    by_rule: int = 0
    differ: int = 0
    picks: list[int] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Take in another part of the same row."""
        self.runs += other.runs
        self.promoted += other.promoted
        self.rejected += other.rejected
        self.held_for_one += other.held_for_one
        self.by_rule += other.by_rule
        self.differ += other.differ
        self.picks += other.picks


def by_rule(ballots: Sequence[Ballot], rule: Rule) -> tuple[str, int, int, bool]:
    """Return (state, decisive picks, wins, held for one rater) by the production rule, looked at after every ballot."""
    trial = Trial(rule, started=0)
    for ballot in in_order(ballots):
        if trial.take(ballot) != "running":
            break
    found = trial.decision()
    return found.state, found.n, found.wins, ONE in found.reason.key


def by_twin(found: twin.Outcome, test: int) -> tuple[str, int, int, bool]:
    """Return the same by the twin."""
    state = int(found.state[test])
    return twin.STATES[state], int(found.picks[test]), int(found.wins[test]), state == twin.HELD_FOR_ONE


def measure(row: Row, rng: Rng, runs: int, checked: int | None = None) -> Result:
    """Return what becomes of so many runs of a row."""
    if row.events is not None:
        found = [by_rule(row.events(rng), row.rule) for _ in range(runs)]
        states = np.array([state for state, *_ in found])
        return Result(
            runs, int((states == "promote").sum()), int((states == "reject").sum()), sum(one for *_, one in found),
            by_rule=runs, picks=[n if state == "promote" else PICKS + 1 for state, n, *_ in found],
        )  # fmt: skip
    assert row.draw is not None
    checked = max(CHECKED, runs // 50) if checked is None else checked
    promoted, rejected = np.zeros(runs, bool), np.zeros(runs, bool)
    result = Result(runs)
    for k in range(1, row.challengers + 1):
        histories = row.draw(rng, runs)
        outcome = twin.run(histories, k)
        promoted |= outcome.state == twin.PROMOTE
        rejected |= outcome.state == twin.REJECT
        result.held_for_one += int((outcome.state == twin.HELD_FOR_ONE).sum())
        few = range(min(runs, max(1, checked // row.challengers)))
        result.by_rule += len(few)
        result.differ += sum(by_rule(ballots_of(histories, test), Rule(k=k)) != by_twin(outcome, test) for test in few)
        if row.challengers == 1:
            result.picks = np.where(outcome.state == twin.PROMOTE, outcome.picks, PICKS + 1).tolist()
    result.promoted, result.rejected = int(promoted.sum()), int(rejected.sum())
    return result


def part(task: tuple[int, int, int, int]) -> tuple[int, Result]:
    """Measure one part of one row, with random numbers of its own."""
    index, chunk, runs, seed = task
    return index, measure(ROWS[index], np.random.default_rng([seed, index, chunk]), runs)


def parts(rows: Sequence[int], runs: int, seed: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the tasks that make up these rows."""
    for index in rows:
        for chunk, start in enumerate(range(0, runs, CHUNK)):
            yield index, chunk, min(CHUNK, runs - start), seed


def share(number: int, runs: int, wrong: bool) -> str:
    """Return a share with its Wilson interval, marked where it is an error."""
    low, high = wilson(number, runs)
    mark = "!" if wrong and number > LIMIT * runs else ("*" if wrong else " ")
    return f"{number / runs:6.1%} ({low:5.1%} to {high:5.1%}){mark}"


def line(row: Row, found: Result) -> str:
    """Return one line of the table."""
    median = float(np.median(found.picks)) if found.picks else PICKS + 1
    cells = [
        f"{row.name:<40}", share(found.promoted, found.runs, "promoted" in row.wrong),
        share(found.rejected, found.runs, "rejected" in row.wrong), f"{found.held_for_one / found.runs:6.1%}",
        f"{median:6.0f}" if median <= PICKS else "     -", f"{found.by_rule:6}",
    ]  # fmt: skip
    return "  ".join(cells) + (f"  {found.differ} DIFFER FROM THE TWIN" if found.differ else "")


def fails(row: Row, found: Result) -> bool:
    """Say whether a row is wrong too often, or rule and twin differ on it."""
    numbers = {"promoted": found.promoted, "rejected": found.rejected}
    return found.differ > 0 or any(numbers[wrong] > LIMIT * found.runs for wrong in row.wrong)


def main(runs: int, seed: int) -> int:
    """Print the table; return 1 when a row fails."""
    started = time.monotonic()
    print(f"{runs:,} runs a row, {PICKS} picks at most; * is an error, ! one above {LIMIT:.0%}")
    print("for one: held since one rater alone decided it; median: picks to promotion; rule: runs by the rule itself")
    print(f"{'':<40}  {'promoted':^25}  {'rejected':^25}  for one  median    rule")
    results = [Result() for _ in ROWS]
    failed, printed = [], 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for index, found in pool.map(part, parts(range(len(ROWS)), runs, seed)):
            results[index].add(found)
            if results[index].runs < runs:
                continue
            row = ROWS[index]
            if not printed or ROWS[index - 1].group != row.group:
                print(f"-- {row.group}")
            print(line(row, results[index]), flush=True)
            printed += 1
            if fails(row, results[index]):
                failed.append(f"{row.group}, {row.name}")
    print(f"{time.monotonic() - started:.0f} s")
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return int(bool(failed))


def cell(task: tuple[int, float, int, int]) -> tuple[int, float, int | None]:
    """Return the median picks to promotion of one cell; None where most tests are not promoted."""
    raters, rate, runs, seed = task
    rng = np.random.default_rng([seed, raters, round(100 * rate)])
    made = drawn(raters, 0.1, "even", rate)
    picks: list[int] = []
    for start in range(0, runs, CHUNK):
        outcome = twin.run(made(rng, min(CHUNK, runs - start)))
        picks += np.where(outcome.state == twin.PROMOTE, outcome.picks, PICKS + 1).tolist()
    median = int(np.ceil(np.median(picks)))
    return raters, rate, median if median <= PICKS else None


def print_picks(runs: int, seed: int) -> int:
    """Print the table of picks needed as it stands in trials/picks.py."""
    table: dict[int, dict[float, int | None]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for raters, rate, median in pool.map(cell, [(*one, runs, seed) for one in CELLS]):
            table.setdefault(raters, {})[rate] = median
    for raters, row in table.items():
        print(f"    {raters}: {row},")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=None, help="10,000 a row, 4,000 a cell of --picks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picks", action="store_true", help="print the table of picks needed instead")
    arguments = parser.parse_args()
    if arguments.picks:
        sys.exit(print_picks(arguments.runs or 4_000, arguments.seed))
    sys.exit(main(arguments.runs or 10_000, arguments.seed))
