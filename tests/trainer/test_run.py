"""`python -m trainer.run`: a dataset folder in; adapter, metrics, guards, result and DONE out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.generation import Sampling
from tests.trainer import tiny
from trainer import run
from trainer.guarding import guards
from trainer.recipes import make_config

SETTINGS = json.dumps({"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"})


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards on a tiny model need no 256 tokens."""
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


def start(dataset: Path, out: Path, base: Path, *more: str) -> int:
    return run.main(["--dataset", str(dataset), "--out", str(out), "--base", str(base), "--config", SETTINGS, *more])


def test_a_run_leaves_everything_a_scheduler_needs(bases: dict[str, Path], tmp_path: Path) -> None:
    dataset = tiny.mixed_dataset(tmp_path / "ds")
    out = tmp_path / "run"
    assert start(dataset, out, bases["llama"], "--method", "auto", "--cache", str(tmp_path / "cache")) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        "DONE", "adapter", "guards.json", "metrics.jsonl", "result.json",
    ]  # fmt: skip
    assert sorted(file.name for file in (out / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    result = json.loads((out / "result.json").read_text())
    assert (result["method"], result["rows"], result["steps"], result["start"]) == ("dpo", 12, 3, "base")
    assert result["reference"] == "base"
    assert result["metrics"]["held_out"]["total"] == 4
    report = json.loads((out / "guards.json").read_text())
    assert {guard["name"] for guard in report["guards"]} >= {"length", "perplexity", "topic", "loads", "not_a_no_op"}
    loads = next(guard for guard in report["guards"] if guard["name"] == "loads")
    assert loads["passed"] and loads["value"] < 1e-4

    again = tmp_path / "again"
    more = ("--method", "dpo", "--start", str(out / "adapter"), "--cache", str(tmp_path / "cache"))
    assert start(dataset, again, bases["llama"], *more) == 0
    assert json.loads((again / "result.json").read_text())["reference"] == "adapter adapter"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "kto"], "has no unpaired rows"),
        (["--config", "{"], "--config is not JSON"),
        (["--config", '{"learning": 1}'], "Unknown setting 'learning'"),
        (["--config", '{"lr": "fast"}'], "lr='fast' is malformed"),
        (["--dataset", "nowhere"], "is not a dataset folder"),
        (["--base", "nowhere"], "No model in the folder nowhere"),
    ],
)
def test_errors_are_one_line_with_a_hint(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    dataset = tiny.mixed_dataset(tmp_path / "ds", thumbs=0)
    given = {"--dataset": str(dataset), "--out": str(tmp_path / "run"), "--base": str(bases["llama"])}
    given.update(zip(arguments[::2], arguments[1::2], strict=True))
    assert run.main([part for pair in given.items() for part in pair]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "hint:" in error
    assert "\n" not in error
    assert not (tmp_path / "run" / "DONE").exists()


def test_the_recipe_follows_the_size_of_the_model_and_a_held_run_halves_the_rate() -> None:
    small, large = make_config("dpo", {}, 135_000_000), make_config("dpo", {}, 7_000_000_000)
    assert (small.lr, small.batch, getattr(small, "loss")) == (5e-4, 8, ("sigmoid", "sft"))  # noqa: B009
    assert (large.lr, large.batch) == (5e-6, 16)
    assert make_config("dpo", {"lr": 4e-4, "lr_scale": 0.5, "challenge": False}, 1).lr == pytest.approx(2e-4)
    assert make_config("sft", {"beta": 0.2}, 1).lr == 2e-4  # A wish for `auto` may carry settings of another method.


def test_a_run_ends_with_its_parent(bases: dict[str, Path], tmp_path: Path) -> None:
    dataset = tiny.mixed_dataset(tmp_path / "ds")
    command = [
        sys.executable, "-m", "trainer.run", "--dataset", str(dataset), "--out", str(tmp_path / "run"), "--base",
        str(bases["llama"]), "--config", '{"epochs": 100000, "batch": 4}', "--method", "dpo", "--parent", "1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 3
    assert not (tmp_path / "run" / "DONE").exists()
