"""The connections of a port as the kernel knows them: in, a port and addresses; out, which of them ask for an answer.

The server tells no app which connection a request came on; the kernel's own clocks tell enough (tcp(7), TCP_INFO).
Linux only: elsewhere nothing is found.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

# struct tcp_info: milliseconds since data was last sent (at 44) and received (52), bytes received (128), segments of
# data sent (156).
_TCP_INFO = struct.Struct("=44xI4xI72xQ20xI")
# How an IPv4 address looks on a socket that serves both kinds (RFC 4291, section 2.5.5.2).
_MAPPED = "::ffff:"


def plain(address: str) -> str:
    """Return an address as it is written without IPv6."""
    return address.removeprefix(_MAPPED)


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection: `sent` and `received` are seconds since data last went either way, or since it was opened.

    `answers` counts what was sent so far, `heard` says whether anything was received.
    """

    descriptor: int
    inode: int
    peer: str
    sent: float
    received: float
    answers: int
    heard: bool

    @property
    def asks(self) -> bool:
        """Whether something came since the last answer: a request that is whole or not, or half a head."""
        return self.heard and (not self.answers or self.received < self.sent)


def find(port: int, peers: frozenset[str]) -> list[Connection]:
    """Return this process's connections of a port to these addresses."""
    if not hasattr(socket, "TCP_INFO") or not os.path.isdir("/proc/self/fd"):
        return []
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError as error:
        log.warning("Connections cannot be looked for: %s.", error.strerror)
        return []
    return [found for descriptor in descriptors if (found := _look_at(descriptor, port, peers)) is not None]


def _copy(descriptor: int, inode: int = 0) -> socket.socket | None:
    """Return a copy, which stays the same connection even if the server closes its own; None if it is none (now)."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    status = os.fstat(copy)
    if not stat.S_ISSOCK(status.st_mode) or (inode and status.st_ino != inode):
        os.close(copy)
        return None
    return socket.socket(fileno=copy)


def _look_at(descriptor: int, port: int, peers: frozenset[str]) -> Connection | None:
    copy = _copy(descriptor)
    if copy is None:
        return None
    with copy as connection:
        try:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
                return None
            peer = plain(connection.getpeername()[0])
            if peer not in peers:
                return None
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            inode = os.fstat(connection.fileno()).st_ino
        except OSError:
            return None
    if len(info) < _TCP_INFO.size:
        return None
    sent, received, size, answers = _TCP_INFO.unpack(info)
    return Connection(descriptor, inode, peer, sent / 1000, received / 1000, answers, size > 0)


def end_reading(one: Connection) -> None:
    """End the reading side: whoever waits for its bytes gets what there is, and an answer can still be sent."""
    copy = _copy(one.descriptor, one.inode)
    if copy is not None:
        with copy as connection, suppress(OSError):
            connection.shutdown(socket.SHUT_RD)


def is_over(one: Connection) -> bool:
    """Say whether nothing more can come: its client, or we, ended this connection or its reading side."""
    copy = _copy(one.descriptor, one.inode)
    if copy is None:
        return True
    with copy as connection:
        try:
            return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
