"""The local backend on a small program that fills a run folder: start, look, stop, fetch, and a caller that is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from trainer.backends.local import LocalBackend, training_command
from trainer.backends.run_folder import Look, Work, last_step

# Does what a training program does. The params say how it goes: wait for a file, fail, ignore a request to end.
PROGRAM = """
import json, pathlib, signal, sys, time
out, params = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
if params.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
(out / "metrics.jsonl").write_text('{"step": 1, "total": 2, "loss": 0.7}\\n{"step": 2, "to')
print("began", flush=True)
while params.get("wait") and not (out.parent / "go").exists():
    time.sleep(0.02)
if params.get("fail"):
    print("trouble on the way")
    sys.exit("No rows.  hint: collect some")
with (out / "metrics.jsonl").open("a") as file:
    file.write('tal": 2, "loss": 0.5}\\n')
(out / "adapter").mkdir()
(out / "adapter" / "adapter_model.safetensors").write_text("weights")
(out / "guards.json").write_text('{"guards": []}')
(out / "result.json").write_text(json.dumps({"method": "dpo", "base": "tiny", "weights_sha256": "ab"}))
(out / "DONE").write_text("ab")
"""
CALLER = """
import sys
from pathlib import Path
from tests.trainer.test_backends import command, work
from trainer.backends.local import LocalBackend
LocalBackend(command).start(work(Path(sys.argv[1]), wait=True))
"""


def command(asked: Work) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(asked.folder), json.dumps(dict(asked.params))]


def work(home: Path, **params: object) -> Work:
    folder = home / "run-1"
    folder.mkdir(parents=True, exist_ok=True)
    return Work("default", "dpo", params, home / "dataset", folder, "tiny", home)


def look_until(backend: LocalBackend, folder: Path, state: str, seen: int = 0) -> Look:
    """Look until the run is in this state and, when it runs, has said something."""
    end = time.monotonic() + 30
    while True:
        found = backend.look(folder, seen)
        if found.state == state and (state != "running" or found.lines or seen):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_a_run_is_started_looked_at_and_fetched(tmp_path: Path) -> None:
    asked, backend = work(tmp_path, wait=True), LocalBackend(command)
    (asked.folder / "run.json").write_text("{}")
    (asked.folder / "DONE").write_text("of an earlier start")
    backend.start(asked)
    running = look_until(backend, asked.folder, "running")
    assert [line["loss"] for line in running.lines] == [0.7]  # The half line is not there yet.
    assert backend.look(asked.folder, running.seen).lines == ()
    (tmp_path / "go").touch()
    ended = look_until(backend, asked.folder, "ended", running.seen)
    assert [line["loss"] for line in backend.look(asked.folder, running.seen).lines] == [0.5]
    assert ended.reason == ""
    made = backend.fetch(asked.folder)
    assert (made.result["weights_sha256"], made.guards, made.remote_model) == ("ab", {"guards": []}, None)
    assert made.adapter is not None and (made.adapter / "adapter_model.safetensors").exists()
    assert (asked.folder / "run.json").read_text() == "{}"


def test_a_run_that_fails_says_its_last_line(tmp_path: Path) -> None:
    asked, backend = work(tmp_path, fail=True), LocalBackend(command)
    backend.start(asked)
    assert look_until(backend, asked.folder, "failed").reason == "No rows.  hint: collect some"


def test_a_run_that_was_killed_says_by_which_signal(tmp_path: Path) -> None:
    asked, backend = work(tmp_path, wait=True), LocalBackend(command)
    backend.start(asked)
    look_until(backend, asked.folder, "running")
    os.kill(pid(asked.folder), 9)
    assert "signal 9" in look_until(backend, asked.folder, "lost").reason


@pytest.mark.parametrize("resume", [False, True])
def test_only_a_resumed_start_keeps_the_checkpoints_and_what_was_told(tmp_path: Path, resume: bool) -> None:
    asked = replace(work(tmp_path, wait=True), resume=resume)
    whole, torn = asked.folder / "work" / "checkpoint-20", asked.folder / "work" / "checkpoint-100"
    for folder in (whole, torn, asked.folder / "adapter"):
        folder.mkdir(parents=True)
    (whole / "WHOLE").touch()
    (asked.folder / "metrics.jsonl").write_text("{}\n")
    (asked.folder / "result.json").touch()
    assert last_step(asked.folder) == 20
    backend = LocalBackend(lambda asked: [sys.executable, "-c", "import time; time.sleep(60)"])
    backend.start(asked)
    kept = {"work", "metrics.jsonl"} if resume else set()
    assert {file.name for file in asked.folder.iterdir()} == {"job.json", "job.log", *kept}
    assert last_step(asked.folder) == (20 if resume else 0)
    backend.stop(asked.folder)


def pid(folder: Path) -> int:
    return int(json.loads((folder / "job.json").read_text())["pid"])


def alive(number: int) -> bool:
    stat = Path(f"/proc/{number}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("stubborn", [False, True])
def test_stopping_ends_the_process_also_a_stubborn_one(
    tmp_path: Path, stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.backends.local.STOP_S", 0.5)
    asked, backend = work(tmp_path, wait=True, stubborn=stubborn), LocalBackend(command)
    backend.start(asked)
    look_until(backend, asked.folder, "running")
    backend.stop(asked.folder)
    assert not alive(pid(asked.folder))
    assert backend.look(asked.folder).state == "lost"
    backend.stop(asked.folder)  # A second time, nothing is there to stop.


@pytest.fixture
def orphan(tmp_path: Path) -> Work:
    """A run whose caller has ended."""
    subprocess.run([sys.executable, "-c", CALLER, str(tmp_path)], check=True, env={**os.environ, "PYTHONPATH": "."})
    return work(tmp_path, wait=True)


def test_a_caller_that_was_restarted_finds_its_run_again(orphan: Work, tmp_path: Path) -> None:
    backend = LocalBackend(command)
    assert look_until(backend, orphan.folder, "running").lines
    (tmp_path / "go").touch()
    look_until(backend, orphan.folder, "ended")
    assert backend.fetch(orphan.folder).result["method"] == "dpo"


@pytest.mark.parametrize("again", [False, True])
def test_a_caller_that_was_restarted_can_stop_its_run_and_starts_no_second_beside_it(
    orphan: Work, tmp_path: Path, again: bool
) -> None:
    backend = LocalBackend(command)
    look_until(backend, orphan.folder, "running")
    before = pid(orphan.folder)
    if again:
        backend.start(orphan)
        look_until(backend, orphan.folder, "running")
        assert pid(orphan.folder) != before
    else:
        backend.stop(orphan.folder)
        assert backend.look(orphan.folder).state == "lost"
    assert not alive(before)
    backend.stop(orphan.folder)


def test_another_process_under_the_same_id_is_not_the_run(tmp_path: Path) -> None:
    asked, backend = work(tmp_path), LocalBackend(command)
    (asked.folder / "job.json").write_text(json.dumps({"pid": os.getpid(), "began": "1"}))
    assert backend.look(asked.folder).state == "lost"
    backend.stop(asked.folder)  # Does not end this test.


@pytest.mark.parametrize("missing", ["result.json", "guards.json", "adapter"])
def test_a_folder_that_keeps_no_promise_is_named(tmp_path: Path, missing: str) -> None:
    asked, backend = work(tmp_path), LocalBackend(command)
    backend.start(asked)
    look_until(backend, asked.folder, "ended")
    path = asked.folder / missing
    path.rename(path.with_name("away"))
    with pytest.raises(ThumbwheelError, match="run-1 is marked as done and cannot be read") as refused:
        backend.fetch(asked.folder)
    assert refused.value.code == "bad_run"


def test_a_job_is_told_everything_a_run_needs(tmp_path: Path) -> None:
    asked = Work("shop", "kto", {"lr": 1e-4}, tmp_path / "ds", tmp_path / "run", "demo", tmp_path, tmp_path / "ad-1")
    parts = training_command(asked)
    given = dict(zip(parts[3::2], parts[4::2], strict=True))
    assert parts[1:3] == ["-m", "trainer.run"]
    assert (given["--method"], given["--start"], given["--out"]) == ("kto", str(tmp_path / "ad-1"), str(asked.folder))
    assert json.loads(given["--config"]) == {"lr": 1e-4}
    assert given["--parent"] == str(os.getpid())
    assert training_command(replace(asked, resume=True)) == [*parts, "--resume"]
