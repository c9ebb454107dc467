"""Feedback requests/s against what people would use instead: MLflow's feedback API and Phoenix's span annotations.

    python -m bench.rivals [--seconds 5] [--rounds 2] [--connections 16] [--workers 1] [--cache FOLDER]
                           [--only mlflow|phoenix]

Each comes from PyPI into a virtual environment of its own in the cache folder (default ~/.cache/thumbwheel-bench; about
1 GB each, kept for the next time) and runs as its own command starts it, on SQLite in a fresh folder. One where PyPI is
away, or that would bring torch, is left out with a message. In: wrk sends one piece of feedback a request to their
endpoint and to ours, in turns on the same machine; ours is on disk (fsync) before it is answered, and Phoenix is asked
to store before it answers too (`sync=true`). Out: a table of requests/s, latencies, errors, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import Load, Target, peak
from bench.machine import disk_rate
from bench.serving import BODIES, free_port, running, running_collector

READY_SECONDS = 180.0
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PHOENIX_TELEMETRY_ENABLED": "false"}


@dataclass(frozen=True)
class Rival:
    """How one is installed, started and given what feedback is about; `target` returns the address to send to."""

    name: str
    package: str
    command: Callable[[int, Path, int], list[str]]
    env: Callable[[int, Path], dict[str, str]]
    ready: str
    target: Callable[[int], Target]


def mlflow_target(port: int) -> Target:
    """Store a trace and return the address of its assessments."""
    trace = "tr-" + "1" * 32
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    info = {
        "trace_id": trace, "trace_location": place, "request_time": "2026-01-31T12:00:00Z",
        "execution_duration": "1s", "state": "OK", "request_preview": "Where is my parcel?",
    }  # fmt: skip
    post(port, "/api/3.0/mlflow/traces", {"trace": {"trace_info": info}})
    bodies = [
        {"assessment": {
            "assessment_name": "thumb", "trace_id": trace, "source": {"source_type": "HUMAN", "source_id": f"user-{n}"},
            "create_time": "2026-01-31T12:00:00Z", "last_update_time": "2026-01-31T12:00:00Z",
            "feedback": {"value": True}, "rationale": "Exactly what I needed.",
        }}
        for n in range(BODIES)
    ]  # fmt: skip
    return Target(port, f"/api/3.0/mlflow/traces/{trace}/assessments", [json.dumps(one).encode() for one in bodies])


def phoenix_target(port: int) -> Target:
    """Store a span and return the address of annotations."""
    span, trace = "1" * 16, "1" * 32
    stored = {
        "name": "turn", "context": {"trace_id": trace, "span_id": span}, "span_kind": "LLM", "parent_id": None,
        "start_time": "2026-01-31T12:00:00Z", "end_time": "2026-01-31T12:00:01Z", "status_code": "OK",
        "attributes": {},
    }  # fmt: skip
    post(port, "/v1/projects/default/spans", {"data": [stored]})
    bodies = [
        {"data": [{
            "span_id": span, "name": "thumb", "annotator_kind": "HUMAN", "identifier": f"user-{n}",
            "result": {"label": "up", "score": 1, "explanation": "Exactly what I needed."},
        }]}
        for n in range(BODIES)
    ]  # fmt: skip
    return Target(port, "/v1/span_annotations?sync=true", [json.dumps(one).encode() for one in bodies])


RIVALS = (
    Rival(
        "MLflow", "mlflow",
        lambda port, home, workers: [
            "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
            "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--artifacts-destination", str(home / "files"),
        ],
        lambda port, home: {}, "/health", mlflow_target,
    ),
    Rival(
        "Phoenix", "arize-phoenix", lambda port, home, workers: ["phoenix", "serve"],
        lambda port, home: {
            "PHOENIX_PORT": str(port), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(home),
        },
        "/healthz", phoenix_target,
    ),
)  # fmt: skip


def post(port: int, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """POST JSON; raises HTTPError with the server's own words."""
    given = headers or {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), given)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            response.read()
    except urllib.error.HTTPError as error:
        error.msg = f"{error.msg}: {error.read()[:300]!r}"
        raise


