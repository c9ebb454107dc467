"""Workers replaced while requests come in: none is lost or refused, a worker that cannot start replaces nobody."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from runtime.reloads import Reloads, read_reloads, reloads_file

from .conftest import Process, thumb
from .test_process import stored_ids

SCRIPT = """
local sent, thread_number = 0, 1
function setup(thread) thread:set("number", thread_number) thread_number = thread_number + 1 end
request = function()
  sent = sent + 1
  local id = string.format("01890000-0000-7000-8%03x-%012x", number, sent)
  return wrk.format("POST", "/v1/events", {["Content-Type"] = "application/json", ["Authorization"] = "Bearer KEY"},
    '{"events":[{"type":"thumb","event_id":"' .. id .. '","occurred_at":"2026-01-31T12:00:00Z","actor":{"id":"u-1"},' ..
    '"interaction_id":"i-1","candidate_id":"c-1","value":"up"}]}')
end
"""


class Regulars:
    """Clients that each keep one connection, as a backend's pool does, and take note of every answer."""

    def __init__(self, running: Process, count: int = 6) -> None:
        self.accepted: list[str] = []
        self.failures: list[str] = []
        self._running = running
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=30)
        headers = {"Authorization": f"Bearer {self._running.secret}", "Content-Type": "application/json"}
        while not self._stop.is_set():
            event = thumb()
            try:
                connection.request("POST", "/v1/events", json.dumps({"events": [event]}), headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status == 202:
                self.accepted.append(event["event_id"])
            else:
                self.failures.append(f"{answer.status} {body!r}")
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def reload(running: Process) -> Reloads:
    """Reload and wait until it is over."""
    file = reloads_file(running.home, running.port)
    before = read_reloads(file)
    assert before is not None and before.pid == running.process.pid
    running.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 90
    while True:
        now = read_reloads(file)
        if now is not None and now.tries > before.tries:
            return now
        assert time.monotonic() < deadline and running.process.poll() is None
        time.sleep(0.05)


def workers(running: Process) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True).stdout
    return set(map(int, found.split()))


@pytest.mark.slow
@pytest.mark.parametrize("count", ["1", "2"])
def test_no_request_is_lost_or_refused_while_the_workers_are_replaced(start: Any, tmp_path: Path, count: str) -> None:
    with start(COLLECTOR_WORKERS=count, COLLECTOR_RATE="0") as running:
        before = workers(running)
        assert len(before) == int(count)
        wrk = start_wrk(running, tmp_path)
        regulars = Regulars(running)
        for number in (1, 2, 3):
            assert reload(running) == Reloads(running.process.pid, number, number)
            assert not workers(running) & before
            before = workers(running)
        regulars.stop()
        assert regulars.failures == []
        assert len(regulars.accepted) > 100
        by_wrk = finish_wrk(wrk)
        stored = stored_ids(running)
        assert set(regulars.accepted) <= set(stored)
        assert sum(stored.values()) >= len(regulars.accepted) + by_wrk
        running.process.send_signal(signal.SIGHUP)
        running.process.terminate()
        assert running.process.wait(10) == 0


def start_wrk(running: Process, folder: Path) -> subprocess.Popen[str] | None:
    if shutil.which("wrk") is None:
        return None
    script = folder / "events.lua"
    script.write_text(SCRIPT.replace("KEY", running.secret))
    return subprocess.Popen(
        ["wrk", "-t2", "-c16", "-d60s", "-s", str(script), running.url], stdout=subprocess.PIPE, text=True
    )


def finish_wrk(wrk: subprocess.Popen[str] | None) -> int:
    """Return how many requests it saw answered, all of them well."""
    if wrk is None:
        return 0
    wrk.send_signal(signal.SIGINT)
    said, _ = wrk.communicate(timeout=90)
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    found = re.search(r"(\d+) requests in", said)
    assert found is not None and int(found[1]) > 100, said
    return int(found[1])


def test_new_workers_take_the_settings_of_the_file_and_a_wrong_one_replaces_nobody(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "thumbwheel.toml"
    with start(folder=tmp_path) as running:
        assert running.get("/v1/events")[0] == 405
        settings.write_text('collector_path = "/hello"\n')
        monkeypatch.setenv("THUMBWHEEL_HOME", str(running.home))
        monkeypatch.setenv("THUMBWHEEL_COLLECTOR_BIND", f"127.0.0.1:{running.port}")
        done = CliRunner().invoke(cli, ["reload"])
        assert done.exit_code == 0 and "replaced" in done.output, done.output
        assert (running.get("/hello")[0], running.get("/v1/events")[0]) == (405, 404)
        settings.write_text('collector_path = "no path"\n')
        assert "did not start" in reload(running).problem
        assert running.get("/hello")[0] == 405
        settings.write_text('collector_path = "/again"\n')
        assert reload(running).problem == ""
        assert running.get("/again")[0] == 405


def test_without_a_collector_reload_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
    file = reloads_file(tmp_path, 8700)
    for state in ("never there", "killed: another process has its number now"):
        if state != "never there":
            file.parent.mkdir()
            file.with_suffix(".lock").touch()
            file.write_text(json.dumps({"pid": os.getpid()}))
        said = CliRunner().invoke(cli, ["reload"])
        assert said.exit_code == 1 and "No collector" in said.output, state
