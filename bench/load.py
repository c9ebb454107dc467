"""Load on one HTTP address: as fast as it answers (wrk), or at a fixed rate whatever it does (`steady`).

In: a `Target` with the bodies to send in turn. Out: a `Load`. `steady` counts each latency from the moment the request
was due and sends on schedule while answers are late, so a stall is felt by all the requests it held up (no coordinated
omission). It sends from one thread; requests wait for a free connection once all are taken. Its clock is epoll's, so up
to a millisecond of each latency is its own.
"""

from __future__ import annotations

import re
import resource
import select
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_WRK_SCRIPT = """
local requests, sent = {{}}, 0
init = function()
  for body in io.lines("{bodies}") do
    requests[#requests + 1] = wrk.format("POST", "{path}", {{{headers}}}, body)
  end
end
request = function() sent = sent + 1; return requests[sent % #requests + 1] end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    errors.status + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Target:
    """An address that takes POST, and the JSON bodies it gets in turn, one line each."""

    port: int
    path: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {"Content-Type": "application/json", **self.headers}


@dataclass(frozen=True)
class Load:
    """What one run measured: requests a second, latencies in milliseconds, answers that were none or not 2xx or 3xx.

    `cores` is how much of a processor core the generator took.
    """

    rate: float
    p50: float
    p99: float
    p999: float
    errors: int
    cores: float

    def times(self) -> str:
        """Return the latencies as text."""
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, p99.9 {self.p999:.1f} ms"


def peak(target: Target, connections: int, seconds: float, folder: Path) -> Load:
    """Send as fast as the answers come; needs wrk."""
    if shutil.which("wrk") is None:
        raise SystemExit("error: wrk is absent.  hint: apt-get install wrk")
    bodies, script = folder / "bodies.jsonl", folder / "wrk.lua"
    bodies.write_bytes(b"".join(body + b"\n" for body in target.bodies))
    headers = ", ".join(f'["{name}"]="{value}"' for name, value in target.all_headers().items())
    script.write_text(_WRK_SCRIPT.format(bodies=bodies, path=target.path, headers=headers))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(script)]
    before = _children_seconds()
    done = subprocess.run([*command, f"http://127.0.0.1:{target.port}"], capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise SystemExit(f"wrk said: {done.stdout}{done.stderr}")
    requests, microseconds, errors, *latencies = map(int, found.groups())
    took = microseconds / 1e6
    p50, p99, p999 = (latency / 1000 for latency in latencies)
    return Load(requests / took, p50, p99, p999, errors, (_children_seconds() - before) / took)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Connection:
    """A connection with at most one request in flight, and what has come of its answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._answer = b""

    def answered(self) -> bool | None:
        """Read what there is; None while the answer is incomplete, then whether it was 2xx or 3xx."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("The server closed a connection.")
        self._answer += piece
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return None
        self._answer = b""
        return head[9:10] in (b"2", b"3")


def steady(target: Target, rate: float, connections: int, seconds: float, begins: float | None = None) -> Load:
    """Send at this rate, each request when it is due, and count its latency from then.

    The first is due at `begins` of time.perf_counter (default: now), the next 1 / `rate` seconds later.
    """
    head = "".join(f"{name}: {value}\r\n" for name, value in target.all_headers().items())
    requests = [
        f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for body in target.bodies
    ]
    opened = [_Connection(target.port) for _ in range(connections)]
    used = time.process_time()
    try:
        latencies, errors = _send_on_schedule(opened, requests, rate, round(rate * seconds), begins)
    finally:
        for one in opened:
            one.socket.close()
    cores = (time.process_time() - used) / seconds
    if not latencies:
        raise SystemExit("error: no request was answered.")
    ordered = sorted(latencies)
    p50, p99, p999 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3 for share in (0.5, 0.99, 0.999))
    return Load(len(latencies) / seconds, p50, p99, p999, errors, cores)


def _send_on_schedule(
    opened: list[_Connection], requests: list[bytes], rate: float, count: int, begins: float | None
) -> tuple[list[float], int]:
    """Return the latencies in seconds, and how many answers were errors or never came."""
    by_file = {one.socket.fileno(): one for one in opened}
    poll, free = select.epoll(), deque(opened)
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    latencies: list[float] = []
    sent, errors, started = 0, 0, time.perf_counter() if begins is None else begins
    until = started + count / rate + _GRACE_SECONDS
    while len(latencies) < count and time.perf_counter() < until:
        while sent < count and free and started + sent / rate <= time.perf_counter():
            connection = free.popleft()
            connection.due = started + sent / rate
            connection.socket.sendall(requests[sent % len(requests)])
            sent += 1
        wait = started + sent / rate - time.perf_counter() if free and sent < count else 0.1
        for file, _ in poll.poll(max(0.0, wait)):
            connection = by_file[file]
            good = connection.answered()
            if good is not None:
                latencies.append(time.perf_counter() - connection.due)
                errors += not good
                free.append(connection)
    poll.close()
    return latencies, errors + count - len(latencies)
