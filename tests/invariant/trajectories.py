"""Every step of small fixed runs: what the trainer does, in figures that a change of it must not move.

    python -m tests.invariant.trajectories        # records them anew, after a change that is meant to move them

In: one dataset folder and the tiny Llama of the trainer's tests, on the CPU in float32. Out: the lines of each run's
metrics file (loss, rewards, likelihoods, rate ...) in `trajectories.json`, which `test_trajectories.py` compares with,
to TOLERANCE: libraries and processors round differently.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.trainer import tiny
from tests.trainer.watched import watched_run

RECORD = Path(__file__).with_name("trajectories.json")
# Relative; losses of these runs lie at least ten times as far apart. Rewards begin at 0, so that they need a floor.
TOLERANCE, FLOOR = 1e-4, 1e-4
# The only figure of a line that is no function of the run.
CLOCK = "seconds"
# What is recorded: a name for each run; what differs from the defaults shows that it is heeded.
RUNS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sft": ("sft", {"lr": 5e-2, "batch": 4, "epochs": 1}),
    "sft in two epochs of halves": ("sft", {"lr": 5e-2, "batch": 4, "micro_batch": 2, "epochs": 2, "seed": 1}),
    "dpo": ("dpo", {"lr": 5e-2, "batch": 4}),
    "dpo without the sft term": (
        "dpo",
        {"lr": 5e-2, "batch": 4, "loss": ["sigmoid"], "loss_weights": [1.0], "beta": 2.0},
    ),
    "dpo with half the sft term": ("dpo", {"lr": 5e-2, "batch": 4, "loss_weights": [1.0, 0.5], "seed": 2}),
    "kto": ("kto", {"lr": 5e-2, "batch": 4}),
    "kto with another beta": ("kto", {"lr": 5e-2, "batch": 4, "beta": 2.0, "seed": 3}),
}


def write_rows(folder: Path) -> Path:
    """Write the dataset folder: rows of each kind, of several weights, some cut, some of one prompt."""
    rng = random.Random(21)
    shared = tiny.text(rng)
    weights = (1.0, 0.5, 1 / 3)
    pairs = [
        tiny.preference_row(i, rng, shared if i < 3 else None, weight=weights[i % 3], truncated_rejected=i == 4)
        for i in range(16)
    ]
    thumbs = [
        tiny.unpaired_row(i, rng, i < 12, shared if i in (0, 13) else None)
        | {"weight": weights[i % 2], "truncated": i == 2}
        for i in range(18)
    ]
    shown = [tiny.demonstration_row(i, rng) | {"weight": weights[i % 2], "truncated": i == 3} for i in range(16)]
    rows = {"preference": {"train": pairs}, "unpaired": {"train": thumbs}, "demonstration": {"train": shown}}
    return tiny.write_dataset(folder, rows)


def steps(name: str, dataset: Path, base: Path, out: Path) -> list[dict[str, float]]:
    """Run one of `RUNS`; return what its metrics file says of each optimiser step."""
    method, config = RUNS[name]
    torch.manual_seed(99)  # A run seeds itself; what was drawn before it must not matter.
    lines = watched_run(dataset, out, base, method, config).metrics
    return [{figure: value for figure, value in line.items() if figure != CLOCK} for line in lines]


def record() -> None:
    """Write RECORD."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        base, dataset = tiny.save_base("llama", folder / "base"), write_rows(folder / "data")
        found = {name: steps(name, dataset, base, folder / f"run-{n}") for n, name in enumerate(RUNS)}
    RECORD.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    record()
