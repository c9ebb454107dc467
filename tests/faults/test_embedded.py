"""Faults on the embedded log: what clients were told is accepted is in the tables once, whatever happened."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import EVENTS, ROUNDS
from tests.faults.kill_points import COLLECTOR_POINTS, PROCESSOR_POINTS, restart_armed, wait_for_ends
from tests.faults.small_disk import fill, small_disk
from tests.faults.system import System, running
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.faults]
HOLD = "import duckdb, sys, time; held = duckdb.connect(sys.argv[1]); print(1, flush=True); time.sleep(60)"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running(tmp_path / "home") as started:
        yield started


def test_killed_at_every_point_of_an_event_s_way(system: System, rng: random.Random, seed: int) -> None:
    with system.load(seed, rate=4000) as load:
        load.wait_for(2000)
        collector = restart_armed(system.collector, COLLECTOR_POINTS["sqlite"], rng, 40)
        processor = restart_armed(system.processor, PROCESSOR_POINTS, rng, 20)
        wait_for_ends(system.collector, collector, load, 120 + 30 * ROUNDS * len(COLLECTOR_POINTS["sqlite"]))
        wait_for_ends(system.processor, processor, load, 120 + 30 * ROUNDS * len(PROCESSOR_POINTS))
        load.wait_for(EVENTS)
    assert system.settle(load.ledger).clean
    assert system.differing_after_replay() == ()


def test_a_full_disk_under_the_log(tmp_path: Path, rng: random.Random, seed: int) -> None:
    # The events of all rounds have room on it.
    with small_disk(tmp_path / "home" / "log", 400 + 40 * ROUNDS) as disk, running(tmp_path / "home") as system:
        with system.load(seed, rate=4000) as load:
            for _ in range(ROUNDS):
                load.wait_for(load.accepted + rng.randrange(1000, 5000))
                refused = load.ledger.answers["retry"]
                ballast = fill(disk)
                # What the log's files hold already has room for some more.
                eventually(lambda: load.ledger.answers["retry"] > refused, 60.0)  # noqa: B023
                time.sleep(rng.uniform(0.0, 3.0))
                ballast.unlink()
                system.wait_ready()
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean


def test_the_database_is_deleted_or_cut_off(system: System, rng: random.Random, seed: int) -> None:
    with system.load(seed) as load:
        load.wait_for(EVENTS // 2)
        system.processor.stop()
        for file in system.database.parent.glob(f"{system.database.name}*"):
            file.unlink()
        system.processor.start()
        system.processor.wait_ready()
        load.wait_for(EVENTS)
        system.processor.stop()
        size = system.database.stat().st_size
        os.truncate(system.database, rng.randrange(1, size // 2))
        before = system.database.read_bytes()
        ended = system.processor.ended
        system.processor.start()
        wait_for_ends(system.processor, ended + 1, load, 30)
        system.processor.stop()
        assert "Move it aside" in system.processor.said()
        assert system.database.read_bytes() == before, "a file nobody can read is left as it is"
        shutil.move(system.database, system.database.with_suffix(".aside"))
        system.processor.start()
    assert system.settle(load.ledger).clean


def test_a_database_that_another_process_holds(system: System, seed: int) -> None:
    with system.load(seed) as load:
        load.wait_for(EVENTS // 2)
        system.processor.stop()
        holder = subprocess.Popen([sys.executable, "-c", HOLD, str(system.database)], stdout=subprocess.PIPE)
        assert holder.stdout and holder.stdout.readline()
        ended = system.processor.ended
        system.processor.start()
        wait_for_ends(system.processor, ended + 2, load, 60)
        assert "Another process has" in system.processor.said()
        holder.kill()
        holder.wait()
        load.wait_for(EVENTS)
    assert system.settle(load.ledger).clean
