"""Which partitions count as behind: those that have not reached where the log ended a while ago."""

from __future__ import annotations

import time

from contract.topics import EVENTS, RUNS
from processor.ingest.freshness import Freshness


def sample(freshness: Freshness, reached: dict[int, int], ends: dict[int, int]) -> None:
    places = {(EVENTS, partition): offset for partition, offset in reached.items()}
    freshness.sample(places, {(EVENTS, p): ends[p] - offset for p, offset in reached.items()} | {(RUNS, 0): 9})


def test_a_partition_is_behind_only_once_it_has_had_time() -> None:
    freshness = Freshness(allowed_s=0.2)
    assert freshness.behind() == []
    sample(freshness, {0: 10, 1: 3}, {0: 10, 1: 10})
    assert freshness.behind() == []
    time.sleep(0.25)
    sample(freshness, {0: 10, 1: 3}, {0: 10, 1: 10})
    assert freshness.behind() == [1]
    sample(freshness, {0: 10, 1: 9}, {0: 500, 1: 20})
    assert freshness.behind() == [1]
    sample(freshness, {0: 10, 1: 12}, {0: 500, 1: 20})
    assert freshness.behind() == []
    assert freshness.partitions()[0] == {"partition": 0, "next_offset": 10, "end_offset": 500, "behind": False}


def test_all_are_behind_while_nobody_looks() -> None:
    freshness = Freshness(allowed_s=0.05)
    sample(freshness, {0: 10, 1: 10}, {0: 10, 1: 10})
    assert freshness.behind() == []
    time.sleep(0.1)
    assert freshness.behind() == [0, 1]
