"""100,000 events of both SDKs through a network that fails and a collector that dies: each arrives once, or is counted.

The producers write down each event's id before they make it; that ledger is compared with the tables.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from thumbwheel import Client

from tests.faults.counts import tell
from tests.faults.network import Meddler
from tests.faults.pipeline import ROOT, Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SEED = int(os.environ.get("THUMBWHEEL_FAULT_SEED", random.randrange(2**32)))
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node.js for the JavaScript SDK")
_EVENTS = "SELECT event_id FROM events WHERE source = ?"
_VOTES = "SELECT feedback.event_id FROM feedback JOIN events USING (event_key) WHERE source = ?"
_TOLD = "SELECT raw FROM rejected WHERE code = 'client_dropped'"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    running = Pipeline(tmp_path_factory.mktemp("exactly-once"))
    yield running
    running.stop()


# -- producers


@dataclass
class Producer:
    """A program that gives feedback through an SDK; `mortal` ones are killed and go on."""

    names: list[str]
    count: int
    node: bool = False
    mortal: bool = False
    most: int | None = None
    process: subprocess.Popen[str] | None = None

    def start(self, pipeline: Pipeline, folder: Path, source: str) -> None:
        keeps = {"storage" if self.node else "spool": str(folder / f"{self.names[0]}.kept")} if self.mortal else {}
        asked = {"url": pipeline.url, "key": pipeline.collector.secret, "source": source, "folder": str(folder)}
        program = [NODE or "node", str(ROOT / "tests" / "faults" / "producer.mjs")]
        if not self.node:
            program = [sys.executable, "-m", "tests.faults.producer"]
        text = json.dumps({**asked, **keeps, "names": self.names, "count": self.count, "most": self.most})
        env = os.environ | {"PYTHONPATH": str(ROOT / "sdk" / "python")}
        self.process = subprocess.Popen(
            [*program, text], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def kill(self) -> bool:
        """SIGKILL it and what it forked, unless it is done; say whether it was running."""
        if self.process is None or self.process.poll() is not None:
            return False
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return True

    def said(self, seconds: float) -> list[dict[str, Any]]:
        """Wait for its end and return what it said of each name."""
        assert self.process is not None
        lines, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0
        return [json.loads(line) for line in lines.splitlines()]


def ledger(folder: Path) -> list[str]:
    """Return the ids of every event that was made."""
    return [event_id for path in folder.glob("*.ledger") for event_id in path.read_text().split()]


def made_so_far(folder: Path) -> int:
    """Return how many lines of 36 characters the ledgers hold, without reading them."""
    return sum(path.stat().st_size for path in folder.glob("*.ledger")) // 37


def first_column(db: duckdb.DuckDBPyConnection, query: str, *values: str) -> list[Any]:
    """Return the first column of a query."""
    return [row[0] for row in db.execute(query, list(values)).fetchall()]


def differences(made: Sequence[str], stored: Sequence[str]) -> dict[str, int]:
    """Compare what was made with what is stored; empty when every event is there once and nothing else is."""
    wanted, found = Counter(made), Counter(stored)
    counts = {
        "missing": len(wanted.keys() - found.keys()), "strange": len(found.keys() - wanted.keys()),
        "doubled": sum(count > 1 for count in found.values()),
    }  # fmt: skip
    return {name: count for name, count in counts.items() if count}


# -- faults


def fail(pipeline: Pipeline, mode: str, what: str, seconds: float, cut: bool = False) -> None:
    """Have the network fail so for `seconds`, and until it has hit somebody twice."""
    before, now = pipeline.network.happened[what], time.monotonic()
    with pipeline.network.being(mode):
        if cut:
            pipeline.network.cut()
        time.sleep(seconds)
        while pipeline.network.happened[what] < before + 2 and time.monotonic() < now + 5:
            time.sleep(0.01)


def deck(pipeline: Pipeline, rng: random.Random, mortals: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
    """Return every fault in random order; producers die in the first half, while they surely run."""
    network: list[Callable[[], None]] = [
        lambda: fail(pipeline, "refuse", "refused", rng.uniform(0.2, 1.5), cut=True),
        lambda: fail(pipeline, "stall", "stalled", rng.uniform(0.2, 1.5), cut=rng.random() < 0.5),
        lambda: fail(pipeline, "swallow", "swallowed", 0.0),
        lambda: fail(pipeline, "tear", "torn", 0.0),
    ]
    collector: list[Callable[[], None]] = [
        lambda: pipeline.restart_collector(signal.SIGKILL), lambda: pipeline.restart_collector(signal.SIGTERM)
    ]  # fmt: skip
    first, second = [*mortals, *mortals, *network, *collector], [*network, *network, *collector]
    rng.shuffle(first)
    rng.shuffle(second)
    return first + second


def play(
    cards: list[Callable[[], None]], folder: Path, total: int, rng: random.Random, alive: Callable[[], bool]
) -> None:
    """Deal the faults at random moments spread over the making of the events."""
    moments = sorted(rng.uniform(0.02, 0.95) * total for _ in cards)
    for moment, fault in zip(moments, cards, strict=True):
        while made_so_far(folder) < moment:
            assert alive(), "a producer ended early"
            time.sleep(0.05)
        fault()


@needs_node
def test_through_every_fault_each_event_arrives_once_and_nothing_is_counted_as_dropped(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    print("seed", SEED)
    rng = random.Random(SEED)
    producers = [
        Producer(["prefork-1", "prefork-2", "prefork-3"], 15_000), Producer(["spool"], 20_000, mortal=True),
        Producer(["node"], 25_000, node=True), Producer(["page"], 10_000, node=True, mortal=True),
    ]  # fmt: skip
    total = sum(one.count * len(one.names) for one in producers)
    killed: Counter[str] = Counter()

    def mortal(one: Producer) -> Callable[[], None]:
        def again() -> None:
            killed[one.names[0]] += one.kill()
            one.start(pipeline, tmp_path, "faults")

        return again

    pipeline.start_processor()
    began = time.monotonic()
    try:
        for one in producers:
            one.start(pipeline, tmp_path, "faults")
        cards = deck(pipeline, rng, [mortal(one) for one in producers if one.mortal])
        play(cards, tmp_path, total, rng, lambda: any(one.process and one.process.poll() is None for one in producers))
        said = [line for one in producers for line in one.said(150)]
    finally:
        for one in producers:
            one.kill()
    seconds = time.monotonic() - began
    assert {line["name"]: (line["dropped"], line["waiting"]) for line in said} == {
        name: ({}, 0) for one in producers for name in one.names
    }
    made = ledger(tmp_path)
    assert len(made) == len(set(made)) == total == 100_000
    assert list(tmp_path.glob("*.dropped")) == []
    assert pipeline.counted("given_up") == pipeline.counted("events", outcome="rejected") == 0
    assert pipeline.console().items("/api/v1/rejected") == []
    with pipeline.tables() as db:
        assert differences(made, first_column(db, _EVENTS, "faults")) == {}
        assert differences(made, first_column(db, _VOTES, "faults")) == {}
    # The faults were real: answers were lost after the log had the events, which came again and counted once.
    written = pipeline.records()
    happened = f"{dict(pipeline.network.happened)}; killed {dict(killed)}"
    tell(f"{total:,} events once each, {written:,} records in the log, in {seconds:.0f} s; {happened}")
    assert written > total
    assert {"cut", "swallowed", "torn", "stalled", "collector away"} <= set(+pipeline.network.happened)
    assert set(+killed) == {"spool", "page"}


@needs_node
def test_an_overfull_queue_says_exactly_what_it_dropped(pipeline: Pipeline, tmp_path: Path) -> None:
    producers = [Producer(["overfull-server"], 3000, most=100), Producer(["overfull-page"], 2000, node=True, most=100)]
    total = 5000 + len(producers)  # The last of each carries the report of what was dropped before.
    before = pipeline.counted("given_up")
    try:
        with pipeline.network.being("refuse"):
            for one in producers:
                one.start(pipeline, tmp_path, "overfull")
            deadline = time.monotonic() + 60
            while made_so_far(tmp_path) < 5000:
                assert time.monotonic() < deadline, "the events were not made"
                time.sleep(0.05)
        said = {line["name"]: line["dropped"] for one in producers for line in one.said(60)}
    finally:
        for one in producers:
            one.kill()
    dropped = {name: (tmp_path / f"{name}.dropped").read_text().split() for name in said}
    assert said == {name: {"queue_full": len(ids)} for name, ids in dropped.items()}
    assert said["overfull-server"]["queue_full"] >= 2900 and said["overfull-page"]["queue_full"] >= 1900
    gone = {event_id for ids in dropped.values() for event_id in ids}
    kept = [event_id for event_id in ledger(tmp_path) if event_id not in gone]
    assert len(kept) + sum(map(len, dropped.values())) == total
    assert pipeline.counted("given_up") - before == len(gone)
    shown = " ".join(one["message"] for one in pipeline.console().items("/api/v1/rejected"))
    assert sum(map(int, re.findall(r"An SDK gave up (\d+) events? .*?: queue_full \1\.", shown))) == len(gone)
    with pipeline.tables() as db:
        assert differences(kept, first_column(db, _EVENTS, "overfull")) == {}
        assert sum(json.loads(raw)["counts"]["queue_full"] for raw in first_column(db, _TOLD)) == len(gone)


def test_the_comparison_finds_an_event_lost_or_doubled_on_the_way(pipeline: Pipeline) -> None:
    meddlings: dict[str, dict[str, int]] = {"nothing": {}, "lose": {"missing": 20}, "double": {"strange": 20}}
    made: dict[str, list[str]] = {}
    for meddling in meddlings:
        with Meddler(pipeline.collector.port, meddling, 20) as meddler:
            client = Client(meddler.url, pipeline.collector.secret, "u-1", source=meddling)
            made[meddling] = [str(client.thumb(f"{meddling}-{number}", "c-1", "up")) for number in range(300)]
            assert client.shutdown(30)
    with pipeline.tables() as db:
        found = {meddling: first_column(db, _EVENTS, meddling) for meddling in meddlings}
    assert {meddling: differences(made[meddling], found[meddling]) for meddling in meddlings} == meddlings
    untouched, stored = made["nothing"], found["nothing"]
    assert differences(untouched[:-1], stored) == {"strange": 1}
    assert differences(untouched, stored[:-1]) == {"missing": 1}
    assert differences(untouched, [*stored, stored[0]]) == {"doubled": 1}
