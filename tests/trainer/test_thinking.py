"""Thinking in training: the prompt is that of serving, the adapter names the choice, guards keep choices apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.generation import Sampling
from tests.inference import families
from tests.trainer import tiny
from trainer import run
from trainer.guarding import guards
from trainer.guarding.measure import recorded_kwargs
from trainer.loop.cards import render_card


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards on a tiny model need no 256 tokens."""
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


@pytest.fixture(scope="module")
def thoughtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base with Qwen 3's template."""
    folder = tiny.save_base("qwen", tmp_path_factory.mktemp("thoughtful") / "base")
    (folder / "chat_template.jinja").write_text(families.TEMPLATES["qwen3"], "utf-8")
    return folder


@pytest.mark.parametrize(("choice", "kwargs"), [(None, {}), ("off", {"enable_thinking": False})])
def test_the_adapter_says_what_the_template_was_told(
    thoughtful: Path, tmp_path: Path, choice: str | None, kwargs: dict[str, bool]
) -> None:
    config = {"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"} | ({"thinking": choice} if choice else {})
    given = {
        "--dataset": tiny.mixed_dataset(tmp_path / "ds", 0, 0, 4), "--out": tmp_path / "run", "--base": thoughtful,
        "--config": json.dumps(config), "--cache": tmp_path / "cache",
    }  # fmt: skip
    assert run.main([str(part) for pair in given.items() for part in pair]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["chat_template_kwargs"] == result["metrics"]["ran"]["chat_template_kwargs"] == kwargs
    (tmp_path / "card.json").write_text(json.dumps(result))
    assert recorded_kwargs(tmp_path) == kwargs
    told = "enable_thinking False" if choice else "as it is"
    assert f"| chat template | {told} |" in render_card("ad-1", result | {"guards": [], "metrics": {}})


def test_the_base_is_measured_apart_under_each_choice(thoughtful: Path) -> None:
    keys = {guards.base_key(thoughtful, guards.SAMPLING, kwargs) for kwargs in (None, {"enable_thinking": False})}
    assert len(keys) == 2
    assert guards.base_key(thoughtful, guards.SAMPLING, {}) in keys
