"""How far the fault scenarios go: a short list of seeds unless told otherwise (`make faults` runs them in full)."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults import counts
from tests.faults.thirds import commit, left_out, third_of

SEED = int(os.environ.get("FAULTS_SEED", "20261126"))
# How often each kill or fault is repeated, and events per scenario.
ROUNDS = int(os.environ.get("FAULTS_ROUNDS", "1"))
EVENTS = int(os.environ.get("FAULTS_EVENTS", "50000"))
# Events a second that a load makes at most: over many rounds the usual rates would make millions.
MOST_RATE = 20_000.0 if ROUNDS == 1 else 2000.0
# Which third of the long scenarios to take: all unless told; "commit" lets the commit's hash choose (`.ci/run`).
THIRD = os.environ.get("FAULTS_THIRD", "")
HERE = Path(__file__).parent
_left_out = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a third of the long scenarios in this folder, after `-m` has chosen; short tests are always taken."""
    try:
        third = third_of(THIRD, commit())
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    long = [
        item for item in items
        if HERE in item.path.parents and (item.get_closest_marker("slow") or item.get_closest_marker("faults"))
    ]  # fmt: skip
    names = left_out([item.nodeid for item in long], third)
    config.stash[_left_out] = [item.nodeid for item in long if item.nodeid in names]
    config.hook.pytest_deselected(items=[item for item in long if item.nodeid in names])
    items[:] = [item for item in items if item.nodeid not in names]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what each scenario counted, so that a run without `-s` tells it too, and the scenarios left out."""
    _list_left_out(terminalreporter, config.stash.get(_left_out, []))
    if counts.told:
        terminalreporter.section(f"fault scenarios: seed {SEED}, {ROUNDS} rounds, at least {EVENTS:,} events each")
    for test, text in counts.told:
        terminalreporter.write_line(f"{test}: {text}")


def _list_left_out(reporter: pytest.TerminalReporter, names: list[str]) -> None:
    if names:
        reporter.section(f"fault scenarios of the other two thirds (FAULTS_THIRD={THIRD}); `make faults` runs all")
    elif THIRD == "commit" and commit() is None:
        reporter.section("all fault scenarios were taken: git names no commit here")
    for name in names:
        reporter.write_line(f"left out: {name}")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """The scenario's own random numbers; the seed is printed."""
    seed = f"{SEED}-{request.node.name}"
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture
def seed(rng: random.Random) -> int:
    """A seed for the scenario's load."""
    return rng.randrange(2**32)