def wait_until_taken(target: Target, seconds: float = 30.0) -> None:
    """Send the first body until it is taken: what it is about may be stored a moment after it was answered."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return post(target.port, target.path, json.loads(target.bodies[0]), target.all_headers())
        except urllib.error.HTTPError as error:
            if error.code != 404 or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def install(rival: Rival, cache: Path) -> Path | None:
    """Return the folder of its programs, installed now where missing; None, with a message, where that fails."""
    place = cache / rival.package
    done = place / "installed"
    if not done.exists():
        print(f"Installing {rival.package} into {place} ...", flush=True)
        venv.create(place, with_pip=True, clear=True)
        # A version of torch that does not exist: what needs torch is left out, not downloaded for gigabytes.
        (place / "without.txt").write_text("torch==0\n")
        command = [str(place / "bin" / "python"), *PIP, "--constraint", str(place / "without.txt"), rival.package]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["pip failed"])[-1]
            print(f"{rival.name} is left out: {rival.package} cannot be installed ({reason}).")
            return None
        done.touch()
    return place / "bin"


def compare(rival: Rival, programs: Path, options: argparse.Namespace, folder: Path) -> list[tuple[Load, Load]]:
    """Run both servers and load them in turns; return (ours, theirs) of each round."""
    port, home = free_port(), folder / rival.package
    home.mkdir()
    name, *arguments = rival.command(port, home, options.workers)
    env = os.environ | QUIET | {"PATH": f"{programs}:{os.environ['PATH']}"} | rival.env(port, home)
    # Its start prints a banner and progress.
    command = ["sh", "-c", 'exec "$@" >"$0" 2>&1', str(home / "output.log"), str(programs / name), *arguments]
    own = folder / f"ours-{rival.package}"
    own.mkdir()
    with (
        running(command, port, env, ready=rival.ready, seconds=READY_SECONDS),
        running_collector(own, options.workers) as ours,
    ):
        pairs = (ours.target(1), rival.target(port))
        for target in pairs:
            wait_until_taken(target)
            peak(target, options.connections, 2, folder)
        return [
            (first, second)
            for first, second in (
                [peak(target, options.connections, options.seconds, folder) for target in pairs]
                for _ in range(options.rounds)
            )
        ]


def row(name: str, loads: list[Load]) -> str:
    """Return a line of the table: the run of median rate, and the errors of all."""
    one = sorted(loads, key=lambda load: load.rate)[len(loads) // 2]
    return f"  {name:<40}{one.rate:9,.0f} requests/s   {one.times()}, errors {sum(load.errors for load in loads)}"


def main() -> int:
    """Print a table for each rival that can be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of ours and of MLflow's")
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thumbwheel-bench"
    parser.add_argument("--cache", type=Path, default=default, help="where they are installed")
    parser.add_argument("--only", choices=[rival.name.lower() for rival in RIVALS])
    options = parser.parse_args()
    for rival in RIVALS:
        if options.only not in (None, rival.name.lower()):
            continue
        programs = install(rival, options.cache)
        if programs is None:
            continue
        with tempfile.TemporaryDirectory(prefix="bench-rivals-") as name:
            disk = disk_rate(Path(name))
            rounds = compare(rival, programs, options, Path(name))
        print(f"\none piece of feedback a request, {options.connections} connections; {disk}")
        print(row("collector, on disk before the answer", [ours for ours, _ in rounds]))
        print(row(f"{rival.name}, SQLite", [theirs for _, theirs in rounds]))
        if not all(theirs.rate for _, theirs in rounds):
            print(f"  {rival.name} answered nothing within {options.seconds:.0f} s; use more --seconds.")
            continue
        print(f"  ratio {statistics.median(ours.rate / theirs.rate for ours, theirs in rounds):.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
