"""`thumbwheel up` as real processes on free ports, with a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.home import DevKeys, find_running, read_dev_keys
from tests.kafka_broker import free_port

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("COLLECTOR", "CONSOLE", "GATEWAY", "DEMO")


@dataclass
class Up:
    """A home and the ports of its services; starts and stops `thumbwheel up`.

    `base` is a base model's folder, for instance a tiny one; without one the home converts the demo model when it is
    first started, which takes some 30 s. `guards` is a folder in which several homes keep the base's side of the
    guards, which takes minutes to measure.
    """

    home: Path
    guards: Path | None = None
    base: Path | None = None
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in NAMES})
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.home / "models").mkdir(parents=True, exist_ok=True)
        if self.guards and not (self.home / "models" / "guards").exists():
            (self.home / "models" / "guards").symlink_to(self.guards)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of a command in this home."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        binds = {f"THUMBWHEEL_{name}_BIND": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        base = {"THUMBWHEEL_BASE_MODEL": str(self.base)} if self.base else {}
        return env | binds | base | {"THUMBWHEEL_HOME": str(self.home), "GOMP_SPINCOUNT": "20000"}

    def url(self, name: str) -> str:
        """Return a service's address."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def keys(self) -> DevKeys:
        """Return the development credentials."""
        keys = read_dev_keys(self.home)
        assert keys is not None
        return keys

    def command(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a `thumbwheel` command in this home and return what it said."""
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(
            line, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, seconds: float = 180) -> float:
        """Start and wait until all is ready; return the seconds it took."""
        began = time.monotonic()
        with (self.home / "up.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up"], cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        while find_running(self.home) is None:
            said = (self.home / "up.txt").read_text()[-2000:]
            assert self.process.poll() is None, f"`thumbwheel up` ended: {said}"
            assert time.monotonic() - began < seconds, f"not ready after {seconds} s: {said}"
            time.sleep(0.1)
        return time.monotonic() - began

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15) -> float:
        """Signal `up` and wait for its end; return the seconds it took."""
        began = time.monotonic()
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - began

    def pids(self) -> list[int]:
        """Return every process that belongs to this home: `up`, its programs and their workers."""
        mark = f"THUMBWHEEL_HOME={self.home}".encode()
        return [pid for pid in _all_pids() if mark in _environment(pid)]

    def pids_of(self, module: str) -> list[int]:
        """Return the processes of one program, its server and workers."""
        return [pid for pid in self.pids() if module.encode() in _arguments(pid)[2:]]


def link_base(home: Path, converted: Path) -> None:
    """Have a home find the demo model in this folder, so that its first start need not convert it."""
    (home / "models" / "base").mkdir(parents=True)
    (home / "models" / "base" / converted.name).symlink_to(converted)


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@contextmanager
def running(home: Path, guards: Path | None = None, base: Path | None = None) -> Iterator[Up]:
    """Yield a started `up`; whatever happens, nothing of it is left running."""
    up = Up(home, guards, base)
    try:
        up.start()
        yield up
    finally:
        if up.process is not None and up.process.poll() is None:
            try:
                up.stop()
            except subprocess.TimeoutExpired:
                up.process.kill()
        for pid in up.pids():
            os.kill(pid, signal.SIGKILL)
