"""A system on an Apache Kafka node of its own, and a wire to a broker that loses what it answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.system import System, running
from tests.kafka_broker import Broker, apache_kafka

PARTITIONS = {"THUMBWHEEL_PARTITIONS": "4"}
MARKS = [
    pytest.mark.slow, pytest.mark.faults, pytest.mark.kafka,
    pytest.mark.skipif(not apache_kafka(), reason="needs Apache Kafka in ../shared/kafka and Java 17"),
]  # fmt: skip


def partitions(log_url: str) -> Mapping[str, str]:
    """Return how many partitions a program on this log is told to make, as its environment says it."""
    return PARTITIONS if log_url.startswith("kafka") else {}


@contextmanager
def on_one_broker(
    folder: Path, broker: Broker | None = None, extra: Mapping[str, str] | None = None
) -> Iterator[tuple[System, Broker]]:
    """Yield a system and the one broker it is on."""
    broker = broker or Broker.apache(folder / "kafka")
    broker.start().wait()
    try:
        with running(folder / "home", f"kafka://{broker.address}", {**PARTITIONS, **(extra or {})}) as system:
            yield system, broker
    finally:
        broker.kill()


class Wire:
    """Passes bytes between clients and a broker; `cut` drops what the broker answers, then the connections."""

    def __init__(self, port: int, to: int) -> None:
        self._to = to
        self._cutting = threading.Event()
        self._server = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            self._open += [client, broker]
            threading.Thread(target=self._pass, args=(client, broker, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(broker, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self._cutting.is_set():
                    break
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            one.close()

    def cut(self, seconds: float) -> None:
        """Requests arrive, answers do not, for so long."""
        self._cutting.set()
        time.sleep(seconds)
        self._cutting.clear()

    def close(self) -> None:
        """End every connection."""
        self._server.close()
        for one in self._open:
            one.close()
