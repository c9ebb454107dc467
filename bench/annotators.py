"""Is a simulated crowd of known accuracy seen through? How fast, and how far off the accuracies are.

    python -m bench.annotators [--items 20000] [--seed 1]

20,000 items, five answers each of 200 people: right in 60 to 95 % of the cases, two who copy each other, one who always
picks the left one, one who is mostly wrong, one careful person with few answers. Out: how many items the majority and
one coin get right, how far the accuracies are off, who is flagged, and the time of one coin as a share of crowd-kit's
OneCoinDawidSkene, or, where that is not installed, of the same rounds written as plain Python. Exits with 1 when one
coin is no better than the majority, an accuracy is off by more than 0.05, a flag is missing or too much, or it is not
faster. Takes seconds.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from processor.curation.measures.answers import Answer, AnswerTable, tabulate
from processor.curation.measures.conduct import Flag, conduct
from processor.curation.reliability import Consensus, Reliability, majority, one_coin

MOST_OFF = 0.05
# Below so many answers an accuracy is not known to 0.05 by anybody.
ENOUGH = 300


@dataclass(frozen=True)
class Crowd:
    """What was simulated: the answers, the truth of each item, and how often each person's answers are right."""

    answers: list[Answer]
    truth: dict[str, int]
    right: dict[str, float]


EARNED = {
    ("copies", ("copy-a", "copy-b")), ("same_place", ("always-left",)), ("below_chance", ("mostly-wrong",)),
}  # fmt: skip
NAMED = ("copy-a", "copy-b", "always-left", "mostly-wrong", "careful")


def simulate(items: int = 20_000, people: int = 200, each: int = 5, seed: int = 1) -> Crowd:
    """Return a crowd that chooses between two replies, `each` people an item, by place on the screen.

    The two who copy say the same on every item that both answer, which is a fifteenth of all; right half the time.
    """
    chance = np.random.default_rng(seed)
    names = [f"person-{at:03}" for at in range(people - len(NAMED))] + list(NAMED)
    accuracy = np.concatenate([chance.uniform(0.6, 0.95, people - len(NAMED)), [0.5, 0.5, 0.5, 0.25, 0.85]])
    eager = np.full(people, 1.0)
    eager[-1] = min(1.0, 40 * people / (items * each))
    order = np.log(chance.random((items, people))) / eager
    together = chance.random(items) < 1 / 15
    order[np.ix_(together, [people - 5, people - 4])] = 1.0
    who = np.argpartition(-order, each, axis=1)[:, :each]
    truth = chance.integers(2, size=items)
    left = chance.integers(2, size=(items, each))
    said = np.where(chance.random((items, each)) < accuracy[who], truth[:, None], 1 - truth[:, None])
    said = np.where(who == people - 3, left, said)
    both = (who == people - 5).any(axis=1) & (who == people - 4).any(axis=1)
    copied = np.where(chance.random(items) < 0.5, truth, 1 - truth)
    said = np.where(both[:, None] & np.isin(who, [people - 5, people - 4]), copied[:, None], said)
    right: dict[str, float] = {}
    for at, name in enumerate(names):
        of = who == at
        right[name] = float((said == truth[:, None])[of].mean()) if of.any() else math.nan
    labels = [f"item-{at:06}" for at in range(items)]
    answers = [
        Answer(labels[i], names[who[i, j]], int(said[i, j]), int(said[i, j] != left[i, j]))
        for i in range(items)
        for j in range(each)
    ]
    return Crowd(answers, dict(zip(labels, truth.tolist(), strict=True)), right)


def share_right(consensus: Consensus, crowd: Crowd) -> float:
    """Return on how many items the likeliest value is the true one; a tie counts half."""
    chances = consensus.chances
    true = np.array([crowd.truth[item] for item in consensus.items])
    of_true = chances[np.arange(len(true)), true]
    best = chances.max(axis=1)
    ties = (np.abs(chances - best[:, None]) < 1e-12).sum(axis=1)
    return float(np.where(of_true >= best - 1e-12, 1 / ties, 0.0).mean())


def farthest(found: Reliability, crowd: Crowd) -> float:
    """Return by how much the accuracy of anybody with enough answers is off."""
    return max(
        abs((one.accuracy.value or 0.0) - crowd.right[one.person]) for one in found.people if one.accuracy.n >= ENOUGH
    )


