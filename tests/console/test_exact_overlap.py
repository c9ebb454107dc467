"""Ten annotators at once on a console that is killed again and again: each item has exactly two answers that count."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.log import append_all
from eventlog.opening import open_log
from processor.ingest.runner import store_records
from processor.queries.tasks import get_task, list_items
from processor.tables.store import Store
from runtime.settings import Settings
from tests.browser.conftest import ROOT, free_ports, is_ready
from tests.console import labelling
from tests.console.bench import PASSWORD
from tests.waiting import eventually

ITEMS, PEOPLE, KILLS, K = 200, 10, 3, 2
LEASE_S = 2


class Console:
    """The processor's own process on a port; killed and started again."""

    def __init__(self, home: Path) -> None:
        (port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        self.env = env | {
            "THUMBWHEEL_HOME": str(home), "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{port}", "THUMBWHEEL_EMBEDDER": "none",
        }  # fmt: skip
        self.said = home / "console.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "processor"], cwd=ROOT, env=self.env, start_new_session=True, stdout=said,
                stderr=said,
            )  # fmt: skip
        eventually(lambda: is_ready(f"{self.address}/readyz"), 60)

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


class Person(threading.Thread):
    """Answers item after item, sometimes too slowly; sends again what nobody took."""

    def __init__(self, number: int, console: Console, key: str) -> None:
        super().__init__(daemon=True)
        self.who, self.console, self.key = f"p-{number}", console, key
        self.random = random.Random(number)
        self.submitted: list[tuple[str, str]] = []
        self.late = 0
        self.problem = ""

    def run(self) -> None:
        idle = 0
        while idle < 6:
            told = self.ask("next", {"have": []})
            item = told["item"]
            if item is None:
                idle = idle if told["others"] else idle + 1
                time.sleep(0.3)
                continue
            idle = 0
            # One in twelve takes longer than the lease.
            time.sleep(self.random.uniform(LEASE_S, LEASE_S + 2) if self.random.random() < 1 / 12 else 0.02)
            answers = {"tone": self.random.choice(["polite", "rude", "flat"])}
            ref = {name: item[name] for name in ("interaction_id", "unit", "stage", "round")}
            said = self.ask("submit", {"token": item["token"], "item": ref, "answers": answers})
            self.submitted.append((item["interaction_id"], said["event_id"]))
            self.late += said["state"] == "late"

    def has_work(self) -> bool:
        """Say whether the console has taken the last of the items in."""
        headers = {"Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.console.address}/api/v1/work?as={self.who}", headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return any(one["waiting"] for one in json.load(answer)["items"])

    def ask(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.console.address}/api/v1/tasks/tone/{what}", json.dumps({"as": self.who, **body}).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )  # fmt: skip
        while True:
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    self.problem = error.read().decode()
                    raise
            except (OSError, ValueError):
                pass
            time.sleep(0.1)


def prepare(home: Path) -> str:
    settings = Settings(home=home)
    log, control = open_log(settings.log_url), Control.of(settings)
    stages = [{"k": K, "lease_s": LEASE_S}]
    append_all(log, [*labelling.LABELS, *labelling.interactions(ITEMS), labelling.task(labels=("tone",), stages=stages),
                     *labelling.items(ITEMS)])  # fmt: skip
    for number in range(PEOPLE):
        control.create_user(f"p-{number}", PASSWORD, "annotator")
    key = control.create_key("default", "secret").key
    log.close()
    control.close()
    return key


def annotations(home: Path) -> list[str]:
    """Return the event ids of the annotations in the log, once for each time one lies there."""
    log = open_log(Settings(home=home).log_url)
    reader = log.reader({(EVENTS, partition): 0 for partition in range(log.partitions(EVENTS))})
    found = []
    while records := reader.poll(10_000, 0):
        events = [json.loads(record.value) for record in records]
        found += [event["event_id"] for event in events if event["type"] == "annotation"]
    reader.close()
    log.close()
    return found


@pytest.mark.slow
def test_each_item_has_exactly_two_answers_and_no_work_is_lost(tmp_path: Path) -> None:
    key = prepare(tmp_path)
    console = Console(tmp_path)
    console.start()
    people = [Person(number, console, key) for number in range(PEOPLE)]
    try:
        eventually(lambda: people[0].has_work(), 30)
        for person in people:
            person.start()
        for _ in range(KILLS):
            time.sleep(1.5)
            console.kill()
            console.start()
        for person in people:
            person.join(120)
        assert not any(person.is_alive() for person in people)
    finally:
        console.kill()
    assert [person.problem for person in people if person.problem] == []
    submitted = [one for person in people for one in person.submitted]
    # What was sent again after a kill may lie there twice; it is one event.
    assert sorted(set(annotations(tmp_path))) == sorted(event_id for _, event_id in submitted)
    assert len({event_id for _, event_id in submitted}) == len(submitted)
    log = open_log(Settings(home=tmp_path).log_url)
    with Store.open(tmp_path / "processor" / "thumbwheel.duckdb") as store:
        reader = log.reader(store.offsets())
        while records := reader.poll(1000, 0.05):
            store_records(store, records)
        reader.close()
        with store.read() as cursor:
            task = get_task(cursor, "default", "tone")
            items = list_items(cursor, "default", task, limit=ITEMS).items
            rows = cursor.execute("SELECT count(*), count(*) FILTER (state = 'vote') FROM answers").fetchone()
    log.close()
    counted = [item["counted"] for item in items]
    extras = sum(len(item["extra"]) for item in items)
    late = sum(person.late for person in people)
    print(f"{len(submitted)} submitted, {sum(counted)} counted, {extras} extra, {late} late")
    assert len(items) == ITEMS and counted == [K] * ITEMS
    assert extras + sum(counted) == len(submitted) and rows == (len(submitted), len(submitted))
    assert extras <= late
