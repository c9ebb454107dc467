"""Several processors on Apache Kafka: the rate of 1, 2 and 4, and how long a new one takes with and without parts.

    python -m bench.processors [--events 200000] [--processors 1 2 4]

In: a broker from ../shared/kafka (without it, or without Java 17, this says so and ends), a topic of 12 partitions,
interactions with feedback as `bench.processor` has them, one event a record. The processors join, are stopped
(SIGSTOP) while the log is filled, and go on together, so that none has begun when the clock starts. Each holds its own
partitions and publishes its parts. Out, in one run:
- events/s from then until every partition is in the tables and published, and the processor time an event;
- the seconds a processor that begins with nothing takes until it holds all partitions: from the parts of the others,
  and, without the folder, from the log alone; the ratio.
How far the first can grow is bounded by the cores, which the broker shares.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import family, processor_seconds
from bench.processor import events
from bench.serving import free_port, running
from contract.events import Event
from control_store.control import Control
from eventlog.log import append_all
from eventlog.opening import open_log
from tests.kafka_broker import Broker, apache_kafka

PARTITIONS = 12
# Longer than the log takes to fill.
SESSION_S = 600
CHUNK = 2000
DEADLINE_S = 600.0


@dataclass(frozen=True)
class Processor:
    """A running processor."""

    pid: int
    port: int

    def signal(self, number: signal.Signals) -> None:
        """Signal it and its worker."""
        for pid in family(self.pid):
            os.kill(pid, number)

    def metric(self, name: str) -> float:
        """Return one of its metrics, by name and labels; 0 where it has none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def stored(self) -> float:
        """Return how many events it has stored."""
        return self.metric('thumbwheel_processor_rows_total{table="events"}')

    def held(self, key: str) -> int:
        """Return how many events its data API counts."""
        url = f"http://127.0.0.1:{self.port}/api/v1/projects"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return sum(item["events"] for item in json.load(answer)["items"])


@dataclass(frozen=True)
class Run:
    """How fast so many processors were together."""

    processors: int
    rate: float
    microseconds_an_event: float


class Machine:
    """A broker with a topic, and homes for processors, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = f"sqlite:///{folder}/control.db"
        control = Control.open(self.control)
        self.key = control.create_key("default", "secret").key
        control.close()
        self.broker = Broker.apache(folder / "kafka")
        self.broker.start().wait()
        self.url = f"kafka://{self.broker.address}?allow_unsafe=true"
        self.parts = folder / "parts"

    @contextmanager
    def processor(self, name: str, **settings: str) -> Iterator[Processor]:
        """Run a processor with a home of its own until the block ends."""
        home, port = self.folder / name, free_port()
        env = os.environ | {
            "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_CONTROL": self.control, "THUMBWHEEL_LOG": self.url,
            "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{port}", "THUMBWHEEL_PARTITIONS": str(PARTITIONS),
            "THUMBWHEEL_EMBEDDER": "none",
        } | {f"THUMBWHEEL_{key.upper()}": value for key, value in settings.items()}  # fmt: skip
        with running([sys.executable, "-m", "processor"], port, env, seconds=60, says=False) as pid:
            yield Processor(pid, port)

    def sharing(self, name: str, holds: str) -> dict[str, str]:
        """Return the settings of one of several."""
        return {
            "parts": str(self.parts), "processor_name": name, "processor_holds": holds,
            "processor_session_s": str(SESSION_S),
        }  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("error: it did not happen in time.")
        time.sleep(0.1)


def fill(url: str, made: Sequence[Event]) -> None:
    """Append the events."""
    log = open_log(url)
    try:
        for start in range(0, len(made), CHUNK):
            append_all(log, made[start : start + CHUNK], 60.0)
    finally:
        log.close()


def together(machine: Machine, count: int, made: Sequence[Event], stack: ExitStack) -> Run:
    """Start so many processors, fill the log, and measure how long they take for it; they run on."""
    found = []
    for number in range(count):
        name = f"own-{number}"
        found.append(stack.enter_context(machine.processor(name, **machine.sharing(name, "own"))))
    until(lambda: sum(one.metric("thumbwheel_processor_partitions_owned") for one in found) == PARTITIONS)
    for one in found:
        one.signal(signal.SIGSTOP)
    fill(machine.url, made)
    used = sum(processor_seconds(one.pid) for one in found)
    started = time.perf_counter()
    for one in found:
        one.signal(signal.SIGCONT)
    until(lambda: sum(one.stored() for one in found) >= len(made))
    seconds = time.perf_counter() - started
    used = sum(processor_seconds(one.pid) for one in found) - used
    return Run(count, len(made) / seconds, used / len(made) * 1e6)


def seconds_until_held(machine: Machine, events: int, name: str, **settings: str) -> float:
    """Return how long a processor that begins with nothing takes until it holds all events."""
    started = time.perf_counter()
    with machine.processor(name, **settings) as one:
        until(lambda: one.held(machine.key) >= events)
        return time.perf_counter() - started


def measure(made: Sequence[Event], counts: Sequence[int]) -> tuple[list[Run], float, float]:
    """Return the runs, and the seconds of a new processor with parts and from the log alone."""
    runs: list[Run] = []
    with_parts = alone = 0.0
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="processors-") as folder:
            machine = Machine(Path(folder))
            try:
                with ExitStack() as stack:
                    runs.append(together(machine, count, made, stack))
                    print(f"{runs[-1].processors} processors: {runs[-1].rate:,.0f} events/s, "
                          f"{runs[-1].microseconds_an_event:.0f} us of processor time each", flush=True)  # fmt: skip
                    if count == max(counts):
                        # Time to publish what they stored.
                        time.sleep(10)
                        sharing = machine.sharing("whole", "all")
                        with_parts = seconds_until_held(machine, len(made), "whole", **sharing)
                        alone = seconds_until_held(machine, len(made), "alone")
            finally:
                machine.broker.kill()
    return runs, with_parts, alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--processors", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    if not apache_kafka():
        print("Left out: it needs Apache Kafka in ../shared/kafka and Java 17.")
        return
    made = list(events(given.events, "v7"))
    print(f"{len(made):,} events, {PARTITIONS} partitions, {os.cpu_count()} cores")
    runs, with_parts, alone = measure(made, given.processors)
    for run in runs[1:]:
        print(f"{run.processors} against {runs[0].processors}: {run.rate / runs[0].rate:.2f} times the rate")
    print(f"a new one holds everything after {with_parts:.1f} s with parts, {alone:.1f} s from the log alone: "
          f"ratio {with_parts / alone:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
