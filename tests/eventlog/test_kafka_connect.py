"""What a connection to Kafka has received is read whole, whatever its size, and so is what ended it."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from kafka.errors import KafkaConnectionError
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.parser import KafkaProtocol

from eventlog.kafka_log.connect import FIRST_PIECE, LARGEST_PIECE, VIEWED_FROM, Answers, receive_all


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a TCP connection; ours does not block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("size", [0, 7, VIEWED_FROM - 1, VIEWED_FROM, 3 * LARGEST_PIECE])
def test_an_answer_is_read_as_it_came(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[KafkaBytes] = []
    monkeypatch.setattr(KafkaProtocol, "_process_response", lambda _, answer: taken.append(answer))
    answers = Answers.instead_of(KafkaProtocol(client_id="us", receive_message_max_bytes=10**9, ident="here"))
    sent = os.urandom(size)
    came = struct.pack(">i", 4 + size) + b"head" + sent
    for at in range(0, len(came), 1_000_000):  # In pieces, as it arrives.
        answers.receive_bytes(came[at : at + 1_000_000])
    [answer] = taken
    assert answer.read(4) == b"head"
    rest = answer.read()
    assert rest == sent
    assert isinstance(rest, bytes if size < VIEWED_FROM else memoryview)
    assert answer.read() == b""
    answer.seek(1)
    assert answer.read(2) == b"ea"


def test_our_parser_asks_as_the_one_before_would_have() -> None:
    before = KafkaProtocol(client_id="us", receive_message_max_bytes=77, ident="here")
    ours = Answers.instead_of(before)
    for each in (before, ours):
        each.send_request(MetadataRequest[1](topics=[]))
    assert ours.send_bytes() == before.send_bytes()
    assert {"_client_id": "us", "_max_frame_size": 77, "_ident": "here"}.items() <= vars(ours).items()


def test_nothing_there_is_no_error(connected: tuple[socket.socket, socket.socket]) -> None:
    assert receive_all(connected[0]) == (b"", None)


@pytest.mark.parametrize("size", [1, FIRST_PIECE - 1, FIRST_PIECE, FIRST_PIECE + 1, 3 * LARGEST_PIECE + 17])
def test_all_bytes_arrive_in_order(connected: tuple[socket.socket, socket.socket], size: int) -> None:
    ours, theirs = connected
    sent = os.urandom(size)
    sender = threading.Thread(target=theirs.sendall, args=(sent,))
    sender.start()
    found = b""
    ours.settimeout(10)
    while len(found) < size:
        ours.setblocking(True)
        ours.recv(1, socket.MSG_PEEK)
        ours.setblocking(False)
        piece, error = receive_all(ours)
        assert error is None
        assert piece
        found += piece
    sender.join()
    assert found == sent
    assert receive_all(ours) == (b"", None)


@pytest.mark.parametrize("size", [0, 10, FIRST_PIECE])
def test_the_end_of_the_stream_is_told_with_what_came_before(
    connected: tuple[socket.socket, socket.socket], size: int
) -> None:
    ours, theirs = connected
    theirs.sendall(b"x" * size)
    theirs.shutdown(socket.SHUT_WR)
    found, error = receive_all(ours)
    if error is None:  # A short piece is handed on first; the end is still there at the next look.
        rest, error = receive_all(ours)
        found += rest
    assert found == b"x" * size
    assert isinstance(error, KafkaConnectionError)


def test_a_connection_that_was_reset_is_told(connected: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = connected
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    found, error = receive_all(ours)
    assert found == b""
    assert isinstance(error, KafkaConnectionError)
    assert "reset" in str(error).lower()
