"""The service loop: wishes, triggers, guards, the gate, and what a crash leaves behind."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eventlog.log import Log
from eventlog.opening import open_log
from runtime.data_api import Api
from runtime.settings import Settings
from tests.trainer.console import KEY, Console, serving
from trainer.backends import local
from trainer.backends.local import LocalBackend
from trainer.backends.run_folder import Work
from trainer.loop import jobs
from trainer.loop.registry import Aliases, Registry
from trainer.loop.schedule import Scheduler

DATASET = "ds-0123456789ab"
# Does what a training job does, in no time: metrics, an adapter, a verdict, DONE. The config says how it goes.
FAKE_JOB = """
import json, pathlib, sys, time
out, config = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
if config.get("seed") == 666:
    sys.exit("no luck  hint: try again")
(out / "metrics.jsonl").write_text('{"step": 1, "total": 2, "seconds": 0.1, "loss": 0.7}\\n')
time.sleep(60 if config.get("seed") == 60 or (out.parent / "slow").exists() else 0)
(out / "adapter").mkdir()
for name in ("adapter_config.json", "adapter_model.safetensors"):
    (out / "adapter" / name).write_text(json.dumps(config))
passed = config.get("beta") != 9
guards = [{"name": "length", "passed": passed, "value": 10.0, "base": 40.0, "limit": "0.5 to 1.5 x base"}]
(out / "guards.json").write_text(json.dumps({"guards": guards}))
weights = "%064x" % abs(hash(json.dumps(config)) if config.get("seed") != 7 else 7)
result = {"method": "dpo", "base": "tiny", "weights_sha256": weights, "metrics": {"loss_last": 0.5}, "passed": passed,
          "reasons": [] if passed else ["length: 10 against 40"], "config": config}
(out / "result.json").write_text(json.dumps(result))
(out / "DONE").write_text("x")
"""


@pytest.fixture
def events(home: Path) -> Iterator[Log]:
    log = open_log(f"sqlite:///{home / 'log' / 'events.db'}")
    yield log
    log.close()


@pytest.fixture
def console(events: Log) -> Iterator[Console]:
    with serving(Console(events)) as made:
        made.datasets = [DATASET]
        yield made


@pytest.fixture
def settings(home: Path) -> Settings:
    folder = home / "datasets" / "default" / DATASET
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return replace(Settings(), home=home)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run the stand-in job; the list holds what each job was started with."""
    started: list[dict[str, Any]] = []

    def command(work: Work) -> list[str]:
        started.append({
            "config": dict(work.params), "start": work.start, "method": work.method, "resume": work.resume,
            "tuning": work.tuning,
        })  # fmt: skip
        return [sys.executable, "-c", FAKE_JOB, str(work.folder), json.dumps(dict(work.params))]

    monkeypatch.setattr(local, "training_command", command)
    return started


def make(settings: Settings, events: Log, console: Console) -> Scheduler:
    scheduler = scheduler_of(settings, events, console, "default")
    scheduler.recover()
    return scheduler


def scheduler_of(settings: Settings, events: Log, console: Console, *projects: str) -> Scheduler:
    api = Api(console.url, KEY)
    return Scheduler(settings, events, api, projects=lambda: list(projects), backend=LocalBackend())


