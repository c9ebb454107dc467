"""`thumbwheel task`: made from a file, filled, watched, closed, exported; each refusal says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from tests.console.bench import Bench, open_bench, prepare
from tests.console.story import asked, event

TASK = """
task_id = "tone"
labels = ["tone"]
query = {include_labels = ["refund"]}

[title]
en = "Tone"
zh = "语气"

[[stages]]
k = 2
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    prepare(tmp_path)
    with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
    monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", bench.service)
    bench.put(*(asked(f"i-{n}", n, ["base"], "Where is it?", labels=["refund/late"] if n < 2 else [])
                for n in range(4)))  # fmt: skip
    with bench.served() as url:
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", url)

        def command(*arguments: str) -> Any:
            done = CliRunner().invoke(cli, [*arguments])
            bench.catch_up()
            return done

        labels = tmp_path / "labels.json"
        labels.write_text('[{"path": "tone", "kind": "bool"}]', "utf-8")
        command("label", "import", str(labels))
        (tmp_path / "task.toml").write_text(TASK, "utf-8")
        yield command


def test_a_task_goes_from_its_file_to_its_exported_answers(run: Any, bench: Bench, tmp_path: Path) -> None:
    assert "No task yet" in run("task", "list").output
    assert "Task tone is at version 1" in run("task", "create", str(tmp_path / "task.toml")).output
    assert "0 of 1 items added" in run("task", "add", "tone", "--item", "i-0").output
    refs = tmp_path / "refs.jsonl"
    refs.write_text('{"interaction_id": "i-2"}\n\n{"interaction_id": "i-0", "unit": "i-0-0"}\n', "utf-8")
    assert "3 of 3 items added" in run("task", "add", "tone", "--file", str(refs), "--item", "i-3:i-3-0").output
    assert "1 of 4 items added" in run("task", "add", "tone", "--query", "{}").output
    for n, who in enumerate(("ann", "bob")):
        bench.put(event("annotation", who, 9 + n, interaction_id="i-0", task_id="tone", answers={"tone": True},
                        via="console", actor=(who, "agent")))  # fmt: skip
    shown = run("task", "show", "tone").output
    assert "6 items" in shown and "items: settled: 1" in shown and "people: ann: counted 1" in shown
    (row,) = json.loads(run("task", "list", "--json").output)
    assert (row["items"], row["settled"], row["title"]) == (6, 1, "Tone")
    for command, state in (("pause", "paused"), ("open", "open"), ("close", "closed")):
        assert f"Task tone is {state}" in run("task", command, "tone").output
        assert bench.get("tasks/tone")["state"] == state
    out = tmp_path / "answers.jsonl"
    assert "2 answers written" in run("task", "export", "tone", "--output", str(out)).output
    assert [json.loads(line)["actor_id"] for line in out.read_text("utf-8").splitlines()] == ["ann", "bob"]
    assert run("task", "export", "tone").output == out.read_text("utf-8")


def test_each_refusal_says_what_to_do_and_changes_nothing(run: Any, bench: Bench, tmp_path: Path) -> None:
    run("task", "create", str(tmp_path / "task.toml"))
    bad = {"bad.toml": "labels = [", "bad.json": "{", "list.json": "[]", "lines.jsonl": '{"id": 1}\n'}
    for name, text in bad.items():
        (tmp_path / name).write_text(text, "utf-8")
    for arguments, said in (
        (("create", str(tmp_path / "nothing.toml")), "cannot be read"),
        (("create", str(tmp_path / "bad.toml")), "is not TOML"),
        (("create", str(tmp_path / "bad.json")), "is not JSON"),
        (("create", str(tmp_path / "list.json")), "holds no task"),
        (("create", str(tmp_path / "task.toml")), "There is a task 'tone' already"),
        (("add", "tone"), "Neither items nor a query"), (("add", "tone", "--query", "{"), "--query is not JSON"),
        (("add", "tone", "--query", "{}", "--item", "i-0"), "Neither items nor a query"),
        (("add", "tone", "--file", str(tmp_path / "lines.jsonl")), "line 1: no interaction_id"),
        (("add", "tone", "--file", str(tmp_path / "nothing")), "cannot be read"),
        (("add", "tone", "--item", "i-9"), "not in the tables"), (("show", "nothing"), "No task 'nothing'"),
        (("close", "nothing"), "No task 'nothing'"), (("export", "nothing"), "No task 'nothing'"),
        (("export", "tone", "--output", str(tmp_path / "bad.json")), "cannot be written"),
    ):  # fmt: skip
        done = run("task", *arguments)
        assert done.exit_code == 1 and said in done.stderr and "hint:" in done.stderr, arguments
    assert (tmp_path / "bad.json").read_text("utf-8") == "{"
    found = bench.get("tasks/tone")
    assert (found["version"], found["state"], found["progress"]["items"]) == (1, "open", 2)
