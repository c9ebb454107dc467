"""A log cut behind the processor: the archive holds what is gone, and without it nothing is passed over in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.topics import EVENTS as TOPIC
from processor.history.replay import replay
from tests.faults.conftest import EVENTS
from tests.faults.kill_points import wait_for_ends
from tests.faults.load import Load
from tests.faults.on_kafka import partitions
from tests.faults.system import ROOT, System, running, unarmed

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def system(tmp_path: Path, log_url: str) -> Iterator[System]:
    """A system with an archive into which everything may go at once."""
    extra = {"THUMBWHEEL_ARCHIVE": str(tmp_path / "archive"), "THUMBWHEEL_ARCHIVE_DAYS": "0"}
    with running(tmp_path / "home", log_url, {**extra, **partitions(log_url)}) as started:
        yield started


def archive(system: System) -> dict[str, int]:
    """Run `thumbwheel archive` and return how many records it moved, by topic."""
    line = [sys.executable, "-m", "cli.main", "archive", "--json"]
    said = subprocess.run(line, cwd=ROOT, env=system.env, capture_output=True, text=True, check=True)
    moved: dict[str, int] = json.loads(said.stdout)["moved"]
    return moved


def behind(system: System) -> int:
    """Return in how many partitions the log begins behind what the stopped processor has to read next."""
    return sum(following < start for start, following, _ in system.places().values())


def refused(system: System, load: Load) -> str:
    """Start the processor without the archive, and return what it says at its end."""
    system.processor.arm = lambda: {"THUMBWHEEL_ARCHIVE": ""}
    ended = system.processor.ended
    system.processor.start()
    wait_for_ends(system.processor, ended + 1, load, 30)
    system.processor.stop()
    system.processor.arm = unarmed
    return system.processor.said()


def remove_database(system: System) -> None:
    for file in system.database.parent.glob(f"{system.database.name}*"):
        file.unlink()


def test_a_log_cut_behind_the_processor_goes_on_from_the_archive(system: System, tmp_path: Path, seed: int) -> None:
    with system.load(seed, rate=20_000) as load:
        load.wait_for(EVENTS // 2)
        system.processor.stop()
        load.wait_for(load.accepted + EVENTS // 2)
    assert archive(system)[TOPIC] == len(load.ledger.accepted)
    assert behind(system)
    assert "does not hold the next offset" in refused(system, load)
    system.processor.start()
    assert system.settle(load.ledger).clean
    remove_database(system)
    said = refused(system, load)
    assert "what came before is not in the log" in said and "THUMBWHEEL_ARCHIVE" in said
    remove_database(system)
    system.collector.start()
    system.processor.start()
    assert system.settle(load.ledger).clean
    assert replay(replace(system.settings, archive=str(tmp_path / "archive"))).differing == ()
