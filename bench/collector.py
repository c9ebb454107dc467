"""Collector events/s, durable, against a bare Flask endpoint that only parses the JSON, under the same server.

    python -m bench.collector [--seconds 5] [--rounds 3] [--connections 32] [--workers 1] [--home FOLDER]

In: one event a request (a thumb of about 600 bytes), then batches of 50. Both servers are real processes with the
same workers and threads; rounds alternate between them and the median of the ratios counts. The load comes from wrk,
or from a Python generator where wrk is absent (which is then the limit, and says so). Target: 0.4.
Beside it, the disk's own rate: 700-byte appends, each followed by fdatasync, in the same folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventlog.control import Control
from eventlog.ids import uuid7
from eventlog.settings import Bind

BATCH = 50
READY_SECONDS = 20.0
WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
local file = io.open("{body}", "rb"); local body = file:read("*a"); file:close()
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, "/v1/events", nil, (body:gsub("00000000%-0000", string.format("%08x-%04x", n, n % 65536))))
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.read + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run measured: requests a second, latencies in milliseconds, answers that were not 2xx or 3xx."""

    rate: float
    p50: float
    p99: float
    errors: int


def make_bare() -> Any:
    """Return the Flask app to compare with."""
    from flask import Flask, request

    app = Flask("bare")

    @app.post("/v1/events")
    def events() -> tuple[dict[str, bool], int]:
        return {"ok": bool(request.get_json())}, 202

    @app.get("/readyz")
    def readyz() -> dict[str, bool]:
        return {"ok": True}

    return app


def serve_bare(port: int, workers: int) -> None:
    """Serve the bare app exactly as the collector is served."""
    from collector.__main__ import THREADS
    from eventlog.serve import serve

    serve(make_bare, Bind("127.0.0.1", port), workers=workers, threads=THREADS)


def event() -> dict[str, Any]:
    """Return a thumb as the JavaScript SDK sends it; wrk counts in its event id."""
    return {
        "type": "thumb", "event_id": "00000000-0000-7000-8000-" + uuid7().hex[-12:],
        "occurred_at": "2026-01-31T12:00:00.123Z", "actor": {"id": "u-5f1d7a2c", "kind": "user"},
        "interaction_id": "chatcmpl-9f8e7d6c5b4a3210", "conversation_id": "conv-4411",
        "candidate_id": "tw1.k12345678.AbCdEfGhIjKl.0123456789ABCDEF", "value": "up", "reasons": ["clear", "solved"],
        "comment": "Exactly what I needed: the form, the label and the address. " * 3, "labels": ["refund/late"],
        "sdk": {"name": "thumbwheel-js", "version": "0.1.0"},
    }  # fmt: skip


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, env: dict[str, str]) -> Iterator[int]:
    """Run a server until the block ends."""
    process = subprocess.Popen(command, env=env)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[-3:]} does not answer on port {port}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def load(port: int, body: bytes, key: str, connections: int, seconds: float, folder: Path) -> Load:
    """Send the body as fast as the server answers."""
    if shutil.which("wrk") is None:
        return python_load(port, body, key, connections, seconds)
    (folder / "body.json").write_bytes(body)
    (folder / "wrk.lua").write_text(WRK_SCRIPT.format(key=key, body=folder / "body.json"))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(folder / "wrk.lua")]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise SystemExit(f"wrk said: {done.stdout}{done.stderr}")
    requests, microseconds, errors, p50, p99 = map(int, found.groups())
    return Load(requests / microseconds * 1e6, p50 / 1000, p99 / 1000, errors)


