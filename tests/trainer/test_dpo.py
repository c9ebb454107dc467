"""DPO: weights per row, what is dropped, what the reference is, what is saved."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors import safe_open
from trl import DPOConfig, DPOTrainer
from trl.trainer.utils import add_fused_lm_head

from contract.errors import ThumbwheelError
from inference.hardware import Hardware
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from trainer.objectives import dpo, kto, sft
from trainer.objectives.dpo import PreferenceConfig, WeightedCollator, WeightedDPOTrainer, tokenise, weighted_loss
from trainer.progress import MetricsFile
from trainer.rows import Demonstration, Pair, Rated
from trainer.tuning import lora as adapter
from trainer.tuning.settings import LoraSettings

SMALL = PreferenceConfig(lr=5e-3, batch=4, epochs=1, max_length=128)


def make_pairs(count: int, **changes: Any) -> list[Pair]:
    rng = random.Random(5)
    made = []
    for i in range(count):
        prompt, chosen, rejected = tiny.text(rng), tiny.text(rng), tiny.text(rng)
        parts = {"group": prompt, "weight": 1.0, **changes}
        made.append(
            Pair(
                f"p{i}",
                prompt=tiny.user(prompt),
                chosen=tiny.assistant(chosen),
                rejected=tiny.assistant(rejected),
                **parts,
            )
        )
    return made


def make_trainer(
    base: Path, cpu: Hardware, folder: Path, loss: tuple[str, ...] = ("sigmoid", "sft"), kind: Any = WeightedDPOTrainer
) -> tuple[Any, list[dict[str, Any]]]:
    model, encoder = loaded(base)
    rows = tokenise(make_pairs(4), encoder, 128).rows
    arguments = DPOConfig(
        output_dir=str(folder), loss_type=list(loss), loss_weights=[1.0] * len(loss), per_device_train_batch_size=4,
        report_to="none", max_length=128, **cpu.arguments(),
    )  # fmt: skip
    prepared = adapter.prepare(model, None, LoraSettings(4, 8))
    trainer = kind(
        model=prepared.model, args=arguments, train_dataset=Dataset.from_list([_columns(row) for row in rows]),
        processing_class=encoder.tokenizer, peft_config=prepared.peft_config,
        data_collator=WeightedCollator(pad_token_id=encoder.pad_id, max_length=128),
    )  # fmt: skip
    torch.manual_seed(1)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)  # So that policy and reference differ.
    trainer.at_reference = False
    return trainer, rows


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids", "weight")}


def gradient(trainer: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    trainer.model.zero_grad()
    batch = trainer.data_collator([_columns(row) for row in rows])
    trainer.model.train()
    trainer.compute_loss(trainer.model, batch).backward()
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


@pytest.mark.parametrize("loss", [("sigmoid",), ("sft",), ("sigmoid", "sft")])
def test_a_row_of_weight_0_changes_no_gradient(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path, loss: tuple[str, ...]
) -> None:
    trainer, rows = make_trainer(bases["llama"], cpu, tmp_path, loss)
    without = gradient(trainer, rows[:3])
    silent = gradient(trainer, [*rows[:3], {**rows[3], "weight": 0.0}])
    loud = gradient(trainer, rows)
    assert torch.allclose(without, silent, atol=1e-7)
    assert not torch.allclose(without, loud, atol=1e-5)


@pytest.mark.parametrize("loss", [("sigmoid",), ("sft",), ("sigmoid", "sft")])
def test_equal_weights_give_the_loss_of_trl(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path, loss: tuple[str, ...]
) -> None:
    trainer, rows = make_trainer(bases["llama"], cpu, tmp_path, loss)
    batch = trainer.data_collator([_columns(row) for row in rows])
    ours = trainer.compute_loss(trainer.model, dict(batch))
    batch.pop("weight")
    everything = ("log_probs", "entropy", "mean_logits", "is_top1")
    add_fused_lm_head(trainer.model.get_base_model(), outputs=everything)  # What TRL's own loss asks for.
    theirs = DPOTrainer._compute_loss(trainer, trainer.model, batch, False)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_half_the_weight_is_half_the_gradient_in_both_terms() -> None:
    margin, nll, tokens = torch.tensor([0.3]), torch.tensor([12.0]), torch.tensor([6.0])
    for terms in ({"sigmoid": 1.0}, {"sft": 1.0}, {"sigmoid": 1.0, "sft": 1.0}):
        full = weighted_loss(margin, nll, tokens, torch.tensor([1.0]), terms)
        half = weighted_loss(margin, nll, tokens, torch.tensor([0.5]), terms)
        assert torch.allclose(half, full / 2)


def test_weights_pass_the_columns_trl_drops(bases: dict[str, Path], cpu: Hardware, tmp_path: Path) -> None:
    trainer, _ = make_trainer(bases["llama"], cpu, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["weight"].tolist() == [1.0] * 4


def test_dropped_rows_are_counted_by_reason(bases: dict[str, Path]) -> None:
    _, encoder = loaded(bases["llama"])
    good = make_pairs(1)[0]
    long = Pair("long", "long", tiny.user("parcel " * 200), good.chosen, good.rejected)
    same = Pair("same", "same", good.prompt, good.chosen, good.chosen)
    weightless = Pair("none", "none", good.prompt, good.chosen, good.rejected, weight=0.0)
    made = tokenise([good, long, same, weightless], encoder, 128)
    assert len(made.rows) == 1
    assert made.dropped == {"prompt_too_long": 1, "same_reply": 1, "no_weight": 1}


def test_a_loss_that_cannot_be_weighted_is_refused() -> None:
    with pytest.raises(ThumbwheelError) as refused:
        PreferenceConfig(loss=("ipo",), loss_weights=(1.0,))
    assert refused.value.field == "loss"


def train_any(method: str, base: Path, cpu: Hardware, folder: Path, start: Path | None = None) -> tuple[Any, list[Any]]:
    """Train a tiny adapter by any method; return (trained model, metrics lines)."""
    folder.mkdir(parents=True, exist_ok=True)
    model, encoder = loaded(base)
    prepared = adapter.prepare(model, start, LoraSettings(4, 8))
    metrics = MetricsFile(folder / "metrics.jsonl")
    rest = (prepared, encoder)
    rng = random.Random(9)
    if method == "dpo":
        trainer, _ = dpo.train(make_pairs(8), *rest, SMALL, cpu, metrics, folder / "work")
    elif method == "kto":
        rated = [
            Rated(f"r{i}", f"g{i}", tiny.user(tiny.text(rng)), tiny.assistant(tiny.text(rng)), i % 2 == 0)
            for i in range(8)
        ]
        config = kto.ThumbConfig(lr=5e-3, batch=4, max_length=128)
        trainer, _ = kto.train(rated, *rest, config, cpu, metrics, folder / "work")
    else:
        shown = [
            Demonstration(f"d{i}", f"g{i}", tiny.user(tiny.text(rng)), tiny.assistant(tiny.text(rng))) for i in range(8)
        ]
        config = sft.DemonstrationConfig(lr=5e-3, batch=4, epochs=1, max_length=128)
        trainer, _ = sft.train(shown, *rest, config, cpu, metrics, folder / "work")
    adapter.save(trainer.model, folder / "adapter", torch.float32)
    return trainer.model, metrics.lines


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_training_moves_weights_and_logits(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path, family: str, method: str
) -> None:
    trained, lines = train_any(method, bases[family], cpu, tmp_path / method)
    assert adapter.changed_share(None, adapter.weights(trained)) == 1.0
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        on = trained(input_ids=ids).logits
        with trained.disable_adapter():
            off = trained(input_ids=ids).logits
    assert (on - off).abs().max() > 1e-3
    written = [json.loads(line) for line in (tmp_path / method / "metrics.jsonl").read_text().splitlines()]
    assert written == lines
    assert [line["step"] for line in lines] == [1, 2]
    assert all(line["total"] == 2 and line["loss"] is not None for line in lines)


@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_continuing_starts_at_the_adapter_and_saves_it_alone(
    bases: dict[str, Path], cpu: Hardware, tmp_path: Path, method: str
) -> None:
    train_any("dpo", bases["llama"], cpu, tmp_path / "first")
    start = tmp_path / "first" / "adapter"
    before = loaded_weights(start)
    trained, lines = train_any(method, bases["llama"], cpu, tmp_path / "second", start)
    after = loaded_weights(tmp_path / "second" / "adapter")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not any(".ref." in name for name in after)
    assert not (tmp_path / "second" / "adapter" / "ref").exists()
    if method == "dpo":
        assert lines[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-6)  # The reference is what it started from.
        frozen = {n.replace(".ref", ""): p for n, p in trained.named_parameters() if ".ref." in n}
        assert frozen and not any(p.requires_grad for n, p in trained.named_parameters() if ".ref." in n)
        stored = {name.removeprefix("base_model.model."): value for name, value in before.items()}
        assert all(torch.equal(value, stored[n.removeprefix("base_model.model.")]) for n, value in frozen.items())


def loaded_weights(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(str(folder / adapter.WEIGHTS), "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_an_adapter_of_another_base_is_refused(bases: dict[str, Path], cpu: Hardware, tmp_path: Path) -> None:
    train_any("sft", bases["glm"], cpu, tmp_path / "glm")
    model, _ = loaded(bases["llama"])
    with pytest.raises(ThumbwheelError) as refused:
        adapter.prepare(model, tmp_path / "glm" / "adapter", LoraSettings(4, 8))
    assert refused.value.code == "bad_adapter"
    assert "hint:" in refused.value.line()


def test_unchanged_weights_are_seen(bases: dict[str, Path], cpu: Hardware, tmp_path: Path) -> None:
    trained, _ = train_any("sft", bases["llama"], cpu, tmp_path / "one")
    same = adapter.weights(trained)
    assert adapter.changed_share(same, adapter.weights(trained)) == 0.0
    zero = {name: value * 0 if "lora_B" in name else value for name, value in same.items()}
    assert adapter.changed_share(None, zero) == 0.0


def test_a_rank_beyond_what_is_served_is_refused() -> None:
    with pytest.raises(ThumbwheelError, match="outside 1"):
        LoraSettings(64, 128)
