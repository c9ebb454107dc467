"""Points on an event's way at which a program kills itself, and starts of a program armed with them in turn."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping

from tests.faults.conftest import ROUNDS
from tests.faults.load import Load
from tests.faults.system import Program

COLLECTOR_POINTS = {
    "sqlite": ("parsed", "before-append", "mid-append", "synced"),
    "kafka": ("parsed", "before-append", "sent", "acknowledged"),
}
PROCESSOR_POINTS = ("mid-transaction", "committed")
TRAINER_POINTS = ("run-recorded", "half-taken-in", "taken-in", "aliases-stored", "facts-appended")


def arm_in_turn(points: tuple[str, ...], rng: random.Random, most: int) -> Callable[[], Mapping[str, str]]:
    """Return what arms each start with the next point, at a random pass."""
    starts = iter([point for _ in range(ROUNDS) for point in points])

    def arm() -> Mapping[str, str]:
        point = next(starts, None)
        return {"FAULT_POINT": point, "FAULT_AFTER": str(rng.randrange(1, most))} if point else {}

    return arm


def restart_armed(program: Program, points: tuple[str, ...], rng: random.Random, most: int) -> int:
    """End the program so that it starts armed; return how many ends to wait for."""
    program.arm = arm_in_turn(points, rng, most)
    program.signal(signal.SIGKILL)
    return program.ended + 1 + ROUNDS * len(points)


def wait_for_ends(program: Program, ends: int, load: Load, seconds: float) -> None:
    """Wait until so many starts have ended at their point."""
    deadline = time.monotonic() + seconds
    while program.ended < ends:
        assert not program.wrong, program.wrong
        assert time.monotonic() < deadline, f"{program.ended} of {ends} ends, {load.accepted} accepted"
        time.sleep(0.1)
