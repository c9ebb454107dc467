"""kill -9 of the trainer at any moment of its runs: files, facts and aliases agree, and every wish is answered."""

from __future__ import annotations

import json
import math
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from safetensors import safe_open

from contract.errors import ThumbwheelError
from control_store.control import Control
from runtime.data_api import Api
from tests.faults.conftest import EVENTS, ROUNDS
from tests.faults.counts import tell
from tests.faults.kill_points import TRAINER_POINTS
from tests.faults.on_kafka import partitions
from tests.faults.system import Program, System, running
from trainer.loop import jobs, registry
from trainer.loop.registry import Aliases, Registry

pytestmark = [pytest.mark.slow, pytest.mark.faults]
RUN = {"epochs": 1, "batch": 4, "rank": 4}
FILTERS = {"max_rows": 24}
RUN_S = 300.0
# The load makes thousands of pairs: a trainer that starts before its first wish is in the tables would train unasked.
NEVER = "1000000"
# Right after and right before the trainer appends to the log. A single round on Kafka goes through these alone: the
# others lie between files, where the kind of log makes no difference.
AT_THE_LOG = ("facts-appended", "aliases-stored")


@pytest.fixture
def system(tmp_path: Path, log_url: str, tiny_base: Path) -> Iterator[System]:
    extra = {"THUMBWHEEL_BASE_MODEL": str(tiny_base), "OMP_NUM_THREADS": "1", "THUMBWHEEL_TRAIN_MIN_PAIRS": NEVER}
    with running(tmp_path / "home", log_url, {**extra, **partitions(log_url)}) as started:
        yield started


@pytest.fixture
def points(log_url: str) -> list[str]:
    """Where the trainer dies in turn; an empty one: at a random moment."""
    if ROUNDS == 1 and log_url.startswith("kafka"):
        return list(AT_THE_LOG)
    # Each takes many seconds: in full the trainer dies so often altogether, not at each point.
    turn = ["", *TRAINER_POINTS]
    return turn * math.ceil(ROUNDS / len(turn))


class Wishes:
    """What was asked of the trainer over the data API."""

    def __init__(self, system: System, key: str) -> None:
        self._api = Api(f"http://127.0.0.1:{system.processor.port}", key, "default")
        self.made: list[str] = []

    def make(self) -> None:
        """Ask for a run that differs from those before."""
        params = {**RUN, "seed": len(self.made), "filters": FILTERS}
        wish = {"type": "train", "method": "dpo", "params": params}
        self.made.append(self._api.post("/api/v1/requests", wish)["request_id"])

    def open(self) -> int:
        """Return how many are not answered, as far as is known."""
        try:
            answered = {item["event_id"] for item in self._api.get("/api/v1/requests")["items"] if item["handled"]}
        except ThumbwheelError:
            return len(self.made)
        return len(set(self.made) - answered)


class Killing:
    """Arms each start of the trainer with the next point of a run's way; one without a point is shot from outside."""

    def __init__(self, rng: random.Random, points: list[str]) -> None:
        self._rng = rng
        self._points = iter(points)
        self.point = ""

    def __call__(self) -> Mapping[str, str]:
        self.point = next(self._points, "")
        most = 5 if self.point == "half-taken-in" else 2
        return {"FAULT_POINT": self.point, "FAULT_AFTER": str(self._rng.randrange(1, most))} if self.point else {}


def kill_in_turn(trainer: Program, wishes: Wishes, rng: random.Random, points: list[str]) -> None:
    """Have the trainer die at these points and at random moments, with work to do all the time."""
    trainer.arm = killing = Killing(rng, points)
    trainer.start()
    for ended in range(len(points)):
        deadline = time.monotonic() + RUN_S
        shot = time.monotonic() + rng.uniform(0.5, 10.0)
        while trainer.ended <= ended:
            assert time.monotonic() < deadline and not trainer.wrong, f"{killing.point}: {trainer.said()}"
            if not wishes.open():
                wishes.make()
            if not killing.point and time.monotonic() > shot:
                trainer.signal(signal.SIGKILL)
            time.sleep(0.2)
    tell(f"killed {len(points)} times: {dict(Counter(point or 'a random moment' for point in points))}")


def test_the_trainer_killed_at_any_moment(system: System, rng: random.Random, seed: int, points: list[str]) -> None:
    control = Control.of(system.settings)
    key = control.create_key("*", "service").key
    control.close()
    folder = system.settings.home
    env = {**system.env, "THUMBWHEEL_SERVICE_KEY": key}
    trainer = system.programs["trainer"] = Program("trainer", 0, env, folder / "trainer.txt", alone=True)
    wishes = Wishes(system, key)
    with system.load(seed, rate=20_000) as load:
        load.wait_for(EVENTS)
    kill_in_turn(trainer, wishes, rng, points)
    deadline = time.monotonic() + RUN_S
    while wishes.open() or still_running(folder):
        assert time.monotonic() < deadline, trainer.said()
        time.sleep(0.5)
    del system.programs["trainer"]
    trainer.stop()
    assert system.settle(load.ledger).clean
    check_runs(folder, wishes.made)
    check_registry(folder)
    assert system.differing_after_replay() == ()


def still_running(folder: Path) -> bool:
    return any(one.state == "running" for one in jobs.read_records(folder / "runs" / "default"))


def facts(folder: Path, family: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(folder / "processor" / "thumbwheel.duckdb"), read_only=True) as db:
        rows = db.execute("SELECT body FROM facts WHERE starts_with(type, ?)", [family]).fetchall()
    return [json.loads(body) for (body,) in rows]


def check_runs(folder: Path, wishes: list[str]) -> None:
    """Each wish became one run, which ended, and whose facts say so once."""
    records = jobs.read_records(folder / "runs" / "default")
    tell(f"{len(wishes)} wishes; runs {dict(Counter(f'{one.state} at start {one.attempt}' for one in records))}")
    assert sorted(str(one.request_id) for one in records) == sorted(wishes)
    assert {one.state for one in records} <= {"finished", "failed"}
    assert any(one.state == "finished" for one in records)
    told = Counter((one["type"], one["run_id"]) for one in facts(folder, "run.") if one["type"] != "run.progress")
    wanted = Counter((kind, one.run_id) for one in records for kind in ("run.started", f"run.{one.state}"))
    assert told == wanted


def check_registry(folder: Path) -> None:
    """Aliases, adapter folders and facts tell the same story."""
    models = folder / "models" / "default"
    aliases: Aliases = Registry(models, "default").load()
    assert [change.version for change in aliases.history] == list(range(1, aliases.version + 1))
    assert {one["event_id"] for one in facts(folder, "model.")} == {
        registry.fact("default", change).event_id for change in aliases.history
    }
    finished = {one.adapter_id for one in jobs.read_records(folder / "runs" / "default") if one.state == "finished"}
    assert aliases.known() == finished
    assert {path.name for path in (models / "adapters").iterdir()} == finished
    assert [path.name for path in models.iterdir() if path.name.startswith(".")] == []
    for adapter_id in finished:
        with safe_open(models / "adapters" / str(adapter_id) / "adapter_model.safetensors", "pt") as weights:
            assert weights.keys()
