"""Clients that mean harm, as bytes on the wire: HTTP/2 frames written by hand, and bodies that stop or dribble.

In: the port of a service and a path. Out: open connections, or what came back.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS = 4, 1
END_HEADERS = 4
# Another address of this machine, so that who is slow and who is not can be told apart.
THEIRS = "127.0.0.2"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head_block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Headers as HPACK literals that are never indexed (RFC 7541, section 6.2.3); each text shorter than 127 bytes."""
    block = b""
    for name, value in headers:
        block += b"\x10" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


def post_heads(path: str, count: int) -> bytes:
    """So many heads of POSTs on one HTTP/2 connection, each of which promises a body and sends none."""
    block = head_block([
        (":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path),
        ("content-type", "application/json"), ("content-length", "500"),
    ])  # fmt: skip
    heads = b"".join(frame(HEADERS, END_HEADERS, 2 * number + 1, block) for number in range(count))
    return PREFACE + frame(SETTINGS, 0, 0) + heads


@contextmanager
def http2_posts_without_bodies(port: int, path: str, count: int = 150) -> Iterator[None]:
    """One connection with so many POST heads and nothing after them, for two seconds at least; then it is gone."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        with suppress(OSError):
            client.sendall(post_heads(path, count))
        time.sleep(2)
        yield


@contextmanager
def stalled_posts(port: int, path: str, count: int, source: str = THEIRS, *lines: str) -> Iterator[list[socket.socket]]:
    """So many HTTP/1 connections, each with a POST whose body stops after ten bytes."""
    clients = [socket.create_connection(("127.0.0.1", port), 60, (source, 0)) for _ in range(count)]
    more = "".join(f"{line}\r\n" for line in lines)
    kind = "application/x-www-form-urlencoded" if path == "/login" else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 500\r\n{more}\r\n"
    try:
        for client in clients:
            client.sendall(head.encode() + b'{"events":')
        yield clients
    finally:
        for client in clients:
            client.close()


@contextmanager
def dribbling(clients: Sequence[socket.socket], seconds: float = 0.2) -> Iterator[None]:
    """Meanwhile every one of these sends a space now and then."""
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(seconds):
            for client in clients:
                with suppress(OSError):
                    client.send(b" ")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def status_of(port: int, path: str, body: bytes | None = None, key: str = "", seconds: float = 10.0) -> int:
    """The status of an honest request; 0 when it had no answer."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def first_line(client: socket.socket) -> bytes:
    """The beginning of what comes back; empty when the connection was closed or reset."""
    try:
        return client.recv(4096)[:12]
    except OSError:
        return b""


def until_closed(client: socket.socket) -> bytes:
    """All that comes back until the connection is closed."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def code_of(answer: bytes) -> str:
    """The code in the body of an error, of our one shape or of the gateway's."""
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    return str(body["error"]["code"])
