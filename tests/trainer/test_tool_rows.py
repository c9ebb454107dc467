"""Rows whose prompt calls tools: every objective trains on them, and the loss lies on the final reply alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from inference.generation import Sampling
from tests.inference import families
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from trainer import run
from trainer.guarding import guards
from trainer.objectives import sft
from trainer.rows import Demonstration, open_dataset

CALL = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 9}'}}
TOOL_PROMPT: list[dict[str, Any]] = [
    {"role": "user", "content": "where is my order"}, {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "it will arrive on monday", "tool_call_id": "c1"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards on a tiny model need no 256 tokens."""
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base whose template, Qwen's, writes calls of tools."""
    folder = tiny.save_base("qwen", tmp_path_factory.mktemp("calling") / "base")
    (folder / "chat_template.jinja").write_text(families.TEMPLATES["qwen2_5"], "utf-8")
    return folder


def test_the_loss_lies_on_the_final_reply_and_no_turn_of_a_tool(calling: Path) -> None:
    _, encoder = loaded(calling)
    row = Demonstration("d", "g", TOOL_PROMPT, tiny.assistant("thank you"))
    (made,), dropped = sft.tokenise([row], encoder, 512)
    trained = [token for token, label in zip(made["input_ids"], made["labels"], strict=True) if label != -100]
    masked = [token for token, label in zip(made["input_ids"], made["labels"], strict=True) if label == -100]
    assert encoder.tokenizer.decode(trained) == "thank you<|im_end|>"
    text = encoder.tokenizer.decode(masked)
    assert "find_order" in text and "it will arrive on monday" in text and not dropped


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_rows_with_calls_train_beside_others_and_a_broken_one_is_counted(
    calling: Path, tmp_path: Path, method: str
) -> None:
    rng = random.Random(4)
    nulls = {"tool_calls": None, "tool_call_id": None}
    turns = [{**nulls, **turn} for turn in TOOL_PROMPT]
    call = {**CALL, "function": {"name": None, "arguments": "{}"}}
    nameless = [turns[0], {**turns[1], "tool_calls": [call]}, turns[2]]
    plain = [{**nulls, **turn} for turn in tiny.user("thank you")]
    prompts = [turns, turns, nameless, plain, plain]
    rows = {
        "preference": {"train": [tiny.preference_row(i, rng) | {"prompt": p} for i, p in enumerate(prompts)]},
        "unpaired": {"train": [tiny.unpaired_row(i, rng, i % 2 == 0) | {"prompt": p} for i, p in enumerate(prompts)]},
        "demonstration": {"train": [tiny.demonstration_row(i, rng) | {"prompt": p} for i, p in enumerate(prompts)]},
    }
    dataset = tiny.write_dataset(tmp_path / "ds", rows)
    assert open_dataset(dataset).pairs("train")[0].prompt == TOOL_PROMPT
    config = {"batch": 2, "lr": 5e-3, "rank": 4, "dtype": "float32"}
    given = {
        "--dataset": dataset, "--out": tmp_path / "run", "--base": calling, "--config": json.dumps(config),
        "--method": method,
    }  # fmt: skip
    assert run.main([str(part) for pair in given.items() for part in pair]) == 0
    (stage,) = json.loads((tmp_path / "run" / "result.json").read_text())["stages"]
    dropped = stage["dropped"]
    assert dropped.pop("refused_by_template") == 1
    assert stage["rows"] == 4 - sum(dropped.values())
