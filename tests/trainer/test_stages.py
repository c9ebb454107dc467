"""A run of several stages: one adapter through all of them, each measured against the stage before."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model_state_dict

from contract.errors import ThumbwheelError
from inference.generation import Sampling
from inference.hardware import Hardware
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from trainer import run
from trainer.guarding import guards
from trainer.plan import make_plan, read_rows
from trainer.progress import MetricsFile
from trainer.recipes import make_config
from trainer.rows import open_dataset
from trainer.stages import Trained, train_stages
from trainer.tuning import lora
from trainer.tuning.settings import LoraSettings

PARAMS = {"batch": 4, "lr": 5e-3, "rank": 4, "dtype": "float32"}


@pytest.fixture(autouse=True)
def short_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards on a tiny model need no 256 tokens."""
    monkeypatch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))


class Watching(MetricsFile):
    """Keeps the weights of both adapters as each stage begins, and those of `default` as it ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.began: list[dict[str, dict[str, torch.Tensor] | None]] = []
        self.ended: list[dict[str, torch.Tensor]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.began.append({name: weights(model, name) for name in ("default", "ref")})

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        found = weights(model, "default")
        assert found is not None
        self.ended.append(found)


def weights(model: Any, name: str) -> dict[str, torch.Tensor] | None:
    if name not in model.peft_config:
        return None
    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return {key: value.detach().clone() for key, value in state.items()}


def same(left: dict[str, torch.Tensor] | None, right: dict[str, torch.Tensor] | None) -> bool:
    assert left is not None and right is not None and left.keys() == right.keys()
    return all(torch.equal(left[key], right[key]) for key in left)


def train(
    dataset: Path, base: Path, cpu: Hardware, folder: Path, start: Path | None = None
) -> tuple[Watching, Trained]:
    model, encoder = loaded(base)
    rows = read_rows("auto", open_dataset(dataset))
    configs = {name: make_config(name, PARAMS, 1) for name in rows}
    plan = make_plan("auto", rows, {name: 4 for name in rows}, 4.0, 0)
    watching = Watching(folder / "metrics.jsonl")
    prepared = lora.prepare(model, start, LoraSettings(4, 8))
    return watching, train_stages(plan, prepared, encoder, configs, cpu, watching, folder / "work")


def test_each_stage_starts_from_the_one_before_and_takes_it_as_reference(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path
) -> None:
    dataset = tiny.mixed_dataset(tmp_path / "ds", 16, 16, 16)
    watching, done = train(dataset, bases["llama"], cpu, tmp_path)
    assert [began["ref"] is None for began in watching.began] == [True, False, False]
    for stage in (1, 2):
        assert same(watching.began[stage]["default"], watching.ended[stage - 1])
        assert same(watching.began[stage]["ref"], watching.ended[stage - 1])
        assert not same(watching.ended[stage], watching.ended[stage - 1])
    assert same(weights(done.model, "default"), watching.ended[2])
    assert [stage["reference"] for stage in done.stages] == ["base", "stage sft", "stage dpo"]

    done.model.save_pretrained(str(tmp_path / "ad"), selected_adapters=["default"], save_embedding_layers=False)
    (tmp_path / "again").mkdir()
    again, _ = train(dataset, bases["llama"], cpu, tmp_path / "again", tmp_path / "ad")
    assert same(again.began[0]["default"], watching.ended[2])
    assert same(again.began[1]["ref"], again.ended[0]) and not same(again.ended[0], watching.ended[2])


def test_a_preference_stage_after_another_begins_where_both_policies_agree(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path
) -> None:
    watching, done = train(tiny.mixed_dataset(tmp_path / "ds", 16, 0, 16), bases["llama"], cpu, tmp_path)
    first = next(line for line in watching.lines if line["stage"] == "dpo")
    assert (first["rewards/chosen"], first["rewards/rejected"]) == (0.0, 0.0)
    assert done.stages[1]["loss_first"] == first["loss"]


def test_a_run_of_three_stages_leaves_one_adapter_and_a_record_of_each(bases: dict[str, Path], tmp_path: Path) -> None:
    dataset, out = tiny.mixed_dataset(tmp_path / "ds", 16, 17, 16), tmp_path / "run"
    given = {"--dataset": dataset, "--out": out, "--base": bases["llama"], "--config": json.dumps(PARAMS)}
    assert run.main([str(part) for pair in given.items() for part in pair]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["method"], result["reference"], result["start"]) == ("sft+dpo+kto", "base", "base")
    assert [(s["objective"], s["rows"], s["steps"], s["dropped"]) for s in result["stages"]] == [
        ("sft", 16, 8, {}), ("dpo", 16, 4, {}), ("kto", 16, 4, {"alone_in_its_batch": 1}),
    ]  # fmt: skip
    assert (result["rows"], result["steps"], result["dropped"]) == (48, 16, {"alone_in_its_batch": 1})
    assert result["metrics"]["stages"] == result["stages"] and result["config"]["dpo"]["batch"] == 4
    assert result["metrics"]["ran"]["dtype"] == "torch.float32"
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["plan"] == result["plan"] and (lines[0]["step"], lines[0]["total"]) == (0, 17)
    assert [line["step"] for line in lines] == list(range(17))
    assert [line["stage"] for line in lines[1:]] == ["sft"] * 8 + ["dpo"] * 4 + ["kto"] * 4
    assert lines[-1]["total"] == 16


def test_a_stage_whose_rows_are_all_dropped_is_left_out_with_the_reason(bases: dict[str, Path], tmp_path: Path) -> None:
    rng = random.Random(2)
    alike = [
        tiny.preference_row(i, rng, chosen=tiny.assistant("yes"), rejected=tiny.assistant("yes")) for i in range(16)
    ]
    rows = {
        "preference": {"train": alike},
        "demonstration": {"train": [tiny.demonstration_row(i, rng) for i in range(16)]},
    }
    out = tmp_path / "run"
    given = {
        "--dataset": tiny.write_dataset(tmp_path / "ds", rows), "--out": out, "--base": bases["llama"],
        "--config": json.dumps(PARAMS),
    }  # fmt: skip
    assert run.main([str(part) for pair in given.items() for part in pair]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["method"], result["rows"]) == ("sft", 16)
    assert result["stages"][1]["skipped"].startswith("No pair is left to train on")
    assert result["dropped"] == {"same_reply": 16}


def test_a_stage_may_have_settings_of_its_own() -> None:
    params = {"lr": 1e-3, "sft": {"lr": 1e-4, "epochs": 1}}
    assert [make_config(name, params, 1).lr for name in ("sft", "dpo", "kto")] == [1e-4, 1e-3, 1e-3]
    with pytest.raises(ThumbwheelError, match="Unknown setting 'speed'"):
        make_config("sft", {"sft": {"speed": 1}}, 1)
