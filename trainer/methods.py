"""The objectives, in one table: a name in; the rows it reads, its settings and its training function out.

A new objective is a module in `trainer/objectives/` and one entry here; rows, recipes, runs and the service read this
table. Two lists cannot, because imports point one way: `TrainMethod` in `contract/facts.py`, which is what may travel
and what the command line and the console offer, and the dataset configs that `processor/datasets` writes.
`tests/trainer/test_methods.py` compares both with this table. How weights are tuned is the other axis:
`trainer/tuning/table.py`.

Names and recipes need no torch, so that the service loop starts without it; `parts()` imports the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from contract.errors import ThumbwheelError

if TYPE_CHECKING:
    from trainer.rows import DatasetFolder

AUTO = "auto"


class Parts(NamedTuple):
    """What an objective is made of.

    `read(dataset, split)` returns rows of the type `row`; `amount(rows)` how many of them count for `auto`, 0 where
    they cannot train; `config` is the dataclass of its settings;
    `train(rows, prepared, encoder, config, hardware, metrics, work)`
    returns TRL's trainer after training and the dropped rows by reason, with those that only lost turns.
    """

    row: type
    read: Callable[[DatasetFolder, str], Sequence[Any]]
    amount: Callable[[Sequence[Any]], int]
    config: type[Any]
    train: Callable[..., tuple[Any, Mapping[str, int]]]


@dataclass(frozen=True)
class Objective:
    """One entry: `reads` is the config of the dataset folder, `large` the recipe for models of a billion and more."""

    name: str
    reads: str
    large: Mapping[str, Any]
    parts: Callable[[], Parts]


def _dpo() -> Parts:
    from trainer.objectives import dpo
    from trainer.rows import DatasetFolder, Pair

    return Parts(Pair, DatasetFolder.pairs, len, dpo.PreferenceConfig, dpo.train)


def _kto() -> Parts:
    from trainer.objectives import kto
    from trainer.rows import DatasetFolder, Rated

    return Parts(Rated, DatasetFolder.rated, kto.amount, kto.ThumbConfig, kto.train)


def _sft() -> Parts:
    from trainer.objectives import sft
    from trainer.rows import DatasetFolder, Demonstration

    return Parts(Demonstration, DatasetFolder.demonstrations, len, sft.DemonstrationConfig, sft.train)


# In the order in which a run trains them: what a good reply is, which of two is better, what was waved through or off.
OBJECTIVES = (
    Objective(
        "sft", "demonstration", {"lr": 2e-4, "batch": 16, "micro_batch": 4, "max_length": 1024, "packing": True}, _sft
    ),
    Objective("dpo", "preference", {"lr": 5e-6, "batch": 16, "micro_batch": 4, "max_length": 1024}, _dpo),
    Objective("kto", "unpaired", {"lr": 5e-6, "batch": 16, "micro_batch": 8, "max_length": 1024}, _kto),
)
NAMES = tuple(objective.name for objective in OBJECTIVES)
# What may be asked for.
CHOICES = (AUTO, *NAMES)


def find_objective(name: str) -> Objective:
    """Return the objective of that name; raises ThumbwheelError `bad_setting`."""
    for objective in OBJECTIVES:
        if objective.name == name:
            return objective
    raise ThumbwheelError("bad_setting", f"Unknown method {name!r}.", f"Use {', '.join(CHOICES)}.", "method")
