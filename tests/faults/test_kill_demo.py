"""kill -9 of any process while `thumbwheel demo` turns the wheel: the turn ends, and every table holds what it says."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.faults.counts import tell
from tests.faults.test_kill import SEED, VICTIMS
from tests.stack import ROOT, Up, running

pytestmark = [pytest.mark.slow, pytest.mark.faults]
KILLS = 2
SECONDS = 1200
# More picks than the turn of `tests/e2e/test_up.py`: a tiny model answers fast, and each program is to be met at work.
DEMO = (
    "demo", "--interactions", "64", "--max-tokens", "16", "--rater", "tests.e2e.test_up:steady", "--json",
)  # fmt: skip
# What would be a doubled row, by table.
KEYS = {
    "events": "event_id", "interactions": "interaction_id", "candidates": "interaction_id, candidate_id",
    "feedback": "event_id", "pairs": "pair_id", "demonstrations": "demonstration_id", "unpaired": "unpaired_id",
    "facts": "event_id",
}  # fmt: skip


def kill_while_it_runs(up: Up, demo: subprocess.Popen[str], rng: random.Random) -> list[str]:
    """Kill every program at random moments, once from the start and KILLS - 1 times from when a run trains on.

    Returns what was killed.
    """
    killed: list[str] = []
    deck = [victim for _ in range(KILLS) for victim in rng.sample(VICTIMS, len(VICTIMS))]
    deadline = time.monotonic() + SECONDS
    while demo.poll() is None:
        assert time.monotonic() < deadline, f"the demo does not end, seed {SEED}, killed {killed}"
        time.sleep(rng.uniform(0.5, 6.0))
        due = len(killed) < len(VICTIMS) or any(up.home.glob("runs/demo/*/metrics.jsonl"))
        if due and deck and (pids := up.pids_of(deck[0])):
            os.kill(rng.choice(pids), signal.SIGKILL)
            killed.append(deck.pop(0))
    return killed


def test_killing_any_process_while_the_wheel_turns_loses_and_doubles_nothing(tmp_path: Path, tiny_base: Path) -> None:
    print("seed", SEED)
    with running(tmp_path / "home", base=tiny_base) as up:
        with (tmp_path / "said.json").open("w") as said, (tmp_path / "errors.txt").open("w") as errors:
            demo = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *DEMO], cwd=ROOT, env=up.env, stdout=said, stderr=errors, text=True
            )
            try:
                killed = kill_while_it_runs(up, demo, random.Random(SEED))
            finally:
                demo.kill()
        said_last = (tmp_path / "errors.txt").read_text()[-2000:]
        assert demo.returncode == 0, f"seed {SEED}, killed {killed}: {said_last}"
        assert set(killed) == set(VICTIMS)
        body = json.loads((tmp_path / "said.json").read_text())
        assert body["turns"][0]["run"]["state"] == "finished"
        up.stop()
        check(tmp_path / "home" / "processor" / "thumbwheel.duckdb", body)
        replayed = up.command("replay", "--json", timeout=300)
        assert replayed.returncode == 0, replayed.stderr
        assert json.loads(replayed.stdout)["differing"] == []


def check(path: Path, body: dict[str, Any]) -> None:
    """Compare what the demo says it sent with every table."""
    turn = body["turns"][0]
    rounds = [turn["picks"], turn["test"], (body["comparison"] or {}).get("picks") or {}]

    def told(*names: str) -> int:
        return sum(one.get(name, 0) for one in rounds for name in names)

    with duckdb.connect(str(path), read_only=True) as db:

        def count(query: str) -> int:
            row = db.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        for table, key in KEYS.items():
            doubled = count(f"SELECT count(*) FROM (SELECT {key} FROM {table} GROUP BY ALL HAVING count(*) > 1)")
            assert doubled == 0, table
        picks = count("SELECT count(*) FROM feedback WHERE type = 'pick'")
        tell(f"{told('chosen', 'tie', 'none', 'retracted')} picks told, {picks} stored, none twice")
        assert picks == told("chosen", "tie", "none", "retracted")
        assert count("SELECT count(*) FROM feedback WHERE type = 'retract'") == told("retracted")
        assert count("SELECT count(*) FROM feedback WHERE type = 'thumb'") == told("thumbs")
        assert count("SELECT count(*) FROM events e ANTI JOIN interactions i USING (interaction_key)") == 0
        # Each decisive pick made its pairs; a loser that says the same as the chosen reply makes none.
        assert count("SELECT count(DISTINCT interaction_id) FROM pairs WHERE kind = 'pick'") <= told("chosen")
        assert count("SELECT count(*) FROM pairs p ANTI JOIN feedback f USING (event_key)") == 0
        assert count("SELECT count(*) FROM rejected") == count("SELECT count(*) FROM conflicts") == 0
        started = count("SELECT count(*) FROM facts WHERE type = 'run.started'")
        assert started == count("SELECT count(*) FROM facts WHERE type = 'run.finished'") == 1
        assert count("SELECT count(*) FROM facts WHERE type = 'model.registered'") == 1
