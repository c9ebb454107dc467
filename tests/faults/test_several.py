"""Several processors on Apache Kafka: killed, frozen, come and gone; one holds all rows, and each of them once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from tests.faults.conftest import EVENTS, ROUNDS
from tests.faults.ledger import Ledger
from tests.faults.on_kafka import MARKS
from tests.faults.several import SESSION_S, Several, several_processors, some
from tests.waiting import eventually

pytestmark = MARKS


def check(several: Several, ledger: Ledger) -> None:
    """Nothing is lost or doubled in the tables of the one that holds all, and they equal a replay."""
    assert several.system.settle(ledger).clean
    for program in several.others:
        program.stop()
    assert several.system.differing_after_replay() == ()


def test_processors_killed_at_random(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with several_processors(tmp_path, 2) as several, several.system.load(seed, rate=6000) as load:
        load.wait_for(2000)
        for _ in range(2 * ROUNDS):
            for program in rng.sample(several.processors, len(several.processors)):
                program.signal(signal.SIGKILL)
                time.sleep(rng.uniform(0.2, 2.0))
        load.wait_for(EVENTS)
        load.stop()
        check(several, load.ledger)


def test_partitions_of_one_that_is_gone_move_and_come_back(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with several_processors(tmp_path, 2) as several, several.system.load(seed, rate=2000) as load:
        load.wait_for(2000)
        gone = rng.choice(several.others)
        gone.stop()
        several.wait_shared(2)
        gone.start()
        several.wait_shared(3)
        load.wait_for(EVENTS)
        load.stop()
        check(several, load.ledger)


def test_an_owner_frozen_until_others_took_over_changes_nothing_when_it_wakes(
    tmp_path: Path, rng: random.Random, seed: int
) -> None:
    with several_processors(tmp_path, 2) as several, several.system.load(seed, rate=4000) as load:
        load.wait_for(2000)
        frozen = some(rng, several)
        frozen.signal(signal.SIGSTOP)
        time.sleep(SESSION_S + 4.0)
        frozen.signal(signal.SIGCONT)
        load.wait_for(EVENTS)
        load.stop()
        check(several, load.ledger)


def test_a_storm_of_processors_that_come_and_go(tmp_path: Path, rng: random.Random, seed: int) -> None:
    with several_processors(tmp_path, 3, started=False) as several, several.system.load(seed, rate=2500) as load:
        running: set[int] = set()
        for _ in range(8 * ROUNDS):
            number = rng.randrange(len(several.others))
            if number in running:
                rng.choice((several.others[number].stop, several.others[number].kill))()
            else:
                several.others[number].start()
            running ^= {number}
            time.sleep(rng.uniform(0.5, 4.0))
        load.wait_for(EVENTS)
        load.stop()
        check(several, load.ledger)


def test_the_folder_of_parts_away_for_a_while(tmp_path: Path, seed: int) -> None:
    with several_processors(tmp_path, 1) as several, several.system.load(seed, rate=6000) as load:
        load.wait_for(EVENTS // 4)
        eventually(several.parts.exists, 60)
        away = several.parts.with_name("away")
        several.parts.rename(away)
        several.parts.write_text("not a folder")
        load.wait_for(EVENTS // 2)
        several.parts.unlink()
        away.rename(several.parts)
        load.wait_for(EVENTS)
        load.stop()
        check(several, load.ledger)
