"""How far the fault scenarios go: a short list of seeds unless told otherwise (`make faults` runs them in full)."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults import counts

SEED = int(os.environ.get("FAULTS_SEED", "20261126"))
# How often each kill or fault is repeated, and events per scenario.
ROUNDS = int(os.environ.get("FAULTS_ROUNDS", "1"))
EVENTS = int(os.environ.get("FAULTS_EVENTS", "50000"))
# Events a second that a load makes at most: over many rounds the usual rates would make millions.
MOST_RATE = 20_000.0 if ROUNDS == 1 else 2000.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what each scenario counted, so that a run without `-s` tells it too."""
    if counts.told:
        terminalreporter.section(f"fault scenarios: seed {SEED}, {ROUNDS} rounds, at least {EVENTS:,} events each")
    for test, text in counts.told:
        terminalreporter.write_line(f"{test}: {text}")


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
