"""The supervisor: starts, restarts what dies, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.supervisor import Program, Supervisor
from contract.errors import ThumbwheelError
from tests.waiting import eventually

READY = "import pathlib, sys, time; pathlib.Path({file!r}).write_text('x'); {then}"


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder on the path of the programs."""
    folder = tmp_path / "modules"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, then: str) -> Program:
    ready = folder / f"{name}.ready"
    (folder / f"{name}.py").write_text(READY.format(file=str(ready), then=then))
    return Program(name, name, ready)


def supervise(folder: Path, programs: list[Program]) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return Supervisor(programs, env, folder / "logs", said.append), said


def test_a_program_that_dies_is_started_again_with_a_line_that_says_so(modules: Path) -> None:
    one = program(modules, "tw_steady", "time.sleep(60)")
    supervisor, said = supervise(modules, [one])
    supervisor.start()
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    first = supervisor.pids()["tw_steady"]
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while supervisor.pids()["tw_steady"] == first:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "tw_steady ended (signal SIGKILL)" in said[0]
    assert supervisor.stop() == []
    watching.join()


def test_a_program_that_cannot_start_ends_the_start_with_its_last_line(modules: Path) -> None:
    bad = program(modules, "tw_bad", "sys.exit('the model is missing')")
    bad.ready = modules / "never"
    supervisor, _ = supervise(modules, [bad])
    with pytest.raises(ThumbwheelError, match="tw_bad: the model is missing"):
        supervisor.start()
    supervisor.stop()


def test_a_program_that_ignores_the_signal_is_killed_and_named(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.supervisor.STOP_SECONDS", 1.0)
    stubborn = program(modules, "tw_stubborn", "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    supervisor, _ = supervise(modules, [stubborn])
    supervisor.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert supervisor.stop() == ["tw_stubborn"]
    assert time.monotonic() - began < 5


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of a dead parent on Linux")
def test_programs_end_when_their_supervisor_is_killed(modules: Path) -> None:
    program(modules, "tw_child", "time.sleep(60)")
    code = (
        "import sys, time; sys.path.insert(0, '.'); from pathlib import Path; "
        "from tests.cli.test_supervisor import supervise; from cli.supervisor import Program; "
        f"f = Path({str(modules)!r}); s, _ = supervise(f, [Program('tw_child', 'tw_child', f / 'tw_child.ready')]); "
        "s.start(); print(s.pids()['tw_child'], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_failure_in_a_row_waits_longer(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.supervisor.FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr("cli.supervisor.LONGEST_PAUSE_S", 0.8)
    failing = program(modules, "tw_failing", "time.sleep(0.5); sys.exit(3)")
    supervisor, said = supervise(modules, [failing])
    pauses: list[float] = []
    supervisor.start()
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    deadline = time.monotonic() + 20
    while len(pauses) < 4:
        assert time.monotonic() < deadline, said
        due = failing.restart_at
        if due is not None and len(said) > len(pauses):
            pauses.append(round(min(0.8, 0.2 * 2 ** len(pauses)) - (due - time.monotonic()), 1))
        time.sleep(0.01)
    supervisor.stop()
    watching.join()
    assert pauses == pytest.approx([0.0] * 4, abs=0.1), "each pause is twice the one before, up to the longest"
    assert all("tw_failing ended (status 3)" in line and "tw_failing.log" in line for line in said)


def test_what_a_program_started_ends_with_it(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.supervisor.STOP_SECONDS", 1.0)
    worker = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    parent = program(
        modules, "tw_parent",
        f"import subprocess; p = subprocess.Popen([sys.executable, '-c', {worker!r}]); "
        f"pathlib.Path({str(modules / 'worker.pid')!r}).write_text(str(p.pid)); time.sleep(60)",
    )  # fmt: skip
    supervisor, _ = supervise(modules, [parent])
    supervisor.start()
    deadline = time.monotonic() + 10
    while not (modules / "worker.pid").exists() or not (modules / "worker.pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((modules / "worker.pid").read_text())
    time.sleep(0.3)
    assert supervisor.stop() == []
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_programs_stop_within_ten_seconds_of_each_other(modules: Path) -> None:
    slow = "import signal; signal.signal(15, lambda *_: (time.sleep(1), sys.exit(0))); time.sleep(60)"
    several = [program(modules, f"tw_slow{n}", slow) for n in range(3)]
    supervisor, _ = supervise(modules, several)
    supervisor.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert supervisor.stop() == []
    assert time.monotonic() - began < 10


# Answers until a file says that it hangs: then it takes connections and says nothing, as if all threads were taken.
HANGS = """
import http.server, pathlib, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while pathlib.Path({hangs!r}).exists():
            time.sleep(0.1)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *said):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler)
time.sleep({start})
pathlib.Path({ready!r}).write_text("x")
server.serve_forever()
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience."""
    for name, seconds in (("PAUSE_S", 0.1), ("ANSWER_S", 0.2), ("SILENT_S", 1.5)):
        monkeypatch.setattr(f"cli.pulse.{name}", seconds)


@pytest.mark.usefixtures("short")
def test_a_program_that_no_longer_answers_is_started_again_with_a_line_that_says_so(
    modules: Path, free_port: Callable[[], int]
) -> None:
    port, hangs, ready = free_port(), modules / "hangs", modules / "ready"
    # Its start takes longer than the silence that is allowed later on.
    code = HANGS.format(hangs=str(hangs), port=port, ready=str(ready), start=2.5)
    (modules / "tw_hanging.py").write_text(code)
    one = Program("tw_hanging", "tw_hanging", ready, f"http://127.0.0.1:{port}/healthz")
    supervisor, said = supervise(modules, [one])
    supervisor.start()
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    try:
        time.sleep(2.5)
        assert said == []
        first = supervisor.pids()["tw_hanging"]
        hangs.touch()
        eventually(lambda: supervisor.pids()["tw_hanging"] != first, 15)
        assert said[0].startswith("tw_hanging has not answered for 2 s and was killed; it starts again in 1 s.")
        hangs.unlink()
        time.sleep(6)
        assert len(said) == 1
    finally:
        supervisor.stop()
        watching.join()
