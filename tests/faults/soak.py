"""Mixed load with random faults for as long as you like; prints rates, memory, what is not stored yet, and the verdict.

    python -m tests.faults.soak --minutes 60              # embedded log; make soak
    python -m tests.faults.soak --minutes 60 --kafka      # Apache Kafka of ../shared/kafka, killed and frozen too

Ends with status 1 when an accepted event is lost, or one is stored twice or made up.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.faults.kill_points import COLLECTOR_POINTS, PROCESSOR_POINTS
from tests.faults.on_kafka import PARTITIONS
from tests.faults.system import Program, System, running
from tests.kafka_broker import Broker

REPORT_S = 10.0


class Faults:
    """Injects one random fault at a time, and counts them."""

    def __init__(self, system: System, broker: Broker | None, rng: random.Random) -> None:
        self._system, self._broker, self._rng = system, broker, rng
        self.done: Counter[str] = Counter()
        kinds: list[Callable[[], None]] = [self._signal, self._armed, self._freeze]
        self._kinds = kinds + ([self._broker_killed, self._broker_frozen] if broker else [])

    def one(self) -> None:
        """Inject one."""
        self._rng.choice(self._kinds)()

    def _program(self) -> tuple[str, Program]:
        return self._rng.choice(list(self._system.programs.items()))

    def _signal(self) -> None:
        name, program = self._program()
        number = self._rng.choice((signal.SIGKILL, signal.SIGTERM))
        self.done[f"{name} {number.name}"] += 1
        program.signal(number)

    def _armed(self) -> None:
        name, program = self._program()
        of_collector = COLLECTOR_POINTS["kafka" if self._broker else "sqlite"]
        point = self._rng.choice(of_collector if name == "collector" else PROCESSOR_POINTS)
        self.done[f"{name} killed: {point}"] += 1
        arms = iter([{"FAULT_POINT": point, "FAULT_AFTER": str(self._rng.randrange(1, 50))}])
        program.arm = lambda: next(arms, {})
        program.signal(signal.SIGKILL)

    def _freeze(self) -> None:
        name, program = self._program()
        self.done[f"{name} frozen"] += 1
        program.signal(signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.1, 5.0))
        program.signal(signal.SIGCONT)

    def _broker_killed(self) -> None:
        assert self._broker
        self.done["broker SIGKILL"] += 1
        self._broker.kill()
        time.sleep(self._rng.uniform(0.0, 5.0))
        self._broker.start()

    def _broker_frozen(self) -> None:
        assert self._broker
        self.done["broker frozen"] += 1
        self._broker.freeze()
        time.sleep(self._rng.uniform(1.0, 15.0))
        self._broker.thaw()


def resident_mib(program: Program) -> float:
    """Return the memory of a program's processes, MiB."""
    kib = 0
    for pid in program.pids():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return kib / 1024


def soak(system: System, broker: Broker | None, minutes: float, rate: float, rng: random.Random) -> bool:
    """Run the load and the faults; return whether the ledger agrees with the tables."""
    faults = Faults(system, broker, rng)
    begun = time.monotonic()
    reported, accepted = begun, 0
    with system.load(rng.randrange(2**32), rate) as load:
        while time.monotonic() - begun < minutes * 60:
            time.sleep(rng.uniform(1.0, 8.0))
            faults.one()
            if (now := time.monotonic()) - reported > REPORT_S:
                sizes = "  ".join(f"{name} {resident_mib(one):.0f} MiB" for name, one in system.programs.items())
                stored = system.stored()
                waiting = "?" if stored is None else max(0, load.accepted - stored)
                print(
                    f"{now - begun:7.0f} s  {(load.accepted - accepted) / (now - reported):6.0f} events/s  "
                    f"{load.accepted} accepted, {waiting} not stored yet  {sizes}", flush=True,
                )  # fmt: skip
                reported, accepted = now, load.accepted
    verdict = system.settle(load.ledger, seconds=600)
    for name, times in sorted(faults.done.items()):
        print(f"  {name}: {times}")
    return verdict.clean


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--kafka", action="store_true")
    given = parser.parse_args()
    print("seed", given.seed, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="thumbwheel-soak-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, True)
        broker, url = None, ""
        if given.kafka:
            broker = Broker.apache(folder / "kafka").start().wait()
            stack.callback(broker.kill)
            url = f"kafka://{broker.address}"
        system = stack.enter_context(running(folder / "home", url, PARTITIONS if given.kafka else None))
        return 0 if soak(system, broker, given.minutes, given.rate, random.Random(given.seed)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
