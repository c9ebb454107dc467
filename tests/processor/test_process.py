"""`python -m processor` as a whole: ready, stopped, killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.events import Event
from eventlog.log import Log
from processor.history.replay import replay, store_path
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, interaction, pick

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(settings: Settings, port: int) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def launch() -> subprocess.Popen[bytes]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("THUMBWHEEL_")}
        env |= {
            "THUMBWHEEL_HOME": str(settings.home), "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{port}",
            "THUMBWHEEL_EMBEDDER": "none",
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "processor"], cwd=ROOT, env=env, stderr=subprocess.PIPE, start_new_session=True
        )
        running.append(process)
        return process

    yield launch
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("not ready in 30 s")


def wait_caught_up(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        lags = [float(line.split()[-1]) for line in lines if line.startswith("thumbwheel_processor_lag_records{")]
        if lags and sum(lags) == 0:
            return
        time.sleep(0.2)
    raise AssertionError("it did not catch up in 60 s")


def test_it_stores_events_and_stops_within_ten_seconds(
    log: Log, settings: Settings, port: int, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = start()
    wait_ready(port, process)
    append(log, interaction("t1", {"a": "x", "b": "y"}), pick("t1", "ab", "a"))
    time.sleep(1.0)
    started = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - started < 10
    with Store.open(store_path(settings)) as store, store.read() as cursor:
        assert cursor.execute("SELECT count(*) FROM pairs").fetchone() == (1,)


def test_a_second_processor_on_the_file_ends_with_one_clear_line(
    log: Log, settings: Settings, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    with Store.open(store_path(settings)):
        process = start()
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert b"Another process has" in errors
    assert b"Traceback" not in errors


@pytest.mark.faults
@pytest.mark.slow
def test_killed_again_and_again_it_loses_and_doubles_nothing(
    log: Log, settings: Settings, port: int, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    turns = 0
    for _ in range(4):
        process = start()
        deadline = time.monotonic() + rng.uniform(1.5, 4.0)
        while time.monotonic() < deadline:
            append(log, *(e for n in range(turns, turns + 50) for e in _turn(n)))
            turns += 50
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = start()
    wait_ready(port, process)
    wait_caught_up(port)
    process.terminate()
    assert process.wait(10) == 0
    with Store.open(store_path(settings)) as store, store.read() as cursor:
        for table in ("interactions", "feedback", "pairs"):
            assert cursor.execute(f"SELECT count(*) FROM {table}").fetchone() == (turns,), table
    assert replay(settings).differing == ()


def _turn(number: int) -> tuple[Event, Event]:
    return interaction(f"t{number}", {"a": "x", "b": "y"}, prompt=f"q {number}"), pick(f"t{number}", "ab", "a")
