"""The run folder, and what a backend does with it: a `Work` in; a filled folder, and what is seen of it, out.

A backend is wherever a run trains. The service loop knows no more of it than `start`, `look`, `stop` and `fetch`. The
folder `runs/<project>/<run id>` is all that passes between the two, so whoever can fill such a folder is a backend:

| file | who writes it | what it is |
|---|---|---|
| `run.json` | the service loop | the run's record; a backend leaves it alone |
| `job.json` | the backend | what it needs to find the job again after a restart: a process, or a vendor's job id |
| `job.log` | the training program | its output; the last line says why it failed |
| `metrics.jsonl` | the training program | a line per log: {"step", "total", "seconds", "loss", ...} |
| `work/` | the training program | checkpoints, `checkpoint-N/` with `WHOLE` in it; a hosted job's ids, `vendor.json` |
| `adapter/` | the training program | the adapter's files, or a whole model's; a hosted model has none |
| `guards.json` | the training program | {"guards": [...], "passed", "reasons", "not_measured", ...} |
| `result.json` | the training program | method, base, metrics, `weights_sha256` or `remote_model`, passed, reasons |
| `DONE` | the training program | last of all: everything above is whole |
| `error.txt` | the training program | the stack trace of a failure nobody foresaw |

Without DONE a folder holds nothing to rely on but whole checkpoints. Nothing is kept in memory that a restart needs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from contract.errors import ThumbwheelError

RECORD, DONE = "run.json", "DONE"
WORK, WHOLE, VENDOR = "work", "WHOLE", "vendor.json"
# `lost`: the job was killed, or is gone without a word. It may go on from its last checkpoint, or be started again.
State = Literal["running", "ended", "failed", "lost"]


@dataclass(frozen=True)
class Work:
    """What a run is to do. `method` and `tuning` name the two axes.

    It continues the adapter folder `start`, or `start_remote`, a vendor's model. `resume`: an earlier start of it was
    interrupted, and its last whole checkpoint, or its job at the vendor, is where to go on.
    """

    project: str
    method: str
    params: Mapping[str, Any]
    dataset: Path
    folder: Path
    base: str
    home: Path
    start: Path | None = None
    resume: bool = False
    start_remote: str | None = None
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
        """Begin the run in its folder; the job of an earlier start ends, and what it left goes.

        With `work.resume` its checkpoints stay, and the run goes on from the last whole one.
        """

    def look(self, folder: Path, seen: int = 0) -> Look:
        """Return what is to be seen now. Cheap: it is asked once a second."""

    def stop(self, folder: Path) -> None:
        """End the run's job, if there is one, and return when it has ended."""

    def fetch(self, folder: Path) -> Fetched:
        """Return what an ended run has made, everything that has files copied into the folder."""


def clear(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove what an interrupted job left in its folder, all but `run.json` and the names `kept`."""
    for path in folder.iterdir():
        if path.name == RECORD or path.name in kept:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def whole_checkpoints(work: Path) -> list[Path]:
    """Return the checkpoints in a run's `work` that were written to their end, oldest first."""
    found = [mark.parent for mark in work.glob(f"checkpoint-*/{WHOLE}")]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was taken."""
    return int(checkpoint.name.rpartition("-")[2])


def goes_on(folder: Path) -> str:
    """Return, in words, what an interrupted run goes on from; "" where it has to begin from nothing."""
    if (folder / WORK / VENDOR).exists():
        return "from its job at the vendor"
    step = last_step(folder)
    return f"from its checkpoint after step {step}" if step else ""


def last_step(folder: Path) -> int:
    """Return the step that an interrupted run can go on from, 0 where it has to begin from nothing."""
    work = folder / WORK
    # Later stages of a run have folders of their own, numbered in their order.
    stages = [work, *sorted(path for path in work.glob("[0-9]*-*") if path.is_dir())]
    found = [checkpoint for stage in stages for checkpoint in whole_checkpoints(stage)]
    return step_of(found[-1]) if found else 0


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
