"""Collector and processor as processes of their own on one log, started again whenever they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from processor.history.replay import replay, store_path
from processor.tables.store import Store
from runtime.settings import Settings
from tests.faults.conftest import MOST_RATE
from tests.faults.counts import tell
from tests.faults.ledger import Ledger, Verdict
from tests.faults.load import Load
from tests.kafka_broker import free_port

ROOT = Path(__file__).resolve().parents[2]
ARMED = Path(__file__).parent / "armed"
START_S = 60.0
NO_SUCH_POINT = 70

Arm = Callable[[], Mapping[str, str]]


def unarmed() -> Mapping[str, str]:
    """Return no fault."""
    return {}


class Program:
    """One service, in a process group of its own; a thread starts it again when it ends.

    `arm` gives what is added to the environment of each start. `ended` counts ends that nobody asked for. With
    `alone` signals go to the service only, and what it started is left to end by itself.
    """

    def __init__(self, module: str, port: int, env: Mapping[str, str], output: Path, alone: bool = False) -> None:
        self.port = port
        self._alone = alone
        self.arm: Arm = unarmed
        self.ended = 0
        # What it said when it could not be armed.
        self.wrong = ""
        self.output = output
        self._module = module
        self._env = env
        self._wanted = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, and keep it started."""
        self._wanted.set()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while self._wanted.is_set():
            with self.output.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self._module], cwd=ROOT, env={**self._env, **self.arm()},
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                )  # fmt: skip
            status = self._process.wait()
            if not self._alone:
                self._kill_group()
            if status == NO_SUCH_POINT:
                self.wrong = self.said()
                return
            self.ended += self._wanted.is_set()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL) if self._process else None
        except ProcessLookupError:
            return

    def signal(self, number: signal.Signals) -> None:
        """Signal every process of the service, or it alone."""
        if self._process is not None and self._process.poll() is None:
            (os.kill if self._alone else os.killpg)(self._process.pid, number)

    def pids(self) -> list[int]:
        """Return its processes: the server and its workers."""
        if self._process is None:
            return []
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.getpgid(int(entry.name)) == self._process.pid:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
        return found

    def wait_ready(self, seconds: float = START_S) -> None:
        """Wait until it says so itself."""
        deadline = time.monotonic() + seconds
        while self.ask("/readyz") is None:
            assert time.monotonic() < deadline, f"{self._module} is not ready: {self.said()}"
            time.sleep(0.05)

    def ask(self, path: str, key: str = "") -> str | None:
        """Return what an address answers; None while it does not."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(answer.read().decode()) if answer.status == 200 else None
        except (urllib.error.URLError, OSError):
            return None

    def stop(self, seconds: float = 20.0) -> None:
        """End it as an operator does, and leave it ended."""
        self._wanted.clear()
        self.arm = unarmed
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self._kill_group()
        if self._thread is not None:
            self._thread.join(5)

    def kill(self) -> None:
        """End it with kill -9, and leave it ended."""
        self._wanted.clear()
        self._kill_group()
        if self._thread is not None:
            self._thread.join(5)

    def said(self) -> str:
        """Return the last lines it wrote."""
        return self.output.read_text("utf-8", "replace")[-3000:] if self.output.exists() else ""


class System:
    """A home with a collector and a processor on the log at `log_url` (default: embedded)."""

    def __init__(self, home: Path, log_url: str = "", extra: Mapping[str, str] | None = None) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.settings = replace(Settings(), home=home, log=log_url)
        control = Control.of(self.settings)
        self.secret = control.create_key("default", "secret").key
        control.close()
        ports = free_port(), free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        self.env = env | {
            "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_EMBEDDER": "none", "THUMBWHEEL_COLLECTOR_RATE": "0",
            "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{ports[0]}", "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{ports[1]}",
            "PYTHONPATH": os.pathsep.join([str(ARMED), str(ROOT), str(ROOT / "sdk" / "python")]),
        } | ({"THUMBWHEEL_LOG": log_url} if log_url else {}) | dict(extra or {})  # fmt: skip
        self.collector = Program("collector", ports[0], self.env, home / "collector.txt")
        self.processor = Program("processor", ports[1], self.env, home / "processor.txt")
        self.programs = {"collector": self.collector, "processor": self.processor}

    @property
    def database(self) -> Path:
        """Return where the processor keeps its tables."""
        return store_path(self.settings)

    def load(self, seed: int, rate: float = 5000.0, twice: bool = False, asked_last: bool = False) -> Load:
        """Return events to post to the collector, as `Load` says."""
        return Load(self.collector.port, self.secret, seed, min(rate, MOST_RATE), twice, asked_last)

    def wait_ready(self) -> None:
        """Wait until both are."""
        for program in self.programs.values():
            program.wait_ready()

    def stored(self) -> int | None:
        """Return how many events the tables hold; None while nobody answers."""
        answer = self.processor.ask("/api/v1/projects", self.secret)
        return None if answer is None else sum(item["events"] for item in json.loads(answer)["items"])

    def settle(self, ledger: Ledger, seconds: float = 120.0) -> Verdict:
        """Disarm, let the processor catch up, stop both and compare the ledger with the tables.

        It has caught up when nothing was added for `seconds`, or all is there.
        """
        for program in self.programs.values():
            program.arm = unarmed
            program.signal(signal.SIGCONT)
        self.wait_ready()
        most, deadline = 0, time.monotonic() + seconds
        while most < len(ledger.accepted) and time.monotonic() < deadline:
            stored = self.stored() or 0
            if stored > most:
                most, deadline = stored, time.monotonic() + seconds
            time.sleep(0.2)
        self.stop()
        verdict = ledger.compare(self.database)
        ends = ", ".join(f"{name} {program.ended}" for name, program in self.programs.items())
        tell(f"{verdict}; answers {dict(ledger.answers)}; ended by a fault: {ends}")
        return verdict

    def places(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        """Return, by partition of events, where the log begins, what a stopped processor reads next, where it ends."""
        with Store.open(self.database) as store:
            offsets = store.offsets()
        log = open_log(self.settings.log_url)
        places = [(EVENTS, partition) for partition in range(log.partitions(EVENTS))]
        ends = log.end_offsets(places)
        found = {place: (log.start_offset(*place), offsets[place], ends[place]) for place in places}
        log.close()
        return found

    def differing_after_replay(self) -> tuple[str, ...] | None:
        """Replay the log and name the tables that changed; both programs must be stopped."""
        return replay(self.settings).differing

    def stop(self) -> None:
        """End both."""
        for program in self.programs.values():
            program.stop()


@contextmanager
def running(home: Path, log_url: str = "", extra: Mapping[str, str] | None = None) -> Iterator[System]:
    """Yield a started system; nothing of it is left running."""
    system = System(home, log_url, extra)
    try:
        for program in system.programs.values():
            program.start()
        system.wait_ready()
        yield system
    except BaseException:
        for program in system.programs.values():
            print(program.said())
        raise
    finally:
        system.stop()
