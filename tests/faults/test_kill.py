"""kill -9 of any process under load loses and doubles nothing, on every table."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
import thumbwheel

from contract.errors import ThumbwheelError
from runtime.data_api import Api
from tests.faults.counts import tell
from tests.stack import Up, running

pytestmark = [pytest.mark.slow, pytest.mark.faults]
VICTIMS = ("collector", "processor", "gateway", "trainer")
ROUNDS = 2
_DOUBLED = "SELECT count(*) FROM (SELECT interaction_id, candidate_id FROM candidates GROUP BY ALL HAVING count(*) > 1)"
SEED = int(os.environ.get("THUMBWHEEL_FAULT_SEED", "20261123"))


class Load:
    """Picks on real candidates and thumbs, from threads; keeps a ledger of what clients were told is accepted."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self.picked: dict[str, int] = {}
        self._threads = [threading.Thread(target=self._thumbs), threading.Thread(target=self._picks)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self, client: thumbwheel.Client, kind: str, **fields: Any) -> bool:
        result = getattr(client, kind)(**fields)
        if result.status == "accepted":
            self.accepted.append(result.event_id)
        return bool(result.status == "accepted")

    def _thumbs(self) -> None:
        client = thumbwheel.Client(self._up.url("COLLECTOR"), self._up.keys.secret, actor="user-1", sync=True)
        number = 0
        while not self._stop.is_set():
            number += 1
            self._send(client, "thumb", interaction_id=f"i-{number}", candidate_id="c", value="up")

    def _picks(self) -> None:
        client = thumbwheel.Client(self._up.url("COLLECTOR"), self._up.keys.secret, actor="agent-1", sync=True)
        gateway = Api(self._up.url("GATEWAY"), self._up.keys.secret, "default")
        number = 0
        while not self._stop.is_set():
            number += 1
            body = {"messages": [{"role": "user", "content": f"Question {number}?"}], "k": 3, "max_tokens": 6}
            try:
                shown = gateway.post("/v1/candidates", body)
            except ThumbwheelError:
                time.sleep(0.3)  # The gateway is being restarted.
                continue
            ids = [one["candidate_id"] for one in shown["candidates"]]
            texts = {one["content"].strip().casefold() for one in shown["candidates"]}
            sent = self._send(
                client, "pick", interaction_id=shown["interaction_id"], shown=ids, outcome="chosen", chosen=ids[0]
            )
            if sent and len(texts) == len(ids):
                self.picked[shown["interaction_id"]] = len(ids) - 1


def kill_at_random(up: Up, rng: random.Random) -> None:
    """Kill each program, its server or one of its workers, at a random moment, and wait until all is ready again."""
    for victim in rng.sample(VICTIMS, len(VICTIMS)):
        time.sleep(rng.uniform(0.3, 1.5))
        pids = up.pids_of(victim)
        if not pids:
            continue
        os.kill(rng.choice(pids), signal.SIGKILL)
        time.sleep(rng.uniform(2.0, 4.0))


def wait_ready(up: Up) -> None:
    """Wait until the data API and the collector answer."""
    api = Api(up.url("CONSOLE"), up.keys.service, "default")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            api.get("/api/v1/overview")
            return
        except ThumbwheelError:
            time.sleep(0.5)
    raise AssertionError("the console did not come back")


def test_killing_any_process_under_load_loses_and_doubles_nothing(tmp_path: Path, tiny_base: Path) -> None:
    print("seed", SEED)
    rng = random.Random(SEED)
    with running(tmp_path / "home", base=tiny_base) as up:
        with Load(up) as load:
            for _ in range(ROUNDS):
                kill_at_random(up, rng)
            time.sleep(5.0)
        wait_ready(up)
        assert len(load.accepted) > 100 and load.picked
        api = Api(up.url("CONSOLE"), up.keys.service, "default")
        deadline = time.monotonic() + 60
        missing = list(load.accepted)
        while missing:
            missing = [e for at in range(0, len(missing), 200)
                       for e in api.get("/api/v1/visible", event_id=missing[at : at + 200])["missing"]]  # fmt: skip
            assert time.monotonic() < deadline, f"{len(missing)} accepted events are lost, seed {SEED}"
        up.stop()
        check_tables(tmp_path / "home" / "processor" / "thumbwheel.duckdb", load)
        replayed = up.command("replay", "--json", timeout=300)
        assert replayed.returncode == 0, replayed.stderr
        assert '"differing": []' in " ".join(replayed.stdout.split())


def check_tables(path: Path, load: Load) -> None:
    """Compare the ledger with every table: each accepted event once, each pick's pairs once."""
    with duckdb.connect(str(path), read_only=True) as db:
        stored = Counter(row[0] for row in db.execute("SELECT event_id FROM events").fetchall())
        votes = Counter(row[0] for row in db.execute("SELECT event_id FROM feedback").fetchall())
        pairs = Counter(row[0] for row in db.execute("SELECT interaction_id FROM pairs").fetchall())
        doubled = db.execute(_DOUBLED).fetchone()
        described = db.execute("SELECT count(*), count(DISTINCT interaction_id) FROM interactions").fetchone()
    tell(
        f"{len(load.accepted):,} accepted, {len(stored):,} stored, "
        f"{len(set(load.accepted) - set(stored))} lost, {sum(n > 1 for n in stored.values())} doubled"
    )
    assert set(load.accepted) <= set(stored)
    assert max(stored.values()) == max(votes.values()) == 1
    assert doubled == (0,)
    assert described is not None and described[0] == described[1]
    for interaction_id, losers in load.picked.items():
        assert pairs[interaction_id] == losers, interaction_id
