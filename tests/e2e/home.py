"""A home with a collector and a processor, people who talk there, and a search of every file it has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from control_store.control import Control
from runtime.data_api import Api
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Home:
    """A collector and a processor on a home of their own."""

    folder: Path
    ports: tuple[int, int]
    # Further settings of its processes.
    extra: Mapping[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Return what its processes go by, as far as a test needs it."""
        log, archive = self.extra.get("THUMBWHEEL_LOG", ""), self.extra.get("THUMBWHEEL_ARCHIVE", "")
        return replace(Settings(), home=self.folder, log=log, archive=archive)

    @property
    def env(self) -> dict[str, str]:
        found = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        return found | {
            "THUMBWHEEL_HOME": str(self.folder), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{self.ports[0]}",
            "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{self.ports[1]}", "THUMBWHEEL_EMBEDDER": "none",
            "THUMBWHEEL_COLLECTOR_RATE": "0",
            "THUMBWHEEL_SERVICE_KEY": self.keys["service"], **self.extra,
        }  # fmt: skip

    def start(self) -> None:
        control = Control.of(self.settings)
        self.keys["service"] = control.create_key("*", "service").key
        for project in ("default", "other"):
            self.keys[project] = control.create_key(project, "secret").key
        control.close()
        for module in ("collector", "processor"):
            line = [sys.executable, "-m", module]
            self.running.append(subprocess.Popen(line, cwd=ROOT, env=self.env, start_new_session=True))
        for port in self.ports:
            until(lambda: ready(port))  # noqa: B023

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.running.clear()

    def api(self, project: str = "default") -> Api:
        return Api(f"http://127.0.0.1:{self.ports[1]}", self.keys["service"], project)

    def send(self, *events: dict[str, Any], project: str = "default") -> list[str]:
        """Post events and return what the collector answered of each."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[0]}/v1/events", json.dumps({"events": events}).encode(),
            {"Authorization": f"Bearer {self.keys[project]}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [result["status"] for result in json.loads(answer.read())["results"]]

    def visible(self, *events: dict[str, Any], project: str = "default") -> bool:
        """Say whether the tables hold these events."""
        ids = [event["event_id"] for event in events]
        return self.api(project).get("/api/v1/visible", event_id=ids)["missing"] == []

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(
            line, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip

    def grep(self, *texts: str) -> list[str]:
        """Return the files that hold one of these texts, as it is or in base64."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "thumbwheel.duckdb" for path in files)
        return [str(path) for path in files if holds(path.read_bytes(), *texts)]


def holds(raw: bytes, *texts: str) -> bool:
    """Say whether bytes hold one of these texts, as it is or in base64."""
    wanted = [text.encode() for text in texts]
    coded = [b64encode(text.encode()[skip:])[:-4] for text in texts for skip in range(3)]
    wanted += [word for word in coded if len(word) >= 12]  # Shorter ones are found anywhere by chance.
    return any(word in raw for word in wanted)


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(met: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def said(kind: str, actor: str, interaction_id: str, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind, "event_id": str(uuid.uuid4()), "occurred_at": (at or datetime.now(UTC)).isoformat(),
        "actor": {"id": actor}, "interaction_id": interaction_id, **fields,
    }  # fmt: skip


def asked(actor: str, interaction_id: str, words: str) -> dict[str, Any]:
    replies = [{"candidate_id": name, "content": f"{name} about {words}", "model": "m"} for name in "ab"]
    return said("interaction", actor, interaction_id, messages=[{"role": "user", "content": words}], candidates=replies)


def picked(actor: str, interaction_id: str, **fields: Any) -> dict[str, Any]:
    return said("pick", actor, interaction_id, shown=["a", "b"], outcome="chosen", chosen="a", **fields)


class Others:
    """People who go on asking and picking meanwhile; what they were told is accepted has to stay."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self.accepted: list[dict[str, Any]] = []

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _talk(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            events = [asked("bob", f"b-{number}", f"Question {number}?"), picked("bob", f"b-{number}")]
            answers = self._home.send(*events)
            self.accepted += [e for e, answer in zip(events, answers, strict=True) if answer == "accepted"]
