"""What a run trains, one objective after the other: rows by objective in; stages, and sentences that say why, out.

Pure. `auto` goes by amount: a kind of feedback makes a stage when its rows fill some batches, in the order of the
table of objectives (what a good reply is, then which of two is better, then what people waved through or off). Where
nothing is enough, the largest kind trains alone. No kind of feedback and no source drowns the others: the largest of
each is thinned to a multiple of the rest.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from contract.errors import ThumbwheelError
from trainer.methods import AUTO, OBJECTIVES, Objective, find_objective
from trainer.rows import DatasetFolder

# A stage of fewer steps moves the adapter by noise: one pair of 98 rows once made a run of one step.
LEAST_BATCHES = 4
# The largest kind, or source, has at most so many times the rows of the others; the setting `balance` says otherwise.
BALANCE = 4.0
# So many rows of one kind or source are never thinned: they drown nobody and are what a run of some minutes takes.
ALWAYS_TAKEN = 512
OVER_KINDS, OVER_SOURCES = "over_other_kinds", "over_other_sources"
T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """One objective and the rows it is given; `left_out` counts, by reason, those the plan took away."""

    objective: Objective
    rows: Sequence[Any]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def without(self, kept: Sequence[Any], reason: str) -> Stage:
        """Return the stage with only the rows `kept`, the others counted under the reason."""
        gone = len(self.rows) - len(kept)
        return replace(self, rows=kept, left_out={**self.left_out, reason: gone}) if gone else self


@dataclass(frozen=True)
class Plan:
    """The stages in order, and sentences for people: what is trained, on what, and why not more."""

    stages: tuple[Stage, ...]
    words: tuple[str, ...]


def read_rows(method: str, dataset: DatasetFolder) -> dict[str, Sequence[Any]]:
    """Return the training rows of each objective that may train; raises ThumbwheelError `no_rows` for none at all."""
    asked = OBJECTIVES if method == AUTO else (find_objective(method),)
    rows = {objective.name: objective.parts().read(dataset, "train") for objective in asked}
    if method != AUTO and not rows[method]:
        raise ThumbwheelError(
            "no_rows", f"The dataset {dataset.dataset_id} has no {asked[0].reads} rows to train {method} on.",
            "Use --method auto, or build a dataset with other kinds.",
        )  # fmt: skip
    if method == AUTO and not any(objective.parts().amount(rows[objective.name]) for objective in asked):
        raise ThumbwheelError(
            "no_rows", f"The dataset {dataset.dataset_id} holds nothing to train on.",
            "Collect picks, thumbs up and down, or edits.",
        )  # fmt: skip
    return rows


def make_plan(
    method: str, rows: Mapping[str, Sequence[Any]], batches: Mapping[str, int], balance: float, seed: int
) -> Plan:
    """Return the plan for these rows; `batches` holds the effective batch of each objective, `balance` 0 thins nothing.

    Rows are those of `read_rows`, so at least one objective has some.
    """
    words: list[str] = []
    if method == AUTO:
        stages = _chosen(rows, batches, words)
    else:
        stages = [Stage(find_objective(method), rows[method])]
    rng = random.Random(seed)
    thinned: list[str] = []
    stages = [_of_sources(stage, balance, rng, thinned) for stage in stages]
    stages = _of_kinds(stages, balance, rng, thinned)
    told = [
        f"Stage {place}: {stage.objective.name.upper()} on {len(stage.rows)} rows of the kind {stage.objective.reads}."
        for place, stage in enumerate(stages, 1)
    ]
    if len(stages) > 1:
        told.append("Each stage continues the adapter of the one before, which is also what it is compared with.")
    return Plan(tuple(stages), (*told, *words, *thinned))


def only_the_largest(plan: Plan, tuning: str) -> Plan:
    """Return the plan with its largest stage alone, for a tuning whose result no further stage can go on from."""
    if len(plan.stages) < 2:
        return plan
    kept = max(plan.stages, key=lambda stage: len(stage.rows))
    said = (
        f"The tuning {tuning} trains in one stage, so the largest of these trains alone: "
        f"{kept.objective.name.upper()} on {len(kept.rows)} rows."
    )
    return Plan((kept,), (*plan.words, said))


def _chosen(rows: Mapping[str, Sequence[Any]], batches: Mapping[str, int], words: list[str]) -> list[Stage]:
    """Return the stages that `auto` takes, unthinned, and say of the others why they are none."""
    amounts = {name: find_objective(name).parts().amount(found) for name, found in rows.items()}
    enough = [name for name, n in amounts.items() if n >= LEAST_BATCHES * batches[name]]
    if not enough:
        enough = [max(amounts, key=lambda name: amounts[name])]
        words.append("No kind of feedback has enough rows for a stage of its own, so the largest trains alone.")
    for name, found in rows.items():
        if name not in enough and found:
            words.append(_why_not(find_objective(name), len(found), amounts[name], LEAST_BATCHES * batches[name]))
    return [Stage(find_objective(name), found) for name, found in rows.items() if name in enough]


def _why_not(objective: Objective, rows: int, amount: int, least: int) -> str:
    if amount < rows:
        return (
            f"No {objective.name.upper()}: thumbs up and down are so unequal that {amount} of {rows} rows count, "
            f"and it takes {least}."
        )
    return f"No {objective.name.upper()}: {rows} rows of the kind {objective.reads}, and it takes {least}."


def _of_sources(stage: Stage, balance: float, rng: random.Random, words: list[str]) -> Stage:
    """Return the stage with its largest source thinned; rows that name no source are one source."""
    counts = Counter(row.source for row in stage.rows)
    if len(counts) < 2 or not balance:
        return stage
    source, most = counts.most_common(1)[0]
    room = _room(most, len(stage.rows) - most, balance)
    if room == most:
        return stage
    taken = _thin([row for row in stage.rows if row.source == source], room, lambda row: row.group, rng)
    kept = {row.row_id for row in taken}
    named = f"the source {source}" if source else "no named source"
    words.append(f"{most - len(taken)} rows of {named} are left out: {balance:g} times those of the others are enough.")
    return stage.without([row for row in stage.rows if row.source != source or row.row_id in kept], OVER_SOURCES)


def _of_kinds(stages: list[Stage], balance: float, rng: random.Random, words: list[str]) -> list[Stage]:
    """Return the stages with the largest thinned."""
    if len(stages) < 2 or not balance:
        return stages
    largest = max(stages, key=lambda stage: len(stage.rows))
    others = sum(len(stage.rows) for stage in stages) - len(largest.rows)
    kept = _thin(largest.rows, _room(len(largest.rows), others, balance), lambda row: row.group, rng)
    if len(kept) == len(largest.rows):
        return stages
    words.append(
        f"{len(largest.rows) - len(kept)} rows of the kind {largest.objective.reads} are left out: {balance:g} times "
        "those of the others are enough."
    )
    return [stage.without(kept, OVER_KINDS) if stage is largest else stage for stage in stages]


def _room(rows: int, others: int, balance: float) -> int:
    return min(rows, max(ALWAYS_TAKEN, int(balance * others)))


def _thin(rows: Sequence[T], room: int, group: Callable[[T], Hashable], rng: random.Random) -> list[T]:
    """Return at most `room` rows, in their order, whole groups at a time, so that the weights of a pick stay whole."""
    if len(rows) <= room:
        return list(rows)
    members: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        members.setdefault(group(row), []).append(place)
    kept: list[int] = []
    for name in rng.sample(list(members), len(members)):
        if len(kept) + len(members[name]) <= room:
            kept.extend(members[name])
    return [rows[place] for place in sorted(kept)]
