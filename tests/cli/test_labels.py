"""`thumbwheel label`: a file of labels is defined once, each refusal names its label, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cli
from tests.console.bench import Bench, open_bench, prepare

TREE = [
    {"path": "tone/polite", "parent": "tone", "title": "Is it polite?"},
    {"path": "tone", "kind": "choice", "title": {"en": "Tone", "zh": "语气"},
     "choices": [{"key": "kind", "title": {"en": "Kind"}}, {"key": "rude"}]},
]  # fmt: skip
CSV = (
    "path,kind,scope,title,title_zh,min,max,step,choices,required\n"
    "helpful,rating,candidate,How helpful?,有多大帮助？,1,5,1,,yes\n"
    "topic,multi,,Topics,主题,,,,refund|delivery,\n"
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    prepare(tmp_path)
    with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("THUMBWHEEL_HOME", str(tmp_path))
    monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", bench.service)
    with bench.served() as url:
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", url)

        def command(*arguments: str) -> Any:
            done = CliRunner().invoke(cli, ["label", *arguments])
            bench.catch_up()
            return done

        yield command


def test_a_tree_is_defined_with_its_parents_first_and_once(run: Any, bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(TREE), "utf-8")
    assert "2 of 2 labels would be defined" in run("import", str(file), "--dry-run").output
    assert bench.get("labels")["items"] == []
    assert "2 of 2 labels defined" in run("import", str(file)).output
    assert "0 of 2 labels defined, 2 stand so already" in run("import", str(file)).output
    assert {one["path"]: one["version"] for one in bench.get("labels")["items"]} == {"tone": 1, "tone/polite": 1}
    file.write_text(json.dumps([TREE[1] | {"title": {"en": "Tone of voice", "zh": "语气"}}]), "utf-8")
    assert "1 of 1 labels defined" in run("import", str(file)).output
    assert bench.get("labels/tone")["version"] == 2
    listed = run("list").output
    assert "Tone of voice" in listed and "tone/polite" in listed


def test_a_csv_defines_ratings_and_choices(run: Any, bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(CSV, "utf-8-sig")
    assert "2 of 2 labels defined" in run("import", str(file)).output
    assert "0 of 2 labels defined" in run("import", str(file)).output
    helpful, topic = bench.get("labels/helpful"), bench.get("labels/topic")
    assert (helpful["min"], helpful["max"], helpful["required"], helpful["scope"]) == (1, 5, True, "candidate")
    assert [one["key"] for one in topic["choices"]] == ["refund", "delivery"]
    assert topic["title"] == {"en": "Topics", "zh": "主题"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.json", "{", "is not JSON"), ("l.json", '[{"kind": "bool"}]', "label 1: it has no path"),
        ("l.json", '[{"path": "a"}, {"path": "a"}]', "label 2: a stands there twice"),
        ("l.json", '[{"path": "a"}, {"path": "b", "kind": "choice"}]', "label 2 (b): There is nothing to choose from"),
        ("l.csv", "path,min\nx,low\n", "min 'low' is no number"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_the_label_at_fault(
    run: Any, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    done = run("import", str(tmp_path / name))
    assert done.exit_code != 0
    assert said in done.output and "hint:" in done.output
    assert "cannot be read" in run("import", str(tmp_path / "nothing.json")).output


def test_a_label_is_moved(run: Any, bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"path": "a"}\n\n{"path": "b"}\n', "utf-8")
    run("import", str(tmp_path / "l.jsonl"))
    assert "a is style/a now" in run("move", "a", "style/a").output
    assert bench.get("labels/style/a")["former_paths"] == ["a"]
    assert "There is a label 'b' already" in run("move", "style/a", "b").output
