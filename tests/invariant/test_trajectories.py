"""Runs take the steps that were recorded: `python -m tests.invariant.trajectories` records them anew."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from tests.invariant.trajectories import FLOOR, RECORD, RUNS, TOLERANCE, steps

RECORDED: dict[str, list[dict[str, float]]] = json.loads(RECORD.read_text("utf-8"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_takes_the_recorded_steps(name: str, base: Path, rows: Path, tmp_path: Path) -> None:
    found = steps(name, rows, base, tmp_path)
    for line, recorded in zip(found, RECORDED[name], strict=True):
        same = {figure: line[figure] for figure in recorded}  # A figure that is new moves no step.
        assert same == pytest.approx(recorded, rel=TOLERANCE, abs=FLOOR)


def test_what_is_recorded_tells_runs_and_their_steps_apart() -> None:
    assert RECORDED.keys() == RUNS.keys()
    losses = {name: [line["loss"] for line in lines] for name, lines in RECORDED.items()}
    for found in losses.values():
        assert len(found) >= 3
        assert max(found) - min(found) > 10 * TOLERANCE * max(found)
    for one, other in combinations(losses, 2):
        assert losses[one] != pytest.approx(losses[other], rel=10 * TOLERANCE), (one, other)
