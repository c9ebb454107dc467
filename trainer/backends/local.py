"""The backend on this machine: a run folder in, a subprocess of `python -m trainer.run` that fills it, watched, out.

`job.json` holds the process's id and the moment it began, so that a caller that was restarted finds its job again and
takes no other process for it. A job ends by itself when its caller is gone: two never train at once.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from contract.errors import ThumbwheelError
from runtime.files import write_whole
from trainer.backends.run_folder import WORK, Fetched, Look, Work, clear, is_done, metrics_after, read_made

STOP_S = 5.0
POLL_S = 0.05
# Below what serves people: on one machine the gateway answers while a job trains.
NICENESS = 10
# Field 22 of /proc/<pid>/stat, counted after the command's name: when the process began, in ticks since boot.
_BEGAN, _STATE = 19, 0
# What a run goes on with: its checkpoints, and what it has told so far.
RESUMED = (WORK, "metrics.jsonl")


def training_program(work: Work) -> list[str]:
    """Return what Python is to run for a run, wherever it runs. Raises ThumbwheelError for a start at a vendor."""
    if work.start_remote is not None:
        raise ThumbwheelError(
            "remote_model", f"The champion is the remote model {work.start_remote}: its weights are not here.",
            "Start from the base: thumbwheel train --from base", "start", 409,
        )  # fmt: skip
    parts = [
        "-m", "trainer.run", "--project", work.project, "--dataset", str(work.dataset),
        "--out", str(work.folder), "--method", work.method, "--tuning", work.tuning,
        "--config", json.dumps(dict(work.params)), "--base", work.base, "--home", str(work.home),
        "--cache", str(work.home / "models" / "guards"),
    ]  # fmt: skip
    return [*parts, "--start", str(work.start)] if work.start else parts


def training_command(work: Work) -> list[str]:
    """Return the command that trains here; the job ends with this process."""
    parts = [sys.executable, *training_program(work), "--parent", str(os.getpid())]
    return [*parts, "--resume"] if work.resume else parts


class LocalBackend:
    """Subprocesses of this one. `command` says what a run starts; tests give another program."""

    def __init__(self, command: Callable[[Work], list[str]] | None = None) -> None:
        self._command = command or training_command
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, work: Work) -> None:
        """Start the process; its output goes to `job.log` in the run folder."""
        self.stop(work.folder)
        clear(work.folder, RESUMED if work.resume else ())
        with (work.folder / "job.log").open("wb") as output:
            child = subprocess.Popen(
                self._command(work), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        self._children[work.folder] = child
        job = {"backend": "local", "pid": child.pid, "began": _began(child.pid)}
        write_whole(work.folder / "job.json", json.dumps(job).encode())
        try:
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
        except OSError:
            return  # It ended already, or the system keeps priorities to itself.

    def look(self, folder: Path, seen: int = 0) -> Look:
        """Return what is to be seen: ended is exit code 0 and DONE; of another's child only DONE is known.

        A child that a signal ended is lost, not failed: the system wanted its memory, or its machine.
        """
        child = self._children.get(folder)
        code = None if child is None else child.poll()
        running = code is None if child else _alive(folder)
        lines, reach = metrics_after(folder, seen)  # After the look at the process: an ended one writes no more.
        if running:
            return Look("running", lines, reach)
        if is_done(folder) and not code:
            return Look("ended", lines, reach)
        if code is None:
            return Look("lost", lines, reach, "The training process is gone.")
        if code < 0 or (code := _signal_of_several(folder, code)) < 0:
            return Look("lost", lines, reach, f"The training process was ended by signal {-code}.")
        return Look("failed", lines, reach, _why(folder, code))

    def stop(self, folder: Path) -> None:
        """End the process: ask, wait 5 s, then kill."""
        child = self._children.pop(folder, None)
        if child is not None:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(STOP_S)
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _send(folder, number):
                _wait_until_gone(folder)

    def fetch(self, folder: Path) -> Fetched:
        """Return what the run has made: it is in the folder already."""
        self._children.pop(folder, None)
        return read_made(folder)


def _why(folder: Path, code: int) -> str:
    """Return the job's last line, which says why it failed."""
    lines = (folder / "job.log").read_text("utf-8", errors="replace").strip().splitlines()
    # torchrun says at length that one of its processes failed, after that one said why.
    said = next((line for line in reversed(lines) if "  hint: " in line), lines[-1] if lines else "")
    return said[:500] or f"The training process ended with exit code {code}."


def _signal_of_several(folder: Path, code: int) -> int:
    """Return the negative number of the signal that ended one of torchrun's processes, `code` where none did."""
    found = re.search(r"exitcode *: (-\d+)", (folder / "job.log").read_text("utf-8", errors="replace"))
    return int(found[1]) if found else code


def _job(folder: Path) -> tuple[int, str] | None:
    """Return the process id of the folder's job, and when it began; None where none was started."""
    try:
        job = json.loads((folder / "job.json").read_text("utf-8"))
        return int(job["pid"]), str(job["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(folder: Path) -> bool:
    """Say whether the job that was started in this folder is still there, and not another process under its id."""
    job = _job(folder)
    return job is not None and bool(job[1]) and _began(job[0]) == job[1]


def _send(folder: Path, number: signal.Signals) -> bool:
    """Send a signal to the folder's job; False where it is gone."""
    job = _job(folder)
    if job is None or not _alive(folder):
        return False
    try:
        os.kill(job[0], number)
    except ProcessLookupError:
        return False
    return True


def _wait_until_gone(folder: Path) -> None:
    end = time.monotonic() + STOP_S
    while _alive(folder) and time.monotonic() < end:
        time.sleep(POLL_S)


def _began(pid: int) -> str:
    """Return when a process began, in the system's own words; "" for none, and for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
        return "" if fields[_STATE] == "Z" else fields[_BEGAN]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except ProcessLookupError:
        return ""
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = shown.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else began.strip()
