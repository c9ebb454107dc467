"""The faults of kafka-python's connections, and what they cost in copies, are still there.

Each test fails once upstream has mended the fault, and says which workaround can go then (decision 0010).
"""

from __future__ import annotations

import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kafka
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaError, KafkaTimeoutError, SaslAuthenticationFailedError
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

from tests.eventlog.kafka_upstream.fake_broker import FakeBroker

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def network() -> Iterator[Callable[..., KafkaNetClient]]:
    """Makes kafka-python's network clients; closes what a client that cannot bootstrap leaves behind."""
    made: list[KafkaNetClient] = []

    def make(**config: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_these_reproductions_are_of_the_version_that_is_locked() -> None:
    locked = re.search(r"^kafka-python==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    assert kafka.__version__ == locked[1], "Run these tests with the new version, and read decision 0010 again."


def test_a_refused_login_is_tried_until_the_time_out_and_not_told(
    broker: FakeBroker, network: Callable[..., KafkaNetClient]
) -> None:
    began = time.monotonic()
    with pytest.raises(KafkaError) as raised:
        KafkaConsumer(
            bootstrap_servers=broker.address, bootstrap_timeout_ms=1_500, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN", sasl_plain_username="u", sasl_plain_password="p", reconnect_backoff_max_ms=100,
            kafka_client=network,
        )  # fmt: skip
    still = "A refused login is told at once: connect.Connections need not remember refusals."
    assert isinstance(raised.value, KafkaTimeoutError) and "Unable to bootstrap" in str(raised.value), still
    assert time.monotonic() - began > 1.4, still
    assert len(broker.requests("SaslAuthenticate")) > 2, still


def test_a_client_that_cannot_bootstrap_leaves_its_thread_behind(network: Callable[..., KafkaNetClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        before = set(threading.enumerate())
        with pytest.raises(KafkaError):
            KafkaConsumer(
                bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}", bootstrap_timeout_ms=300, kafka_client=network
            )
        time.sleep(0.3)
        left = [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]
    assert left, "A client that cannot bootstrap closes itself: Cluster.connect need not close its network client."


class Received:
    """The protocol above a transport: keeps what it gets."""

    _sensors = None

    def __init__(self) -> None:
        self.data = b""
        self.ended: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.append(error)


def test_what_came_before_the_end_of_a_connection_is_dropped() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(b"why you are refused")
    theirs.close()
    net, received = NetworkSelector(), Received()
    transport = KafkaTCPTransport(net, ours)
    transport.set_protocol(received)
    transport.resume_reading()
    deadline = time.monotonic() + 5
    while not received.ended and time.monotonic() < deadline:
        net.poll(timeout_ms=50)
    net.close()
    assert len(received.ended) == 1
    assert received.data == b"", "What came before the end is read: Connections._build_transport need not wrap it."


def test_a_refusal_before_a_hang_up_does_not_reach_who_connects(
    broker: FakeBroker, network: Callable[..., KafkaNetClient]
) -> None:
    with pytest.raises(KafkaError) as raised:
        KafkaConsumer(
            bootstrap_servers=broker.address, bootstrap_timeout_ms=500, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN", sasl_plain_username="u", sasl_plain_password="p", kafka_client=network,
        )  # fmt: skip
    assert not isinstance(raised.value, SaslAuthenticationFailedError)
    assert not isinstance(raised.value.__cause__, SaslAuthenticationFailedError), (
        "The error of a client that cannot bootstrap has its cause: reason_of can take it from there."
    )


class Pieces:
    """A socket with a megabyte that has arrived; counts how often it is asked."""

    def __init__(self) -> None:
        self.left = 1024 * 1024
        self.asked = 0

    def recv(self, size: int) -> bytes:
        self.asked += 1
        if not self.left:
            raise BlockingIOError
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


def test_a_connection_is_read_four_kilobytes_at_a_time() -> None:
    pieces = Pieces()
    net = NetworkSelector()
    data, error = KafkaTCPTransport(net, pieces)._sock_recv()
    net.close()
    assert (len(data), error) == (1024 * 1024, None)
    assert pieces.asked > 256, "More is received at once: connect.receive_all can go, once bench.processor agrees."


def test_an_answer_is_copied_twice_to_be_read() -> None:
    size = 8 * 1024 * 1024
    answer = KafkaBytes(size)
    tracemalloc.start()
    read = answer.read()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read) == size
    assert most > 2 * size, "An answer is copied less: connect.Answers can go, once bench.processor agrees."