def python_load(port: int, body: bytes, key: str, connections: int, seconds: float) -> Load:
    """Do as `load` without wrk: threads of this process, which share its one core with nobody."""
    times: list[float] = []
    errors: list[int] = []
    until = time.monotonic() + seconds

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        while (started := time.monotonic()) < until:
            fresh = body.replace(b"00000000-0000", str(uuid7())[:13].encode())
            connection.request("POST", "/v1/events", fresh, headers)
            response = connection.getresponse()
            response.read()
            times.append(time.monotonic() - started)
            if response.status >= 300:
                errors.append(response.status)

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(times)
    return Load(
        len(times) / seconds, 1000 * ordered[len(times) // 2], 1000 * ordered[int(len(times) * 0.99)], len(errors)
    )


def disk_rate(folder: Path, seconds: float = 1.0) -> float:
    """Return how many 700-byte appends with fdatasync the disk makes in a second."""
    count, started = 0, time.monotonic()
    with (folder / "disk.probe").open("wb", buffering=0) as file:
        while (spent := time.monotonic() - started) < seconds:
            file.write(bytes(700))
            os.fdatasync(file.fileno())
            count += 1
    return count / spent


def memory_mib(pid: int) -> float:
    """Return the resident memory of a server and its workers, in MiB; 0 where /proc is absent."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^(?:Pid|PPid):\t{pid}$", text, re.M):
            found = re.search(r"VmRSS:\s+(\d+)", text)
            total += int(found.group(1)) if found else 0
    return total / 1024


def compare(options: argparse.Namespace, ports: tuple[int, int], key: str, folder: Path) -> list[dict[str, Any]]:
    """Run all rounds and return one row per batch size."""
    rows = []
    for size in (1, BATCH):
        body = json.dumps({"events": [event() for _ in range(size)], "sent_at": "2026-01-31T12:00:01Z"}).encode()
        pairs = []
        for port in ports:
            load(port, body, key, options.connections, 1, folder)
        for _ in range(options.rounds):
            disk = disk_rate(folder)
            bare, ours = (load(port, body, key, options.connections, options.seconds, folder) for port in ports)
            pairs.append((ours.rate / bare.rate, ours, bare, disk))
        ratio, ours, bare, disk = sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2]
        rows.append({
            "events_per_request": size, "bytes": len(body), "ratio": round(ratio, 3),
            "ratios": [round(pair[0], 3) for pair in pairs],
            "collector_events_per_s": round(ours.rate * size), "bare_flask_events_per_s": round(bare.rate * size),
            "collector_ms": {"p50": ours.p50, "p99": ours.p99}, "bare_flask_ms": {"p50": bare.p50, "p99": bare.p99},
            "errors": sum(pair[1].errors + pair[2].errors for pair in pairs),
            "fdatasync_per_s": round(statistics.median(pair[3] for pair in pairs)),
        })  # fmt: skip
    return rows


def main() -> int:
    """Print the comparison, as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--home", type=Path, help="where the log is written; default: a temporary folder here")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-bare", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_bare:
        serve_bare(options.serve_bare, options.workers)
        return 0
    with tempfile.TemporaryDirectory(dir=options.home, prefix="bench-collector-") as name:
        folder, ports = Path(name), (free_port(), free_port())
        key = Control.open(f"sqlite:///{folder / 'control.db'}").create_key("default", "secret").key
        env = os.environ | {
            "THUMBWHEEL_HOME": name, "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{ports[1]}",
            "THUMBWHEEL_COLLECTOR_RATE": "0", "THUMBWHEEL_COLLECTOR_WORKERS": str(options.workers),
        }  # fmt: skip
        bare = [sys.executable, "-m", "bench.collector", f"--workers={options.workers}", f"--serve-bare={ports[0]}"]
        with running(bare, ports[0], env), running([sys.executable, "-m", "collector"], ports[1], env) as pid:
            before = memory_mib(pid)
            rows = compare(options, ports, key, folder)
            after = memory_mib(pid)
    print_rows(rows, before, after, options)
    return 0


def print_rows(rows: list[dict[str, Any]], before: float, after: float, options: argparse.Namespace) -> None:
    """Print what was measured."""
    if options.json:
        print(json.dumps({"rows": rows, "memory_mib": [before, after], "workers": options.workers}, indent=2))
        return
    for row in rows:
        ours, bare = row["collector_ms"], row["bare_flask_ms"]
        print(
            f"{row['events_per_request']} event(s) a request ({row['bytes']} bytes): collector "
            f"{row['collector_events_per_s']} events/s durable (p50 {ours['p50']:.1f} ms, p99 {ours['p99']:.1f} ms), "
            f"bare Flask {row['bare_flask_events_per_s']} (p50 {bare['p50']:.1f}, p99 {bare['p99']:.1f}), "
            f"ratio {row['ratio']} of {row['ratios']}, errors {row['errors']}; "
            f"disk {row['fdatasync_per_s']} fdatasync/s"
        )
    generator = "wrk" if shutil.which("wrk") else "Python (the limit here)"
    print(f"{options.connections} connections, {options.workers} worker(s), generator {generator}; "
          f"collector memory {before:.0f} -> {after:.0f} MiB; target ratio 0.4 at one event")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
