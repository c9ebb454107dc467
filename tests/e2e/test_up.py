"""One machine, all processes: from a click to a row, stopped and started again, and a small turn of the wheel."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
import thumbwheel

from runtime.data_api import Api
from tests.stack import NAMES, Up, link_base, running

pytestmark = pytest.mark.slow


def steady(messages: list[dict[str, str]], replies: list[str], rng: object) -> dict[str, object]:
    """Prefer the reply with the most letters e: decisive, and nothing a model of this size learns in one turn."""
    counts = [reply.count("e") for reply in replies]
    return {"outcome": "chosen", "chosen": counts.index(max(counts))}


def test_a_thumb_is_a_row_within_two_seconds_and_a_second_start_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "home") as up:
        api = Api(up.url("CONSOLE"), up.keys.service, "default")
        client = thumbwheel.Client(up.url("COLLECTOR"), up.keys.secret, actor="user-1", sync=True)
        began = time.monotonic()
        sent = client.thumb(interaction_id="i-1", candidate_id="c-1", value="up")
        assert isinstance(sent, thumbwheel.Result) and sent.status == "accepted" and sent.event_id
        while api.get("/api/v1/visible", event_id=[sent.event_id])["missing"]:
            assert time.monotonic() - began < 2.0
        client.shutdown()

        second = up.command("up")
        assert second.returncode == 1
        assert "already" in second.stderr and len(second.stderr.strip().splitlines()) == 1

        assert up.stop() < 10.0
        assert up.pids() == []

        keys = up.keys
        assert up.start() < 15.0
        assert up.keys == keys
        assert api.get("/api/v1/visible", event_id=[sent.event_id])["missing"] == []


def test_a_backup_of_a_running_home_starts_elsewhere_with_everything(tmp_path: Path, tiny_base: Path) -> None:
    with running(tmp_path / "home", base=tiny_base) as up:
        client = thumbwheel.Client(up.url("COLLECTOR"), up.keys.secret, actor="user-1", sync=True)
        sent = [client.thumb(interaction_id=f"i-{n}", candidate_id="c-1", value="up") for n in range(20)]
        client.shutdown()
        saved = up.command("backup", str(tmp_path / "b.tar"), "--json")
        assert saved.returncode == 0, saved.stderr
        assert up.command("restore", str(tmp_path / "b.tar")).returncode == 1
        keys = up.keys
    other = Up(tmp_path / "other")
    restored = other.command("restore", str(tmp_path / "b.tar"))
    assert restored.returncode == 0, restored.stderr
    with running(tmp_path / "other", base=tiny_base) as again:
        assert again.keys == keys
        api = Api(again.url("CONSOLE"), keys.service, "default")
        ids = [one.event_id for one in sent if isinstance(one, thumbwheel.Result)]
        deadline = time.monotonic() + 10
        while missing := api.get("/api/v1/visible", event_id=ids)["missing"]:
            assert time.monotonic() < deadline, f"{len(missing)} of {len(ids)} are missing"
            time.sleep(0.1)


def test_nothing_is_left_running_when_up_itself_is_killed(tmp_path: Path, tiny_base: Path) -> None:
    with running(tmp_path / "home", base=tiny_base) as up:
        assert up.process is not None
        up.process.kill()
        up.process.wait()
        deadline = time.monotonic() + 15
        while up.pids():
            assert time.monotonic() < deadline, f"left: {up.pids()}"
            time.sleep(0.2)


def test_a_port_in_use_ends_the_start_with_one_line_that_names_it(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    for name in NAMES:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", up.ports[name]))
            taken.listen()
            said = up.command("up")
        assert said.returncode == 1
        assert str(up.ports[name]) in said.stderr and f"THUMBWHEEL_{name}_BIND" in said.stderr
        assert len(said.stderr.strip().splitlines()) == 1


def test_a_small_turn_of_the_wheel_ends_with_a_decision_and_a_report(
    tmp_path: Path, demo_base: Path, guards: Path
) -> None:
    link_base(tmp_path / "home", demo_base)
    with running(tmp_path / "home", guards) as up:
        said = up.command(
            "demo", "--interactions", "24", "--max-tokens", "16", "--rater", "tests.e2e.test_up:steady",
            "--raters", "3", "--json", timeout=900,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr + said.stdout[-2000:]
        body = json.loads(said.stdout)
        turn = body["turns"][0]
        assert turn["picks"]["chosen"] >= 10
        assert turn["run"]["state"] == "finished"
        assert turn["decision"] in ("held", "promoted", "rejected")
        assert turn["support"] is None or turn["support"]["raters"] <= 3
        pairs = Api(up.url("CONSOLE"), up.keys.service, "demo").items("/api/v1/pairs")
        voters = {pair["actor_id"] for pair in pairs}
        assert voters == {f"rater-tests.e2e.test_up-steady-{number}" for number in (1, 2, 3)}
        assert "Turn 1" in Path(body["report"]).read_text()
        adapter = turn["run"]["adapter_id"]
        lineage = up.command("lineage", adapter, "--project", "demo", "--json")
        assert lineage.returncode == 0 and turn["run"]["dataset_id"] in lineage.stdout
