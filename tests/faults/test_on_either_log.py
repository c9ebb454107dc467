"""Faults that have nothing to do with the kind of log, on the embedded one and on Kafka."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from contract.topics import EVENTS as TOPIC
from eventlog.log import Entry
from eventlog.opening import open_log
from tests.faults.conftest import EVENTS, ROUNDS
from tests.faults.kill_points import wait_for_ends
from tests.faults.on_kafka import partitions
from tests.faults.small_disk import fill, small_disk
from tests.faults.system import System, running, unarmed
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.faults]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# A batch that takes minutes, when the scenarios run in full.
SLOW_S = 150 if ROUNDS > 1 else 10
POISON = [b"", b"\xff\xfe", b"{}", b'{"type":"thumb"}', b"[" * 100_000, b'{"type":"forget"}']


@pytest.fixture
def system(tmp_path: Path, log_url: str) -> Iterator[System]:
    with running(tmp_path / "home", log_url, partitions(log_url)) as started:
        yield started


def test_stopped_at_random_moments(system: System, rng: random.Random, seed: int) -> None:
    with system.load(seed, rate=8000) as load:
        for number in (signal.SIGKILL, signal.SIGTERM) * ROUNDS:
            for program in rng.sample(list(system.programs.values()), 2):
                time.sleep(rng.uniform(0.0, 1.0))
                program.signal(number)
            system.wait_ready()
        load.wait_for(EVENTS)
    assert system.settle(load.ledger).clean


def test_every_event_delivered_twice(system: System, seed: int) -> None:
    with system.load(seed, rate=20_000, twice=True) as load:
        load.wait_for(EVENTS)
    assert system.settle(load.ledger).clean
    # Doubled in the log itself, too: the first records of a partition again.
    log = open_log(system.settings.log_url)
    reader = log.reader({(TOPIC, 0): 0})
    log.append([Entry(TOPIC, one.key, one.value) for one in reader.poll(5000, 5.0)])
    reader.close()
    log.close()
    assert system.differing_after_replay() == ("offsets",), "the log is longer, nothing else changed"


def test_feedback_long_before_what_it_is_about(system: System, seed: int) -> None:
    with system.load(seed, rate=20_000, asked_last=True) as load:
        load.wait_for(EVENTS * 3 // 4)
    assert len(load.ledger.accepted) >= EVENTS
    assert system.settle(load.ledger).clean
    assert system.differing_after_replay() == ()


def test_poison_at_the_head_of_a_partition(tmp_path: Path, log_url: str, seed: int) -> None:
    log = open_log(log_url, 4 if partitions(log_url) else None)
    log.append([Entry(TOPIC, "i-0", raw) for raw in POISON])
    log.close()
    with running(tmp_path / "home", log_url, partitions(log_url)) as system:
        with system.load(seed, rate=20_000) as load:
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean
        with duckdb.connect(str(system.database), read_only=True) as db:
            kept = db.execute('SELECT "offset", raw FROM rejected ORDER BY "offset"').fetchall()
    assert kept == list(enumerate(POISON))


def test_a_batch_that_takes_long(system: System, seed: int) -> None:
    system.processor.arm = lambda: {"FAULT_POINT": "slow-batch", "FAULT_AFTER": str(SLOW_S)}
    system.processor.signal(signal.SIGKILL)
    with system.load(seed, rate=20_000) as load:
        load.wait_for(EVENTS)
    assert system.settle(load.ledger, seconds=120 + SLOW_S).clean


def lag(system: System) -> int | None:
    """Return how many records the processor has not read yet, by its own account; None while it gives none."""
    name = "thumbwheel_processor_lag_records{"
    lines = [one for one in (system.processor.ask("/metrics") or "").splitlines() if one.startswith(name)]
    return sum(int(float(line.split()[-1])) for line in lines) if lines else None


def unread(system: System) -> int:
    """Return how many records of the log lie behind the offsets in the tables of the stopped processor."""
    return sum(end - following for _, following, end in system.places().values())


def test_a_build_that_commits_offsets_before_rows_is_caught(system: System, rng: random.Random, seed: int) -> None:
    """The ledger's own check: what this suite looks for, it sees."""
    system.processor.arm = lambda: {"FAULT_POINT": "offsets-first", "FAULT_AFTER": str(rng.randrange(2, 10))}
    system.processor.signal(signal.SIGKILL)
    with system.load(seed) as load:
        wait_for_ends(system.processor, 2, load, 120)
        load.wait_for(10_000)
        system.processor.arm = unarmed
    eventually(lambda: lag(system) == 0, 120)
    assert system.settle(load.ledger, seconds=5).lost > 0
    assert unread(system) == 0, "what is missing was passed over; it is not on its way"


def test_a_full_disk_under_the_tables(tmp_path: Path, log_url: str, rng: random.Random, seed: int) -> None:
    home = tmp_path / "home"
    with small_disk(home / "processor", 400) as disk, running(home, log_url, partitions(log_url)) as system:
        with system.load(seed, rate=4000) as load:
            for _ in range(ROUNDS):
                load.wait_for(load.accepted + rng.randrange(1000, 5000))
                ended = system.processor.ended
                ballast = fill(disk)
                wait_for_ends(system.processor, ended + 1, load, 60)
                time.sleep(rng.uniform(0.0, 3.0))
                ballast.unlink()
                system.wait_ready()
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's faketime")
def test_the_clock_jumps(tmp_path: Path, log_url: str, rng: random.Random, seed: int) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    extra = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with running(tmp_path / "home", log_url, {**extra, **partitions(log_url)}) as system:
        with system.load(seed, rate=8000) as load:
            for _ in range(3 * ROUNDS):
                load.wait_for(load.accepted + rng.randrange(500, 3000))
                aside = tmp_path / "next"
                aside.write_text(f"{rng.choice((-90_000, -3600, -5, 5, 3600, 90_000)):+d}\n")
                aside.replace(clock)
            load.wait_for(EVENTS)
        assert system.settle(load.ledger).clean
        assert system.differing_after_replay() == ()
