"""`python -m trainer` as a process: ready, alone, stopped, killed; and the whole way once with the real demo model."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_store.control import Control
from eventlog.log import Log
from eventlog.opening import open_log
from runtime.data_api import Api
from tests.trainer import tiny
from tests.trainer.console import KEY, Console, serving
from trainer import run
from trainer.__main__ import projects_of
from trainer.loop import jobs


@pytest.fixture
def events(home: Path) -> Iterator[Log]:
    log = open_log(f"sqlite:///{home / 'log' / 'events.db'}")
    yield log
    log.close()


@pytest.fixture
def console(events: Log) -> Iterator[Console]:
    with serving(Console(events)) as made:
        yield made


@contextmanager
def trainer(home: Path, console: Console, base: str = "demo") -> Iterator[subprocess.Popen[str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {
        "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_SERVICE_KEY": KEY, "THUMBWHEEL_CONSOLE_URL": console.url,
        "THUMBWHEEL_BASE_MODEL": base, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer"],
        env=env,
        cwd=home,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def wait_for(done: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_it_says_when_it_is_ready_and_stops_within_10_s_with_a_job_running(
    home: Path, console: Console, bases: dict[str, Path]
) -> None:
    dataset = tiny.mixed_dataset(home / "datasets" / "default" / "ds-0123456789ab")
    console.wish("train", method="dpo", dataset_id=dataset.name, params={"epochs": 1000, "batch": 4, "rank": 4})
    with trainer(home, console, str(bases["llama"])) as process:
        wait_for(lambda: console.events("run.progress"), 120)
        assert (home / "run" / "trainer.ready").read_text() == str(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - began < 10
    assert not (home / "run" / "trainer.ready").exists()
    assert not console.events("run.failed")
    assert jobs.read_records(home / "runs" / "default")[0].state == "running"


@pytest.mark.faults
def test_a_killed_trainer_takes_its_job_along_and_the_next_one_ends_it(
    home: Path, console: Console, bases: dict[str, Path]
) -> None:
    dataset = tiny.mixed_dataset(home / "datasets" / "default" / "ds-0123456789ab")
    console.wish("train", method="dpo", dataset_id=dataset.name, params={"epochs": 40, "batch": 4, "rank": 4})
    with trainer(home, console, str(bases["llama"])) as process:
        wait_for(lambda: console.events("run.progress"), 120)
        process.kill()
        process.wait(10)
    record = jobs.read_records(home / "runs" / "default")[0]
    metrics = home / "runs" / "default" / record.run_id / "metrics.jsonl"
    wait_for(lambda: _is_still(metrics), 30)
    with trainer(home, console, str(bases["llama"])) as process:
        wait_for(lambda: console.events("run.finished"), 180)
        process.terminate()
        assert process.wait(15) == 0
    assert not console.events("run.failed")
    assert {event["run_id"] for event in console.events("run.")} == {record.run_id}
    assert len({event["event_id"] for event in console.events("run.started")}) == 1
    assert len({event["event_id"] for event in console.events("run.finished")}) == 1


def _is_still(file: Path) -> bool:
    before = file.stat().st_size
    time.sleep(2)
    return file.stat().st_size == before


def test_projects_that_have_data_but_no_key_are_looked_after(home: Path, console: Console) -> None:
    control = Control.open(f"sqlite:///{home / 'control.db'}")
    control.create_key("shop", "secret")
    api = Api(console.url, KEY)
    console.projects = ["imported", "shop"]
    assert projects_of(control, api) == ["default", "imported", "shop"]
    console.away = True
    assert projects_of(control, api) == ["default", "shop"]
    control.close()


def test_a_second_trainer_in_one_home_is_refused(home: Path, console: Console) -> None:
    with trainer(home, console) as first:
        wait_for((home / "run" / "trainer.ready").exists)
        with trainer(home, console) as second:
            assert second.wait(60) == 2
            assert second.stderr is not None
            assert "Another trainer works in" in second.stderr.read()
        assert first.poll() is None


@pytest.mark.slow
def test_the_demo_model_learns_from_a_handful_of_pairs_and_still_stops(
    demo_base: Path, tmp_path: Path, guards: Path
) -> None:
    rng = random.Random(1)
    replies = (
        "Thank you. We will look into it today.",
        "I am sorry, I do not know what a parcel is, please ask someone.",
    )
    pairs = [
        tiny.preference_row(
            i, rng, f"Question {i}: where is my order?", chosen=tiny.assistant(replies[0]),
            rejected=tiny.assistant(replies[1]),
        )
        for i in range(12)
    ]  # fmt: skip
    dataset = tiny.write_dataset(tmp_path / "ds", {"preference": {"train": pairs[:8], "validation": pairs[8:]}})
    out = tmp_path / "run"
    job = ["--dataset", str(dataset), "--out", str(out), "--base", str(demo_base), "--cache", str(guards)]
    assert run.main([*job, "--config", '{"batch": 4}']) == 0
    report = json.loads((out / "guards.json").read_text())
    verdicts = {guard["name"]: guard for guard in report["guards"]}
    assert report["held_out"]["right"] == 4
    for name in ("loads", "not_a_no_op", "ends", "not_empty"):
        assert verdicts[name]["passed"], verdicts[name]
