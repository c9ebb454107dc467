"""The run folder, and what a backend does with it: a `Work` in; a filled folder, and what is seen of it, out.

A backend is wherever a run trains. The service loop knows no more of it than `start`, `look`, `stop` and `fetch`. The
folder `runs/<project>/<run id>` is all that passes between the two, so whoever can fill such a folder is a backend:

| file | who writes it | what it is |
|---|---|---|
| `run.json` | the service loop | the run's record; a backend leaves it alone |
| `job.json` | the backend | what it needs to find the job again after a restart: a process, or a vendor's job id |
| `job.log` | the training program | its output; the last line says why it failed |
| `metrics.jsonl` | the training program | a line per log: {"step", "total", "seconds", "loss", ...} |
| `adapter/` | the training program | the adapter's files, or a whole model's; a hosted model has none |
| `guards.json` | the training program | {"guards": [...], "passed", "reasons", "not_measured", ...} |
| `result.json` | the training program | method, base, metrics, `weights_sha256` or `remote_model`, passed, reasons |
| `DONE` | the training program | last of all: everything above is whole |
| `error.txt` | the training program | the stack trace of a failure nobody foresaw |

A folder without DONE holds nothing to rely on. Nothing is kept in memory that a restart would need.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from contract.errors import ThumbwheelError

RECORD, DONE = "run.json", "DONE"
# `lost`: the job is gone without a word, as when it was killed together with its caller. It may be started again.
State = Literal["running", "ended", "failed", "lost"]


@dataclass(frozen=True)
class Work:
    """What a run is to do. `method` and `tuning` name the two axes, `start` is the adapter folder that it continues."""

    project: str
    method: str
    params: Mapping[str, Any]
    dataset: Path
    folder: Path
    base: str
    home: Path
    start: Path | None = None
    tuning: str = "lora"


@dataclass(frozen=True)
class Look:
    """What is seen of a run: its state, the metrics after byte `seen`, how far those reach, and why it failed."""

    state: State
    lines: tuple[Mapping[str, Any], ...] = ()
    seen: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Fetched:
    """What a run that ended has made: the adapter's folder here, or the id of a remote model."""

    result: Mapping[str, Any]
    guards: Mapping[str, Any]
    adapter: Path | None
    remote_model: str | None = None


class Backend(Protocol):
    """Where runs train. Every call but `start` takes the run folder only, and works after a restart of the caller."""

    def start(self, work: Work) -> None:
        """Begin the run in its folder, from nothing; what an earlier start left there goes, and its job ends."""

    def look(self, folder: Path, seen: int = 0) -> Look:
        """Return what is to be seen now. Cheap: it is asked once a second."""

    def stop(self, folder: Path) -> None:
        """End the run's job, if there is one, and return when it has ended."""

    def fetch(self, folder: Path) -> Fetched:
        """Return what an ended run has made, everything that has files copied into the folder."""


def clear(folder: Path) -> None:
    """Remove what an interrupted job left in its folder, all but `run.json`."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RECORD:
            path.unlink()


def is_done(folder: Path) -> bool:
    """Say whether everything in the folder is whole."""
    return (folder / DONE).exists()


def metrics_after(folder: Path, seen: int) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """Return the metrics after byte `seen`, whole lines only, and how far they reach."""
    file = folder / "metrics.jsonl"
    if not file.exists():
        return (), seen
    with file.open("rb") as stream:
        stream.seek(seen)
        chunk = stream.read()
    whole = chunk[: chunk.rfind(b"\n") + 1]
    return tuple(json.loads(line) for line in whole.splitlines()), seen + len(whole)


def read_made(folder: Path) -> Fetched:
    """Return what the folder of an ended run holds; raises ThumbwheelError `bad_run` when it keeps no promise."""
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
        guards: dict[str, Any] = json.loads((folder / "guards.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(folder, str(error)) from error
    adapter, remote = folder / "adapter", result.get("remote_model")
    if remote is None and not adapter.is_dir():
        raise _broken(folder, "it holds neither an adapter nor the id of a remote model")
    return Fetched(result, guards, None if remote else adapter, remote)


def _broken(folder: Path, what: str) -> ThumbwheelError:
    return ThumbwheelError(
        "bad_run", f"The run {folder.name} is marked as done and cannot be read: {what}.", "Train again."
    )
