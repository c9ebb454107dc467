"""All processes on one machine: started, watched, restarted with growing pauses, stopped together.

What ends is started again, and so is what runs but no longer answers (`cli.pulse`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cli.pulse import Pulse, answers
from contract.errors import ThumbwheelError
from runtime.logs import for_a_person

STOP_SECONDS = 9.0
READY_SECONDS = 180.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# A process that ran this long before it died is started again at once.
STEADY_S = 60.0
MAX_LOG_BYTES = 10_000_000
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Program:
    """One process: its module, how to tell that it is ready (a URL, or a file), and its state.

    `alive` is a URL that answers 200 while the process does its work; empty for one that serves nothing.
    """

    name: str
    module: str
    ready: str | Path
    alive: str = ""
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    pulse: Pulse | None = None


@dataclass
class Supervisor:
    """Starts programs with one environment; `say` prints a line for a person."""

    programs: list[Program]
    env: dict[str, str]
    logs: Path
    say: Callable[[str], None]
    stopping: bool = field(default=False)

    def start(self) -> None:
        """Start everything and wait until all are ready; raises ThumbwheelError with the last line of what failed."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for program in self.programs:
            if isinstance(program.ready, Path):
                program.ready.unlink(missing_ok=True)
            self._launch(program)
        waiting = list(self.programs)
        deadline = time.monotonic() + READY_SECONDS
        while waiting and not self.stopping:
            for program in list(waiting):
                if program.process is not None and program.process.poll() is not None:
                    raise ThumbwheelError(
                        "start_failed", f"{program.name}: {self._last_line(program)}", self._log_hint(program)
                    )
                if is_ready(program.ready):
                    waiting.remove(program)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(program.name for program in waiting)
                raise ThumbwheelError(
                    "start_failed", f"Not ready after {READY_SECONDS:.0f} s: {names}.", self._log_hint(waiting[0])
                )
            time.sleep(0.1)

    def watch(self) -> None:
        """Restart what dies or no longer answers, until `stopping` is set."""
        while not self.stopping:
            for program in self.programs:
                self._look_after(program)
            time.sleep(0.2)

    def _look_after(self, program: Program) -> None:
        if self.stopping:
            return
        now = time.monotonic()
        if program.restart_at is not None:
            if now >= program.restart_at:
                program.restart_at = None
                self._launch(program)
            return
        code = program.process.poll() if program.process else None
        if code is None:
            silent = program.pulse.silent_s() if program.pulse else 0.0
            if not silent:
                return
            said = f"has not answered for {silent:.0f} s and was killed"
        else:
            said = f"ended ({_reason(code)})"
        self._kill(program)
        program.failures = 0 if now - program.started_at > STEADY_S else program.failures + 1
        pause = 0.0 if not program.failures else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (program.failures - 1))
        program.restart_at = now + pause
        self.say(f"{program.name} {said}; it starts again in {pause:.0f} s. {self._log_hint(program)}")

    def _launch(self, program: Program) -> None:
        path = self._log_path(program)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            os.replace(path, path.with_suffix(".log.1"))
        with path.open("ab") as log:
            program.process = subprocess.Popen(
                [sys.executable, "-m", "cli.child", str(os.getpid()), program.module],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        program.started_at = time.monotonic()
        program.pulse = Pulse(program.alive) if program.alive else None

    def stop(self) -> list[str]:
        """Ask all to stop, wait, kill what did not; return the names of those."""
        self.stopping = True
        running = [p for p in self.programs if p.process and p.process.poll() is None]
        for program in running:
            if program.process:
                program.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        killed = []
        for program in running:
            try:
                if program.process:
                    program.process.wait(max(0.05, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(program.name)
        for program in self.programs:
            self._kill(program)
        return killed

    def _kill(self, program: Program) -> None:
        """Kill what is left of the program's process group."""
        if program.pulse is not None:
            program.pulse.end()
        if program.process is None:
            return
        # The whole group may be gone already.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait()

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {program.name: program.process.pid for program in self.programs if program.process}

    def _log_path(self, program: Program) -> Path:
        return self.logs / f"{program.name}.log"

    def _log_hint(self, program: Program) -> str:
        return f"See {self._log_path(program)}."

    def _last_line(self, program: Program) -> str:
        lines = self._log_path(program).read_text("utf-8", errors="replace").strip().splitlines()
        return for_a_person(lines[-1])[:500] if lines else "it ended without a word."


def _reason(code: int) -> str:
    return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def is_ready(sign: str | Path) -> bool:
    """Say whether a program is ready: its file exists, or its URL answers 200."""
    if isinstance(sign, Path):
        return sign.exists()
    return answers(sign, 2)
