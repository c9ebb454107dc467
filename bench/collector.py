"""The collector: durable events/s against a bare Flask endpoint, latency at half of its peak, memory.

    python -m bench.collector [--seconds 5] [--rounds 3] [--connections 32] [--workers 1] [--home FOLDER]
    python -m bench.collector --events 10_000_000        # memory over ten million events: 10 GB of log, minutes
    python -m bench.collector --json

In: requests of one event (a thumb of about 650 bytes with a signed candidate id), then of 50, to real processes with
the same server, workers and threads. Out, for each:
- peak: wrk against the collector and against a Flask endpoint that only parses the JSON, in turns; the rates, and the
  median of the ratios (targets: 0.6 for single events, 50,000 events/s in batches);
- half: p50, p99 and p99.9 at half of that peak from an open-loop generator (`bench.load.steady`; target: p99 15 ms).
Beside each stand the disk's own fdatasync rate just before, the processor time a server took for an event, and how
much of a core the generator took: it runs on the same cores.
Last the collector's resident memory, sampled once a second while `--events` events come in batches: by tenths of the
run, and the slope of a line through the samples after the first fifth, while caches fill (target: flat).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.load import Load, Target, peak, steady
from bench.machine import Disk, disk_rate, memory_mib, processor_seconds
from bench.serving import Collector, running_bare, running_collector

BATCH = 50
TARGET_RATIO = 0.6
TARGET_EVENTS = 50_000
TARGET_P99_MS = 15.0
# In a run for memory, wrk is started anew after so long.
MEMORY_RUN_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """One run against one server, the disk just before it, and the server's processor time an event."""

    load: Load
    disk: Disk
    microseconds_an_event: float


@dataclass(frozen=True)
class Row:
    """What was measured with requests of `events` events."""

    events: int
    ratios: list[float]
    collector: Run
    bare: Run
    half: Run
    errors: int

    @property
    def ratio(self) -> float:
        """Return the median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def events_per_s(self) -> float:
        """Return the collector's peak."""
        return self.collector.load.rate * self.events


@dataclass(frozen=True)
class Memory:
    """Resident memory in MiB while events were taken: eleven samples, and the slope in MiB a million events."""

    events: int
    samples: list[float]
    slope: float


def measured(pid: int, events: int, folder: Path, send: Callable[[], Load]) -> Run:
    """Run `send` with the disk's rate before it and the server's processor time during it."""
    disk = disk_rate(folder)
    used, began = processor_seconds(pid), time.monotonic()
    load = send()
    took = time.monotonic() - began
    return Run(load, disk, (processor_seconds(pid) - used) / (load.rate * took * events) * 1e6)


def compare(ours: Collector, bare: tuple[int, int], size: int, options: argparse.Namespace, folder: Path) -> Row:
    """Measure both servers in turns with requests of `size` events, then ours at half of its peak."""
    target = ours.target(size)
    plain = Target(bare[1], target.path, target.bodies)
    for one in (target, plain):
        peak(one, options.connections, 1, folder)
    rounds: list[tuple[Run, Run]] = []
    for _ in range(options.rounds):
        first, second = (
            measured(pid, size, folder, lambda to=to: peak(to, options.connections, options.seconds, folder))  # type: ignore[misc]
            for pid, to in ((ours.pid, target), (bare[0], plain))
        )
        rounds.append((first, second))
    best, other = sorted(rounds, key=lambda pair: pair[0].load.rate)[len(rounds) // 2]
    rate = best.load.rate / 2
    half = measured(ours.pid, size, folder, lambda: steady(target, rate, 2 * options.connections, options.seconds))
    ratios = [round(run.load.rate / base.load.rate, 3) for run, base in rounds]
    errors = sum(run.load.errors + base.load.errors for run, base in rounds) + half.load.errors
    return Row(size, ratios, best, other, half, errors)


def watch_memory(ours: Collector, events: int, options: argparse.Namespace, folder: Path) -> Memory:
    """Send batches until the collector has taken `events` more, and sample its memory meanwhile."""
    target, taken, done = ours.target(BATCH), 0.0, threading.Event()
    samples: list[tuple[float, float]] = []
    rate = 0.0

    def sample() -> None:
        began = time.monotonic()
        while not done.wait(1.0 if samples else 0.0):
            samples.append((time.monotonic() - began, memory_mib(ours.pid)))

    watch = threading.Thread(target=sample)
    watch.start()
    began = time.monotonic()
    while taken < events:
        left = (events - taken) / rate if rate else 1.0
        load = peak(target, options.connections, min(MEMORY_RUN_SECONDS, max(1.0, left)), folder)
        taken += load.rate * BATCH * max(1, round(min(MEMORY_RUN_SECONDS, max(1.0, left))))
        rate = taken / (time.monotonic() - began)
    done.set()
    watch.join()
    settled = [(at * rate / 1e6, mib) for at, mib in samples[len(samples) // 5 :]]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if len(settled) > 2 else 0.0
    evenly = [round(samples[(len(samples) - 1) * tenth // 10][1], 1) for tenth in range(11)]
    return Memory(round(taken), evenly, slope)


def main() -> int:
    """Print the comparison, as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run lasts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of both servers")
    parser.add_argument("--events", type=int, default=500_000, help="how many events memory is watched over")
    parser.add_argument("--home", type=Path, help="where the log is written; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.home, prefix="bench-collector-") as name:
        folder = Path(name)
        with running_bare(options.workers) as bare, running_collector(folder, options.workers) as ours:
            rows = [compare(ours, bare, size, options, folder) for size in (1, BATCH)]
            memory = watch_memory(ours, options.events, options, folder)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "memory": asdict(memory)}, indent=2))
    else:
        for row in rows:
            print_row(row)
        print(
            f"collector memory over {memory.events:,} events: {memory.samples[0]:.0f} -> {memory.samples[-1]:.0f} MiB, "
            f"{memory.slope:+.2f} MiB a million events (target: flat); by tenths {memory.samples}"
        )
        print(f"{options.connections} connections, {options.workers} worker(s); at half of the peak twice as many")
    return 0


def print_row(row: Row) -> None:
    """Print what was measured with one size of request."""
    print(f"\n{row.events} event(s) a request, errors {row.errors}")
    runs = {"collector": row.collector, "bare Flask endpoint": row.bare, "collector at half of its peak": row.half}
    for name, run in runs.items():
        print(f"  {name:<30}{run.load.rate * row.events:9,.0f} events/s   {run.load.times()}")
        print(
            f"{'':32}processor {run.microseconds_an_event:.1f} us an event, "
            f"generator {run.load.cores:.2f} cores; {run.disk}"
        )
    target = f"{TARGET_RATIO}" if row.events == 1 else f"{TARGET_EVENTS:,} events/s"
    print(f"  ratio {row.ratio:.2f} of {row.ratios} (target {target}); p99 at half {row.half.load.p99:.1f} ms "
          f"(target {TARGET_P99_MS:.0f} ms)")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