def turn_until(scheduler: Scheduler, done: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "nothing happened"
        scheduler.turn()
        time.sleep(0.02)


def aliases(settings: Settings) -> Aliases:
    return Registry(settings.home / "models" / "default", "default").load()


def train(scheduler: Scheduler, console: Console, settings: Settings, **params: Any) -> str:
    """Wish for a run and wait until it is settled; return its adapter."""
    count = len(console.types("run."))
    request = console.wish("train", method="dpo", params=params)
    turn_until(scheduler, lambda: len(console.types("run.")) >= count + 2)
    ended = console.events("run.")[-1]
    assert ended["request_id"] == request
    return str(ended.get("adapter_id"))


def test_a_wish_trains_and_puts_the_adapter_under_test(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    adapter = train(scheduler, console, settings, lr=1e-4)
    assert console.types("run.") == ["run.started", "run.finished"]
    assert console.types("model.") == ["model.registered", "model.challenger"]
    assert [e["metrics"]["loss"] for e in console.events("run.progress")] == [0.7]
    assert (aliases(settings).challenger, aliases(settings).baseline) == (adapter, None)
    assert {"adapter_config.json", "adapter_model.safetensors", "card.json", "README.md"} == {
        file.name for file in (settings.home / "models" / "default" / "adapters" / adapter).iterdir()
    }
    assert console.built == [{"policy": "base", "max_rows": 288}]
    for _ in range(3):
        scheduler.turn()
    assert len(commands) == 1  # One wish, one run.


def test_a_wish_says_how_weights_are_tuned_and_later_runs_follow_the_champion(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    console.wish("train", method="dpo", tuning="dora", params={"challenge": False})
    turn_until(scheduler, lambda: "run.finished" in console.types("run."))
    assert commands[0]["tuning"] == "dora"
    assert [event["tuning"] for event in console.events("run.started")] == ["dora"]
    console.wish("train", method="dpo", tuning="prefix", params={"checkpointing": True})
    turn_until(scheduler, lambda: "run.failed" in console.types("run."))
    assert "checkpointing and prefix" in console.events("run.failed")[0]["reason"]
    assert len(commands) == 1 and len(console.built) == 1, "refused before a dataset is built"


def test_challenge_false_only_registers(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    adapter = train(make(settings, events, console), console, settings, challenge=False)
    assert console.types("model.") == ["model.registered"]
    assert aliases(settings).challenger is None
    assert aliases(settings).state_of(adapter) == "registered"
    assert "challenge" not in commands[0]["config"]


def test_failing_guards_hold_the_adapter_and_halve_the_next_rate(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    train(scheduler, console, settings, beta=9)
    held = console.events("model.held")[0]
    assert "length: 10 against 40" in held["reason"]
    assert aliases(settings).challenger is None
    train(scheduler, console, settings, beta=9, seed=1)
    train(scheduler, console, settings)
    train(scheduler, console, settings, seed=2)
    assert [command["config"].get("lr_scale") for command in commands] == [None, 0.5, 0.25, None]


def test_the_gate_promotes_and_the_next_run_continues_the_champion(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    adapter = train(scheduler, console, settings)
    item = {"challenger": adapter, "baseline": "base", "wins": 30, "losses": 10, "k": 1, "raters": 1, "ended_by": None}
    console.support = [{**item, "wins": 5, "losses": 5}, {**item, "challenger": "ad-other", "wins": 50, "losses": 0}]
    scheduler.turn()
    assert aliases(settings).challenger == adapter
    console.support = [item]
    scheduler.turn()
    assert aliases(settings).champion == adapter
    promoted = console.events("model.promoted")[0]
    assert promoted["metrics"]["support"]["wins"] == 30
    assert "30 of 40" in promoted["reason"]
    train(scheduler, console, settings, seed=3)
    assert commands[1]["start"] == settings.home / "models" / "default" / "adapters" / adapter
    assert console.built[1]["policy"] == adapter
    assert console.built[1]["parent"] == DATASET
    assert aliases(settings).baseline == adapter
    train(scheduler, console, settings, start="base", seed=4)
    assert commands[2]["start"] is None


@pytest.mark.parametrize(("wins", "losses", "state"), [(10, 30, "rejected"), (201, 199, "held")])
def test_the_gate_rejects_and_holds(
    settings: Settings,
    events: Log,
    console: Console,
    commands: list[dict[str, Any]],
    wins: int,
    losses: int,
    state: str,
) -> None:
    scheduler = make(settings, events, console)
    adapter = train(scheduler, console, settings)
    console.support = [{"challenger": adapter, "baseline": "base", "wins": wins, "losses": losses, "k": 1, "raters": 1}]
    scheduler.turn()
    assert aliases(settings).challenger is None
    assert aliases(settings).state_of(adapter) == state
    assert console.types("model.")[-1] == f"model.{state}"


def test_people_promote_roll_back_and_withdraw(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    first = train(scheduler, console, settings)
    promote = console.wish("promote", adapter_id=first)
    turn_until(scheduler, lambda: aliases(settings).champion == first)
    second = train(scheduler, console, settings, seed=2)
    withdraw = console.wish("roll_back", adapter_id=second, reason="End of the turn.")
    turn_until(scheduler, lambda: aliases(settings).state_of(second) == "held")
    third = train(scheduler, console, settings, seed=3)
    back = console.wish("roll_back")
    turn_until(scheduler, lambda: aliases(settings).champion is None)
    assert aliases(settings).state_of(third) == "held"  # Its baseline moved away.
    assert aliases(settings).state_of(first) == "rolled_back"
    answered = {event.get("request_id") for event in console.events("model.")}
    assert {promote, withdraw, back} <= answered


def test_a_wish_that_cannot_be_met_is_answered_and_changes_nothing(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    unknown = console.wish("promote", adapter_id="ad-ffffffffffff")
    nothing = console.wish("roll_back")
    turn_until(scheduler, lambda: len(console.events("model.")) == 2)
    assert {event["request_id"] for event in console.events("model.")} == {unknown, nothing}
    assert aliases(settings).version == 0
    adapter = train(scheduler, console, settings)
    console.wish("promote", adapter_id=adapter)
    turn_until(scheduler, lambda: aliases(settings).champion == adapter)
    twice = console.wish("promote", adapter_id=adapter)
    turn_until(scheduler, lambda: console.events("model.")[-1].get("request_id") == twice)
    assert console.types("model.")[-1] == "model.promoted"  # Whoever folds the facts still sees a champion.


def test_a_wish_to_withdraw_that_comes_after_the_promotion_takes_nothing_back(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    adapter = train(scheduler, console, settings)
    console.away = True
    console.wish("roll_back", adapter_id=adapter)
    time.sleep(0.01)
    reg = Registry(settings.home / "models" / "default", "default")
    from trainer.loop import registry

    reg.store(registry.promote(reg.load(), adapter))
    console.away = False
    turn_until(scheduler, lambda: console.events("model.")[-1].get("reason", "").startswith("The test of"))
    assert aliases(settings).champion == adapter


def test_a_wish_holds_the_test_that_is_still_open(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    first = train(scheduler, console, settings)
    second = train(scheduler, console, settings, seed=2)
    assert aliases(settings).state_of(first) == "held"
    assert aliases(settings).challenger == second


def test_nothing_to_train_on_fails_the_run_with_the_reason(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    console.datasets = []
    request = console.wish("train", method="dpo")
    turn_until(make(settings, events, console), lambda: console.types("run.failed"))
    failed = console.events("run.failed")[0]
    assert failed["request_id"] == request
    assert "No row is left to train on." in failed["reason"]
    assert console.built == [{"policy": "base", "max_rows": 288}, {"max_rows": 288}]
    assert not commands


def test_a_failing_job_says_its_last_line(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    train(make(settings, events, console), console, settings, seed=666)
    assert console.events("run.failed")[0]["reason"] == "no luck  hint: try again"


def test_the_same_weights_are_not_tested_twice(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    adapter = train(scheduler, console, settings, seed=7)
    train(scheduler, console, settings, seed=7)
    assert f"the same weights as {adapter}" in console.events("run.failed")[0]["reason"]
    assert aliases(settings).state_of(adapter) == "held"


def test_it_trains_when_enough_is_new(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    console.readiness = {"new_pairs": 299, "new_unpaired": 0}
    for _ in range(3):
        scheduler.turn()
    assert not commands
    console.readiness = {"new_pairs": 300, "new_unpaired": 0}
    turn_until(scheduler, lambda: console.types("model.challenger"))
    for _ in range(3):
        scheduler.turn()
    assert len(commands) == 1  # A test is running: no second run before it is decided.


def test_a_projects_settings_reach_every_run_and_its_dataset(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    console.training = {"method": "kto", "rank": 8, "lr": 1e-4, "replay_share": 0.5}
    console.readiness = {"new_pairs": settings.train_min_pairs, "new_unpaired": 0}
    turn_until(scheduler, lambda: console.types("run.")[-1:] == ["run.finished"])
    assert (commands[0]["method"], commands[0]["config"]["rank"]) == ("kto", 8)
    assert console.built[0]["replay_share"] == 0.5
    started = next(event for event in console.events("run.started"))
    assert started["config"] == {"rank": 8, "lr": 1e-4, "replay_share": 0.5}
    console.readiness = {"new_pairs": 0, "new_unpaired": 0}
    train(scheduler, console, settings, lr=2e-4)
    assert (commands[1]["method"], commands[1]["config"]["lr"], commands[1]["config"]["rank"]) == ("dpo", 2e-4, 8)


def test_a_project_whose_runs_start_from_the_base_never_continues_its_champion(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    first = train(scheduler, console, settings, seed=1)
    console.wish("promote", adapter_id=first)
    turn_until(scheduler, lambda: aliases(settings).champion == first)
    console.training = {"start": "base"}
    train(scheduler, console, settings, seed=2)
    assert commands[-1]["start"] is None and console.built[-1]["policy"] == "base"
    train(scheduler, console, settings, seed=3, start="champion")
    assert commands[-1]["start"] is not None and console.built[-1]["policy"] == first


@pytest.mark.parametrize("table", ["pairs", "unpaired"])
def test_imported_rows_start_a_run_unless_told_otherwise(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]], table: str
) -> None:
    patient = make(replace(settings, train_on_import=False), events, console)
    console.readiness = {"new_pairs": 0, "new_unpaired": 0, f"new_{table}": 500, f"imported_{table}": 201}
    patient.turn()
    first = settings.home / "runs" / "default" / "first-seen"
    first.write_text((datetime.now(UTC) - timedelta(days=8)).isoformat())
    console.readiness[f"imported_{table}"] = 451
    patient.turn()
    assert not commands
    console.readiness[f"imported_{table}"] = 200
    patient.turn()
    assert len(commands) == 1
    patient.stop()
    first.write_text(datetime.now(UTC).isoformat())
    eager = make(settings, events, console)
    console.readiness[f"imported_{table}"] = 500
    eager.turn()
    assert len(commands) >= 2
    eager.stop()


def test_it_trains_when_enough_time_has_passed(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    console.readiness = {"new_pairs": 60, "new_unpaired": 0}
    scheduler.turn()
    scheduler.turn()
    assert not commands
    first = settings.home / "runs" / "default" / "first-seen"
    first.write_text((datetime.now(UTC) - timedelta(days=8)).isoformat())
    console.readiness = {"new_pairs": 49, "new_unpaired": 0}
    scheduler.turn()
    assert not commands
    console.readiness = {"new_pairs": 50, "new_unpaired": 0}
    scheduler.turn()
    assert len(commands) == 1
    scheduler.stop()


def test_a_failed_automatic_run_is_not_tried_again_at_once(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    console.datasets = []
    console.readiness = {"new_pairs": 500, "new_unpaired": 0}
    scheduler = make(settings, events, console)
    for _ in range(4):
        scheduler.turn()
    assert console.types("run.") == ["run.started", "run.failed"]


def test_two_wishes_run_one_after_the_other(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    scheduler = make(settings, events, console)
    first, second = console.wish("train", params={"seed": 1}), console.wish("train", params={"seed": 2})
    turn_until(scheduler, lambda: console.types("run.").count("run.finished") == 2)
    assert console.types("run.") == ["run.started", "run.finished"] * 2
    assert [event["request_id"] for event in console.events("run.started")] == [first, second]


def test_a_run_that_was_stopped_begins_again_under_its_id_at_the_next_start(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    request = console.wish("train")
    slow = settings.home / "runs" / "default" / "slow"
    slow.parent.mkdir(parents=True)
    slow.touch()
    for number in range(jobs.MAX_ATTEMPTS + 1):
        scheduler = make(settings, events, console)
        turn_until(scheduler, lambda wanted=number + 1: len(commands) == wanted)
        scheduler.stop()
    slow.unlink()
    turn_until(make(settings, events, console), lambda: console.events("run.finished"))
    assert {event["run_id"] for event in console.events("run.")} == {console.events("run.started")[0]["run_id"]}
    assert console.events("run.finished")[0]["request_id"] == request
    assert not console.events("run.failed")


def test_a_run_whose_process_died_begins_again_and_fails_once_when_it_dies_again_and_again(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    runs = settings.home / "runs" / "default"
    request = console.wish("train", params={"seed": 3})
    record = jobs.Record("run-dead", "default", "dpo", dataset_id=DATASET, request_id=request, started_at=jobs.now())
    for attempt in range(1, jobs.MAX_ATTEMPTS):
        jobs.write_record(runs / "run-dead", replace(record, attempt=attempt))
        (runs / "run-dead" / "metrics.jsonl").write_text('{"step": 7, "total": 9}\n')
        # A job as short as this one may have ended before it was stopped.
        (runs / "run-dead" / "DONE").unlink(missing_ok=True)
        scheduler = make(settings, events, console)
        scheduler.turn()
        assert len(commands) == attempt
        assert jobs.read_records(runs)[0].attempt == attempt + 1
        assert scheduler._job is not None  # Left as a crash leaves it: the record says that it runs.
        scheduler._backend.stop(runs / "run-dead")
    jobs.write_record(runs / "run-dead", replace(record, attempt=jobs.MAX_ATTEMPTS))
    (runs / "run-dead" / "DONE").unlink(missing_ok=True)
    for _ in range(2):
        scheduler = make(settings, events, console)
        scheduler.turn()
        scheduler.turn()
    assert console.types("run.") == ["run.started", "run.failed"]
    assert "3 times" in console.events("run.failed")[0]["reason"]
    assert len(commands) == jobs.MAX_ATTEMPTS - 1


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_run_whose_process_was_killed_goes_on_from_its_checkpoint_and_says_so(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]], checkpoint: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO", "trainer")
    scheduler = make(settings, events, console)
    runs = settings.home / "runs" / "default"
    runs.mkdir(parents=True)
    (runs / "slow").touch()
    console.wish("train")
    turn_until(scheduler, lambda: console.events("run.progress"))
    folder = runs / jobs.read_records(runs)[0].run_id
    if checkpoint:
        (folder / "work" / "checkpoint-40").mkdir(parents=True)
        (folder / "work" / "checkpoint-40" / "WHOLE").touch()
    (runs / "slow").unlink()
    os.kill(json.loads((folder / "job.json").read_text())["pid"], 9)
    turn_until(scheduler, lambda: console.events("run.finished"))
    assert [command["resume"] for command in commands] == [False, checkpoint]
    said = [record.getMessage().rpartition("begins ")[2] for record in caplog.records if "begins" in record.msg]
    assert said == ["from nothing", "from its checkpoint after step 40" if checkpoint else "from nothing"]
    # A resumed run repeats its lines under the ids they had; one from nothing tells its own.
    assert len({event["event_id"] for event in console.events("run.progress")}) == (1 if checkpoint else 2)


def test_a_run_that_finished_while_the_trainer_was_away_is_taken_in(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    import subprocess

    folder = settings.home / "runs" / "default" / "run-done"
    record = jobs.Record("run-done", "default", "dpo", dataset_id=DATASET, parent="base", started_at=jobs.now())
    jobs.write_record(folder, record)
    subprocess.run([sys.executable, "-c", FAKE_JOB, str(folder), "{}"], check=True)
    make(settings, events, console)
    assert aliases(settings).challenger is not None
    assert console.types("model.") == ["model.registered", "model.challenger"]
    assert jobs.read_records(settings.home / "runs" / "default")[0].state == "finished"


def test_facts_missing_in_the_log_are_appended_at_the_next_start_under_the_same_id(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]], home: Path
) -> None:
    train(make(settings, events, console), console, settings)
    kept = {event["event_id"] for event in console.events("run.") + console.events("model.")}
    fresh = open_log(f"sqlite:///{home / 'other' / 'events.db'}")
    console.log = fresh
    scheduler = scheduler_of(settings, fresh, console, "default")
    scheduler.recover()
    scheduler.turn()
    scheduler.turn()
    again = [event["event_id"] for event in console.events("run.") + console.events("model.")]
    assert len(again) == len(set(again))
    assert set(again) == kept - {event["event_id"] for event in _progress(events, console)}
    fresh.close()


def _progress(events: Log, console: Console) -> list[dict[str, Any]]:
    log, console.log = console.log, events
    found = console.events("run.progress")
    console.log = log
    return found


def test_a_console_that_is_away_stops_nothing(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = make(settings, events, console)
    console.away = True
    console.wish("train")
    for _ in range(3):
        scheduler.turn()
    assert len([record for record in caplog.records if record.message.startswith("waiting")]) == 1
    console.away = False
    turn_until(scheduler, lambda: console.types("model.challenger"))


def test_one_broken_project_does_not_stop_the_others(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    folder = settings.home / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "aliases.json").write_text("{")
    scheduler = scheduler_of(settings, events, console, "broken", "default")
    console.wish("train")
    turn_until(scheduler, lambda: console.types("model.challenger"))


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")  # The trainer that is gone does not wait for it.
def test_a_run_that_still_trains_when_the_trainer_is_back_is_watched_and_begins_again_only_when_it_is_gone(
    settings: Settings, events: Log, console: Console, commands: list[dict[str, Any]]
) -> None:
    console.wish("train")
    runs = settings.home / "runs" / "default"
    runs.mkdir(parents=True)
    (runs / "slow").touch()
    turn_until(make(settings, events, console), lambda: console.types("run.started"))
    gc.collect()
    folder = runs / jobs.read_records(runs)[0].run_id
    turn_until(back := make(settings, events, console), lambda: console.events("run.progress"))
    for _ in range(3):
        back.turn()
    assert len(commands) == 1  # Two never train at once.
    (runs / "slow").unlink()
    os.kill(json.loads((folder / "job.json").read_text())["pid"], 9)
    turn_until(back, lambda: console.events("run.finished"))
    assert len(commands) == 2
    assert [(record.run_id, record.attempt) for record in jobs.read_records(runs)] == [(folder.name, 2)]
