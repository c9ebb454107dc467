"""Fuzz the events address, guided by coverage: python -m tests.collector.fuzz SEED BODIES HOME

HOME is an empty folder, best in memory. Prints JSON at the end: seed, bodies, statuses, seconds; the exit code is 0
when every body got what was owed. Needs atheris, which is published for Linux on x86-64.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["collector", "contract", "runtime", "control_store", "eventlog"]):
    from .fuzz_target import SEEDS, Target
from .mutations import MAX_BYTES, damaged, is_json, spliced

# A new log after so many, so that the folder stays small.
LOG_BODIES = 20_000
# libFuzzer's own limit looks at the peak, which a process inherits from the one that started it.
MEMORY_MIB = 1024


def memory_mib() -> int:
    """Return the memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20


def main(seed: int, bodies: int, home: Path) -> None:
    """Fuzz; ends the process."""
    began, statuses, done = time.monotonic(), Counter[int](), 0
    target = Target(home / "0")
    seeds = [json.dumps({"events": events}).encode() for events in SEEDS]
    corpus = home / "corpus"
    corpus.mkdir()
    for number, body in enumerate(seeds):
        (corpus / str(number)).write_bytes(body)

    def one(body: bytes) -> None:
        nonlocal done, target
        target(body)
        done += 1
        if done % LOG_BODIES == 0 or done == bodies:
            assert memory_mib() < MEMORY_MIB, f"{memory_mib()} MiB are in use after {done} bodies"
            target.close()
            statuses.update(target.statuses)
            shutil.rmtree(target.home)
            target = Target(home / str(done))
        if done == bodies:
            told = {"seed": seed, "bodies": done, "seconds": round(time.monotonic() - began, 1), "statuses": statuses}
            print(json.dumps(told), flush=True)

    def mutated(body: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if not is_json(body) and random.random() < 0.8:
            body = random.choice(seeds)
        if random.random() < 0.05:
            return bytes(atheris.Mutate(body, most))
        if random.random() < 0.05:
            return spliced(body, random.choice(seeds), random)
        return damaged(body, random)

    options = [f"-runs={bodies + 100}", f"-seed={seed}", f"-max_len={MAX_BYTES}"]
    options += ["-mutate_depth=1", "-cross_over=0", "-rss_limit_mb=0"]
    atheris.Setup(["fuzz", *options, f"-artifact_prefix={home}/", str(corpus)], one, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
