"""Runs take the steps that were recorded: `python -m tests.invariant.trajectories` records them anew."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from tests.invariant.trajectories import RECORD, RUNS, TOLERANCE, losses

RECORDED: dict[str, list[float]] = json.loads(RECORD.read_text("utf-8"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_takes_the_recorded_steps(name: str, base: Path, rows: Path, tmp_path: Path) -> None:
    assert losses(name, rows, base, tmp_path) == pytest.approx(RECORDED[name], rel=TOLERANCE)


def test_what_is_recorded_tells_runs_and_their_steps_apart() -> None:
    assert RECORDED.keys() == RUNS.keys()
    for steps in RECORDED.values():
        assert len(steps) >= 3
        # Beyond the first step of a preference loss all depend on the update before them.
        assert max(steps) - min(steps) > 10 * TOLERANCE * max(steps)
    for one, other in combinations(RECORDED, 2):
        assert RECORDED[one] != pytest.approx(RECORDED[other], rel=TOLERANCE), (one, other)
