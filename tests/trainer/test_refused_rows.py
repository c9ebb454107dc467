"""Rows that a base's chat template takes in no form cost a run themselves and nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from inference.generation import Sampling
from tests.trainer import tiny
from trainer import run
from trainer.guarding import guards

# As Gemma and Mistral: no system role, user and assistant alternate; with the tokens of the tiny model.
STRICT = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tiny.save_base("llama", tmp_path_factory.mktemp("strict") / "base")
    (base / "chat_template.jinja").write_text(STRICT)
    return base


def rows(make: Any, count: int) -> list[dict[str, Any]]:
    """Return rows as they come, with a developer message, with two user turns, and one that begins with a reply."""
    rng = random.Random(5)
    made = [make(i, rng) for i in range(count + 1)]
    made[1]["prompt"] = [{"role": "developer", "content": "be kind"}, *made[1]["prompt"]]
    made[2]["prompt"] = [*tiny.user("hello"), *made[2]["prompt"]]
    made[-1]["prompt"] = [*tiny.assistant("hello"), *made[-1]["prompt"]]
    return made


def thumb(i: int, rng: random.Random) -> dict[str, Any]:
    return tiny.unpaired_row(i, rng, i % 2 == 0)


@pytest.mark.parametrize(
    ("method", "config", "make"),
    [
        ("dpo", "preference", tiny.preference_row), ("kto", "unpaired", thumb),
        ("sft", "demonstration", tiny.demonstration_row),
    ],
)  # fmt: skip
def test_a_refused_row_is_counted_and_the_run_ends_well(
    strict: Path, tmp_path: Path, method: str, config: str, make: Any
) -> None:
    splits = {"train": rows(make, 8), "validation": rows(make, 4)}
    dataset = tiny.write_dataset(tmp_path / "ds", {config: splits})
    settings = json.dumps({"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"})
    given = ["--dataset", str(dataset), "--out", str(tmp_path / "run"), "--base", str(strict), "--method", method]
    assert run.main([*given, "--config", settings, "--cache", str(tmp_path / "cache")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["dropped"] == {"refused_by_template": 1}
    assert result["metrics"]["dropped"] == {"refused_by_template": 1}
    held_out = result["metrics"]["held_out"]
    assert held_out["refused"] == (0 if method == "sft" else 1)
    assert held_out["total"] == {"dpo": 4, "kto": 4, "sft": 0}[method]


def test_a_run_of_refused_rows_only_says_so_in_one_line(
    strict: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = [rows(make, 2)[-1:] for make in (tiny.preference_row, thumb, tiny.demonstration_row)]
    configs = ("preference", "unpaired", "demonstration")
    dataset = tiny.write_dataset(
        tmp_path / "ds", {config: {"train": made} for config, made in zip(configs, refused, strict=True)}
    )
    for method in ("dpo", "kto", "sft"):
        given = ["--dataset", str(dataset), "--out", str(tmp_path / method), "--base", str(strict), "--method", method]
        assert run.main(given) == 2
        error = capsys.readouterr().err.strip()
        assert "refused_by_template" in error and "hint:" in error and "\n" not in error
