"""Rates of keys and actors: as told, whatever the number of workers; what is held back is lost to nobody."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector import buckets as buckets_module
from collector.buckets import WAYS, Buckets
from collector.limits import Rates
from contract.topics import EVENTS, REJECTED

from .conftest import SHOP, Bench, Process, events, thumb
from .test_process import post


class Clock:
    """The time as the buckets see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5_000_000.0
        monkeypatch.setattr(buckets_module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("seed", range(5))
def test_several_workers_together_allow_what_one_bucket_would(tmp_path: Path, clock: Clock, seed: int) -> None:
    """Held against the textbook's bucket: one number, one clock."""
    draw = random.Random(seed)
    workers = [Buckets(tmp_path, 64, burst_s=10.0) for _ in range(4)]
    level: Counter[str] = Counter()
    seen_at: dict[str, float] = {}
    refused = 0
    for _ in range(3000):
        clock.now += draw.expovariate(2.0)
        name, cost = draw.choice("abc"), draw.choice((0.5, 1.0, 4.0, 12.0))
        level[name] = max(0.0, level[name] - (clock.now - seen_at.get(name, clock.now)))
        seen_at[name] = clock.now
        fits = level[name] < 1e-6 or level[name] + cost <= 10.0
        lacking = draw.choice(workers).take({name: cost})
        assert (not lacking) == fits, seed
        if lacking:
            refused += 1
            assert lacking[name] == pytest.approx(min(level[name], level[name] + cost - 10.0), abs=1e-6)
        else:
            level[name] += cost
    assert 300 < refused < 2700, seed


def test_a_worker_that_comes_later_knows_what_was_taken_and_one_that_ends_is_not_forgotten(
    tmp_path: Path, clock: Clock
) -> None:
    first = Buckets(tmp_path, 64, burst_s=10.0)
    assert not first.take({"shop": 8.0})
    region = first._region
    del first
    later = [Buckets(tmp_path, 64, burst_s=10.0) for _ in range(2)]
    assert later[0]._region == region != later[1]._region
    assert [worker.take({"shop": 3.0}) for worker in later] == [{"shop": 1.0}, {"shop": 1.0}]
    clock.now += 1.0
    assert not later[1].take({"shop": 3.0})
    assert later[0].take({"shop": 1.0})


def test_a_crowd_of_names_costs_none_of_the_fullest_its_count(tmp_path: Path, clock: Clock) -> None:
    rates = Buckets(tmp_path, WAYS, burst_s=10.0)
    for name in ("a", "b", "c"):
        assert not rates.take({name: 10.0})
    for number in range(1000):
        clock.now += 0.001
        rates.take({f"passer-by {number}": 0.0005})
    assert set(rates.take(dict.fromkeys("abc", 5.0))) == {"a", "b", "c"}


def test_nothing_in_the_shared_file_names_a_key_or_an_actor(tmp_path: Path) -> None:
    rates = Rates(tmp_path, rate=10.0, actor_rate=10.0)
    rates.take("k0123456789", 5)
    assert rates.hold_back("shop", {"u-pseudonym": 5}) == {}
    for file in tmp_path.rglob("table"):
        assert any(file.read_bytes())
        assert b"k0123456789" not in file.read_bytes() and b"pseudonym" not in file.read_bytes()


def hammer(folder: str, seconds: float, taken: Any, start: Any) -> None:
    """Take as fast as possible, and say how much was had."""
    rates = Buckets(Path(folder), 64, burst_s=1.0)
    start.wait()
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        count += not rates.take({"key": 0.001})
    taken.put(count)


def test_processes_that_take_at_the_same_time_stay_within_one_batch_of_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    taken, start = context.Queue(), context.Barrier(4)
    workers = [context.Process(target=hammer, args=(str(tmp_path), 2.0, taken, start)) for _ in range(3)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    start.wait(60)
    counts = [taken.get(timeout=60) for _ in workers]
    lasted = time.monotonic() - began
    for worker in workers:
        worker.join()
    # A thousand a second and a thousand at once, for as long as any of them took.
    assert 2900 <= sum(counts) <= 1000 + 1000 * lasted + len(workers)


def page(bench: Bench, sent: list[dict[str, Any]]) -> Any:
    return bench.post_from(SHOP, sent)


def test_an_actor_who_sends_too_much_is_told_to_come_again_and_its_neighbours_are_served(bench: Bench) -> None:
    bench.settings = replace(bench.settings, collector_actor_rate=1.0)
    bench.restart()
    assert page(bench, [thumb(actor={"id": "loop"})] * 10).status_code == 202
    before = len(events(bench.log))
    sent = [
        thumb(actor={"id": "loop"}),
        thumb(actor={"id": "calm"}),
        thumb(value="sideways"),
        thumb(actor={"id": "loop"}),
    ]
    answer = page(bench, sent)
    results = answer.get_json()["results"]
    assert answer.status_code == 207
    assert [one["status"] for one in results] == ["retry", "accepted", "rejected", "retry"]
    assert [one["event_id"] for one in results] == [one["event_id"] for one in sent]
    assert results[0]["error"]["code"] == "actor_rate_limited" and results[0]["error"]["hint"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 2
    assert [one["event_id"] for one in events(bench.log)[before:]] == [sent[1]["event_id"]]
    assert len(events(bench.log, REJECTED)) == 1
    # Another project's actor of the same name is somebody else, and servers answer for their own.
    other = bench.control.create_key("other", "public", [SHOP]).key
    assert bench.post_from(SHOP, [thumb(actor={"id": "loop"})], other).status_code == 202
    assert bench.post([thumb(actor={"id": "loop"})] * 50).status_code == 202


def test_a_batch_of_one_actor_held_back_writes_nothing_and_comes_through_later(bench: Bench, clock: Clock) -> None:
    bench.settings = replace(bench.settings, collector_actor_rate=1.0)
    bench.restart()
    page(bench, [thumb()] * 10)
    again = [thumb() for _ in range(4)]
    answer = page(bench, again)
    assert {one["status"] for one in answer.get_json()["results"]} == {"retry"}
    assert int(answer.headers["Retry-After"]) == 4
    assert len(events(bench.log)) == 10
    clock.now += 4.0
    assert page(bench, again).status_code == 202


@pytest.mark.parametrize("changes", [{"collector_actor_rate": 0.0}, {"collector_rate": 0.0}])
def test_without_a_limit_nobody_is_held_back(bench: Bench, changes: dict[str, float]) -> None:
    bench.settings = replace(bench.settings, **{"collector_actor_rate": 1.0} | changes)
    bench.restart()
    for _ in range(3):
        assert page(bench, [thumb()] * 100).status_code == 202


def send(running: Process, key: str, count: int) -> tuple[int, Any]:
    return post(running, [thumb() for _ in range(count)], key, {"Origin": SHOP})


def test_the_limits_of_a_key_and_of_an_actor_hold_across_two_real_workers(start: Any) -> None:
    settings = {"COLLECTOR_WORKERS": "2", "COLLECTOR_RATE": "6", "COLLECTOR_ACTOR_RATE": "2"}
    with start(**settings) as running:
        began, taken, statuses = time.monotonic(), 0, set()
        for _ in range(30):
            # A new connection each time, so that both workers are asked.
            status, _ = send(running, running.secret, 10)
            statuses.add(status)
            taken += 10 * (status == 202)
        assert statuses == {202, 429}
        allowed = 60 + 6 * (time.monotonic() - began)
        assert 60 <= taken <= allowed + 10, "a limit of its own for each worker would let twice that through"
        began, kept = time.monotonic(), 0
        for _ in range(50):
            status, body = send(running, running.public, 1)
            assert status in (202, 207), body
            kept += body["results"][0]["status"] == "accepted"
        assert 20 <= kept <= 20 + 2 * (time.monotonic() - began) + 1
        log = running.log()
        assert len(events(log, EVENTS)) == taken + kept
        log.close()
    tables = list(running.home.glob("run/collector-*-rates/*/table"))
    assert len(tables) == 2
    assert all(json.dumps(key).encode() not in table.read_bytes() for table in tables for key in (running.secret,))