def plain_rounds(answers: list[Answer], rounds: int) -> dict[str, int]:
    """Return what one coin believes of each item, by the same EM over dictionaries."""
    by_item: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for one in answers:
        by_item[one.item].append((one.person, int(one.value)))
    true = {item: sum(v for _, v in said) / len(said) for item, said in by_item.items()}
    for _ in range(rounds):
        right: dict[str, float] = defaultdict(float)
        n: Counter[str] = Counter()
        for item, said in by_item.items():
            for person, value in said:
                right[person] += true[item] if value else 1 - true[item]
                n[person] += 1
        odds = {person: math.log((right[person] + 1) / (n[person] - right[person] + 1)) for person in n}
        mean = sum(true.values()) / len(true)
        for item, said in by_item.items():
            logit = math.log(mean / (1 - mean)) + sum(odds[p] if v else -odds[p] for p, v in said)
            true[item] = 1 / (1 + math.exp(-logit))
    return {item: int(chance > 0.5) for item, chance in true.items()}


def other_way(answers: list[Answer], rounds: int) -> tuple[str, dict[str, Any], float]:
    """Return what it is compared with: its name, what it believes, and the seconds it took."""
    try:
        import pandas
        from crowdkit.aggregation.classification.dawid_skene import OneCoinDawidSkene
    except ImportError:
        started = time.perf_counter()
        return "plain Python", plain_rounds(answers, rounds), time.perf_counter() - started
    frame = pandas.DataFrame([one[:3] for one in answers], columns=["task", "worker", "label"])
    started = time.perf_counter()
    believed = OneCoinDawidSkene(n_iter=100).fit_predict(frame)
    return "crowd-kit", believed.to_dict(), time.perf_counter() - started


def table_of(found: Reliability, crowd: Crowd, flags: tuple[Flag, ...]) -> str:
    """Return the accuracy table: the named people, and the five of whom most is known wrongly."""
    of = {one.person: one for one in found.people}
    off = sorted(crowd.right, key=lambda name: -abs((of[name].accuracy.value or 0.0) - crowd.right[name]))
    shown = [*NAMED, *[name for name in off if name not in NAMED and of[name].accuracy.n >= ENOUGH][:5]]
    lines = ["person        answers   right  estimate  interval       flags"]
    for name in shown:
        one = of[name].accuracy
        told = ", ".join(sorted({flag.kind for flag in flags if name in flag.people}))
        lines.append(
            f"{name:13} {one.n:7}  {crowd.right[name]:6.3f}  {one.value:8.3f}  {one.low:.3f}-{one.high:.3f}    {told}"
        )
    return "\n".join(lines)


def wrong_flags(flags: tuple[Flag, ...]) -> list[str]:
    """Return the flags that are missing, and those on people who did nothing of the kind."""
    given = {(flag.kind, flag.people) for flag in flags}
    guilty = {person for _, people in EARNED for person in people}
    return [f"not flagged: {kind} {', '.join(people)}" for kind, people in sorted(EARNED - given)] + [
        f"flagged: {kind} {', '.join(people)}" for kind, people in sorted(given) if not guilty.issuperset(people)
    ]


def main(items: int, seed: int) -> int:
    """Print the figures; returns 1 when one is short of what is promised."""
    crowd = simulate(items, seed=seed)
    started = time.perf_counter()
    table: AnswerTable = tabulate(crowd.answers, [0, 1])
    found = one_coin(table)
    took = time.perf_counter() - started
    flags = conduct(table, found)
    name, believed, other_took = other_way(crowd.answers, found.rounds)
    best = found.consensus.best()
    alike = sum(best[item][0] == value for item, value in believed.items()) / len(believed)
    theirs = sum(crowd.truth[item] == value for item, value in believed.items()) / len(believed)
    by_majority, by_coin = share_right(majority(table), crowd), share_right(found.consensus, crowd)
    off = farthest(found, crowd)
    print(f"{len(crowd.answers):,} answers on {items:,} items by {len(table.people)} people")
    print(f"right: majority {by_majority:.4f}, one coin {by_coin:.4f}, {name} {theirs:.4f}; both alike on {alike:.4f}")
    print(f"time as a share of that of {name}: {took / other_took:.3f} ({took:.2f} of {other_took:.2f} s)")
    print(f"accuracy off by at most {off:.3f} among those with {ENOUGH} answers or more\n")
    print(table_of(found, crowd, flags))
    strange = wrong_flags(flags)
    for line in strange:
        print(line)
    return int(by_coin <= by_majority or off > MOST_OFF or bool(strange) or took >= other_took)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(main(arguments.items, arguments.seed))
