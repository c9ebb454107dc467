"""A collector and several processors on one Kafka broker: one that holds everything, others that hold their own."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.on_kafka import on_one_broker
from tests.faults.system import Program, System
from tests.kafka_broker import free_port

PARTITIONS = 6
# The shortest a broker allows.
SESSION_S = 6


class Several:
    """A system whose processor has others beside it."""

    def __init__(self, system: System, parts: Path, others: int) -> None:
        self.system = system
        self.parts = parts
        self.others = [self._program(number) for number in range(1, others + 1)]

    def _program(self, number: int) -> Program:
        home, port = self.system.settings.home.with_name(f"home-{number}"), free_port()
        home.mkdir()
        env = self.system.env | {
            "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{port}",
            "THUMBWHEEL_CONTROL": self.system.settings.control_url,
            "THUMBWHEEL_PROCESSOR_NAME": f"processor-{number}", "THUMBWHEEL_PROCESSOR_HOLDS": "own",
        }  # fmt: skip
        return Program("processor", port, env, home / "processor.txt")

    @property
    def processors(self) -> list[Program]:
        """Return them all; the first holds everything."""
        return [self.system.processor, *self.others]

    def owned(self) -> list[int]:
        """Return how many partitions each owns by its own account; 0 for one that does not answer."""
        return [_gauge(program.ask("/metrics") or "") for program in self.processors]

    def wait_shared(self, among: int, seconds: float = 60.0) -> None:
        """Wait until so many processors own partitions, and all partitions are owned."""
        deadline = time.monotonic() + seconds
        while sum(owned := self.owned()) != PARTITIONS or sum(count > 0 for count in owned) != among:
            assert time.monotonic() < deadline, (owned, [program.said()[-800:] for program in self.processors])
            time.sleep(0.2)


def _gauge(metrics: str) -> int:
    name = "thumbwheel_processor_partitions_owned "
    return next((int(float(line.split()[1])) for line in metrics.splitlines() if line.startswith(name)), 0)


@contextmanager
def several_processors(folder: Path, others: int, started: bool = True) -> Iterator[Several]:
    """Yield a started system with `others` processors beside its own; nothing of it is left running."""
    parts = folder / "parts"
    settings = {
        "THUMBWHEEL_PARTITIONS": str(PARTITIONS), "THUMBWHEEL_PARTS": str(parts),
        "THUMBWHEEL_PROCESSOR_NAME": "processor-0", "THUMBWHEEL_PROCESSOR_SESSION_S": str(SESSION_S),
    }  # fmt: skip
    with on_one_broker(folder, extra=settings) as (system, _):
        several = Several(system, parts, others)
        try:
            for program in several.others if started else ():
                program.start()
                program.wait_ready()
            if started:
                several.wait_shared(1 + others)
            yield several
        finally:
            for program in several.others:
                program.stop()


def some(rng: random.Random, several: Several) -> Program:
    """Return one of the processors."""
    return rng.choice(several.processors)
