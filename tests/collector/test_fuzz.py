"""A million damaged bodies through the collector, and every body that ever failed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import ROOT
from .fuzz_target import FOUND, SEEDS, Target

BODIES = 1_000_000
SEEDS_OF_RUNS = (20_261_126, 20_261_127)
MEMORY = Path("/dev/shm")


@pytest.mark.parametrize("name", sorted(path.name for path in FOUND.iterdir()))
def test_a_body_that_once_failed_gets_what_it_is_owed(tmp_path: Path, name: str) -> None:
    target = Target(tmp_path)
    for way in dict.fromkeys(target.ways):
        target.send((FOUND / name).read_bytes(), way)
    target.close()


def test_the_fuzzer_begins_with_what_an_sdk_sends(tmp_path: Path) -> None:
    target = Target(tmp_path)
    for events in SEEDS:
        target.send(json.dumps({"events": events}).encode(), target.ways[0])
    target.close()
    assert set(target.statuses) == {202}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris (Linux on x86-64)")
def test_a_million_damaged_bodies_are_no_fault_of_ours_and_none_is_half_accepted() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder, ExitStack() as files:
        runs, said = [], []
        for seed in SEEDS_OF_RUNS:
            home = Path(folder) / str(seed)
            home.mkdir()
            said.append(files.enter_context((home / "said").open("w+")))
            command = [sys.executable, "-m", "tests.collector.fuzz", str(seed), str(BODIES // 2), str(home)]
            runs.append(subprocess.Popen(command, cwd=ROOT, stdout=said[-1], stderr=subprocess.STDOUT))
        ends = [run.wait(1500) for run in runs]
        texts = [Path(file.name).read_text(errors="replace") for file in said]
    assert ends == [0, 0], [text[-3000:] for text in texts]
    told = [json.loads(line) for text in texts for line in text.splitlines() if line.startswith('{"seed"')]
    print(*told, sep="\n")
    assert sum(one["bodies"] for one in told) == BODIES
    assert all(one["statuses"].keys() >= {"202", "207", "400"} for one in told)
