"""From POST to visible: how long an accepted event takes until SQL over the tables finds it, at a steady rate.

    python -m bench.end_to_end [--rate 1000] [--seconds 60] [--batch 1] [--log embedded|kafka|both]

In: a collector and a processor as processes of their own, the log embedded and then on Apache Kafka (../shared/kafka;
where that or Java 17 is absent this says so and goes without). An open-loop generator (`bench.load.steady`) posts
interactions and feedback as `bench.processor` makes them, `--batch` a request, each request when it is due. Of every
100th event a reader asks the data API for its interaction (`GET /api/v1/interactions/ID`, which is SQL over the live
tables), again and again until the event is among its events: what the console would show somebody who looks. While an
earlier one of them is missing a later one is not asked for, so that one request at most is under way.
Out, for each log: p50, p99 and max of the time from when the POST was due until an answer held the event, the
collector's own latencies, and how many events were lost. Target: p99 below 1 s. All runs on the same cores.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from bench.load import Load, Target, steady
from bench.processor import events
from bench.serving import Collector, free_port, running, running_collector
from contract.events import Event, encode
from tests.kafka_broker import Broker, apache_kafka

PROBE_EVERY = 100
CONNECTIONS = 64
PAUSE_S = 0.005
# After the last event was posted.
PATIENCE_S = 30.0
TARGET_S = 1.0


@dataclass(frozen=True)
class Visibility:
    """Seconds from due to visible of the probes that became visible, how many did not, seconds a question took."""

    waits: list[float]
    lost: int
    question_s: float

    def at(self, share: float) -> float:
        """Return the wait that this share of the probes stayed within."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def as_sent(events: Sequence[Event]) -> bytes:
    """Return the request a product sends these events in, without what the collector stamps."""
    stamps: dict[str, Any] = dict.fromkeys(("received_at", "project", "key_id", "via", "sent_at"), UNSET)
    return b'{"events":[' + b",".join(encode(replace(one, verified=False, **stamps)) for one in events) + b"]}"


@contextmanager
def running_processor(home: Path, log_url: str) -> Iterator[int]:
    """Run a processor on the collector's home and log; gives its port."""
    port = free_port()
    env = os.environ | {
        "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_LOG": log_url, "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{port}",
        "THUMBWHEEL_EMBEDDER": "none",
    }  # fmt: skip
    with running([sys.executable, "-m", "processor"], port, env, seconds=60, says=False):
        yield port


class Reader:
    """Asks the data API over one connection."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}"}

    def sees(self, event: Event) -> bool:
        """Say whether the event is among those of its interaction."""
        self._connection.request("GET", f"/api/v1/interactions/{interaction_of(event)}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == 404:
            return False
        if answer.status != 200:
            raise SystemExit(f"error: the data API answered {answer.status}: {body[:200]!r}")
        return any(held["event_id"] == event.event_id for held in json.loads(body)["events"])


def interaction_of(event: Event) -> str:
    """Return the interaction an event speaks of."""
    return str(getattr(event, "interaction_id"))  # noqa: B009  (facts have none; none is sent)


def watch(reader: Reader, made: Sequence[Event], rate: float, batch: int, begins: float) -> Visibility:
    """Ask for every PROBE_EVERY-th event from when it is due until it is seen."""
    waits: list[float] = []
    lost = asked = 0
    asking = 0.0
    end = begins + len(made) / rate + PATIENCE_S
    for number in range(0, len(made), PROBE_EVERY):
        due = begins + number // batch * batch / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        seen = False
        while not seen and time.perf_counter() < end:
            began = time.perf_counter()
            seen = reader.sees(made[number])
            asked, asking = asked + 1, asking + time.perf_counter() - began
            time.sleep(0.0 if seen else PAUSE_S)
        if seen:
            waits.append(time.perf_counter() - due)
        lost += not seen
    return Visibility(waits, lost, asking / asked)


def measure(home: Path, log_url: str, made: Sequence[Event], rate: float, batch: int) -> tuple[Load, Visibility]:
    """Return what the generator and the reader saw."""
    with running_collector(home, log=log_url) as collector, running_processor(home, log_url) as port:
        reader = Reader(port, collector.text)
        bodies = [as_sent(made[start : start + batch]) for start in range(0, len(made), batch)]
        found: list[Visibility] = []
        begins = time.perf_counter() + 1.0
        watcher = threading.Thread(target=lambda: found.append(watch(reader, made, rate, batch, begins)))
        watcher.start()
        load = steady(_target(collector, bodies), rate / batch, CONNECTIONS, len(made) / rate, begins)
        watcher.join()
    if not found:
        raise SystemExit("error: the reader ended early.")
    return load, found[0]


def _target(collector: Collector, bodies: Sequence[bytes]) -> Target:
    return Target(collector.port, "/v1/events", bodies, {"Authorization": f"Bearer {collector.text}"})


@contextmanager
def log_at(name: str, folder: Path) -> Iterator[str]:
    """Give the address of a log of this kind."""
    if name == "embedded":
        yield f"sqlite:///{folder / 'log' / 'events.db'}"
        return
    broker = Broker.apache(folder / "kafka").start().wait()
    try:
        yield f"kafka://{broker.address}?allow_unsafe=true"
    finally:
        broker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=1, help="events a request")
    parser.add_argument("--log", choices=["embedded", "kafka", "both"], default="both")
    given = parser.parse_args()
    count = round(given.rate * given.seconds)
    made = list(events(count, "v7"))[:count]
    missed = False
    for name in ["embedded", "kafka"] if given.log == "both" else [given.log]:
        if name == "kafka" and not apache_kafka():
            print("kafka: left out, it needs Apache Kafka in ../shared/kafka and Java 17.")
            continue
        with tempfile.TemporaryDirectory(prefix="end-to-end-") as folder, log_at(name, Path(folder)) as log_url:
            load, seen = measure(Path(folder), log_url, made, given.rate, given.batch)
        print(f"{name}: {load.rate * given.batch:,.0f} events/s for {given.seconds:.0f} s, answered {load.times()}, "
              f"{load.errors} errors")  # fmt: skip
        print(f"{name}: visible after p50 {seen.at(0.5):.3f}, p99 {seen.at(0.99):.3f}, max {max(seen.waits):.3f} s; "
              f"{len(seen.waits):,} probes, {seen.lost} lost, a question took {seen.question_s * 1e3:.0f} ms "
              f"(target: p99 below {TARGET_S:.0f} s)", flush=True)  # fmt: skip
        missed = missed or seen.at(0.99) >= TARGET_S or seen.lost > 0 or load.errors > 0
    sys.exit(missed)


if __name__ == "__main__":
    main()
