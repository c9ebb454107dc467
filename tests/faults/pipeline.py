"""A collector and a processor as processes in one home, and a network in front of the collector."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from runtime.data_api import Api
from runtime.settings import Settings
from tests.collector.conftest import Process
from tests.collector.conftest import wait_ready as wait_collector
from tests.collector.test_process import metric
from tests.faults.network import Network
from tests.kafka_broker import free_port
from tests.processor.test_process import wait_caught_up
from tests.processor.test_process import wait_ready as wait_processor

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Pipeline:
    """Starts with the collector; the processor runs when it is asked for."""

    home: Path
    collector: Process = field(init=False)
    processor: subprocess.Popen[bytes] | None = None
    network: Network = field(init=False)

    def __post_init__(self) -> None:
        control = Control.open(Settings(home=self.home).control_url)
        secret = control.create_key("default", "secret").key
        control.close()
        self.ports = {"COLLECTOR": free_port(), "CONSOLE": free_port()}
        port = self.ports["COLLECTOR"]
        self.collector = Process(f"http://127.0.0.1:{port}", port, self.home, secret, "", self._begin("collector"))
        self.network = Network(port)
        wait_collector(self.collector, 60)

    def _begin(self, module: str) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        env |= {f"THUMBWHEEL_{name}_BIND": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        env |= {"THUMBWHEEL_HOME": str(self.home), "THUMBWHEEL_EMBEDDER": "none"}
        with (self.home / f"{module}.txt").open("ab") as output:
            return subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=env, stderr=output, stdout=output)

    @property
    def url(self) -> str:
        """Return the collector's address behind the network."""
        return f"http://127.0.0.1:{self.network.port}"

    def restart_collector(self, number: int) -> None:
        """Kill the collector, or have it stop, and start it again."""
        if number == signal.SIGKILL:
            self.collector.kill()
        else:
            self.collector.process.send_signal(number)
            assert self.collector.process.wait(15) == 0
        self.collector.process = self._begin("collector")
        wait_collector(self.collector, 60)

    def start_processor(self) -> None:
        """Start the processor where it does not run."""
        if self.processor is None:
            self.processor = self._begin("processor")
            wait_processor(self.ports["CONSOLE"], self.processor)

    def console(self) -> Api:
        """Return the console's data API, once the processor has caught up."""
        self.start_processor()
        wait_caught_up(self.ports["CONSOLE"])
        return Api(f"http://127.0.0.1:{self.ports['CONSOLE']}", self.collector.secret, "default")

    @contextlib.contextmanager
    def tables(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Have the processor catch up and end, then open its tables."""
        self.console()
        self.stop_processor()
        with duckdb.connect(str(self.home / "processor" / "thumbwheel.duckdb"), read_only=True) as db:
            yield db

    def counted(self, name: str, **labels: str) -> float:
        """Return a counter of the collector since its last start."""
        return metric(self.collector.get("/metrics")[1], f"thumbwheel_collector_{name}_total", **labels)

    def records(self) -> int:
        """Return how many records of events the log holds, doubles included."""
        log = open_log(Settings(home=self.home).log_url)
        try:
            return sum(log.end_offset(EVENTS, partition) for partition in range(log.partitions(EVENTS)))
        finally:
            log.close()

    def stop_processor(self) -> None:
        """End the processor."""
        if self.processor is not None:
            self.processor.terminate()
            self.processor.wait(15)
            self.processor = None

    def stop(self) -> None:
        """End everything."""
        self.network.stop()
        self.stop_processor()
        self.collector.process.terminate()
        self.collector.process.wait(15)
