"""What `train()` really gives the model, per objective: ids, labels, weights, order, reference; and on which machine.

Whole runs on dataset folders, watched at TRL's training step. What is expected is written out here, from the text of
the rows and the plain base model, so that no code of the trainer's own vouches for itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.trainer import tiny
from tests.trainer.conftest import loaded
from tests.trainer.watched import END, OPENED, Step, Watched, watched_run

CONFIG = {"batch": 4, "lr": 5e-3, "epochs": 1}
METHODS = ("sft", "dpo", "kto")
Rows = list[dict[str, Any]]


def long_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a prompt of more tokens than a run takes."""
    return {**row, "id": "long", "prompt": tiny.user("the parcel is late " * 40)}


def preferences() -> Rows:
    """12 pairs of 9 prompts, weights between 1/3 and 1, some sides cut; one that must not train for each reason."""
    rng = random.Random(11)
    shared = tiny.text(rng)
    rows = [
        tiny.preference_row(
            i, rng, shared if i < 3 else None, weight=(1.0, 0.5, 1 / 3)[i % 3],
            truncated_chosen=i in (3, 4), truncated_rejected=i in (4, 5),
        )
        for i in range(12)
    ]  # fmt: skip
    weightless = tiny.preference_row(20, rng, weight=0.0)
    same = {**tiny.preference_row(21, rng), "rejected": rows[0]["chosen"], "chosen": rows[0]["chosen"]}
    return [*rows, long_prompt(rows[5]), weightless, same]


def thumbs() -> Rows:
    """40 thumbs, the 30 up all before the 10 down, three of one prompt, some cut; 40 that count a tenth each."""
    rng = random.Random(12)
    shared = tiny.text(rng)
    rows = [
        tiny.unpaired_row(i, rng, i < 30, shared if i in (0, 1, 31) else None) | {"truncated": i in (2, 32)}
        for i in range(40)
    ]
    light = [tiny.unpaired_row(100 + i, rng, True) | {"weight": 0.1, "truncated": False} for i in range(40)]
    return [*rows, *light, long_prompt(rows[0])]


def demonstrations() -> Rows:
    """16 demonstrations, four each of three prompts, two cut; 40 that count a tenth each; one with a long prompt."""
    rng = random.Random(13)
    rows = [tiny.demonstration_row(i, rng) | {"truncated": i in (4, 5)} for i in range(16)]
    for i in range(12):
        rows[i]["prompt"] = rows[i - i % 4]["prompt"]
    light = [tiny.demonstration_row(100 + i, rng) | {"weight": 0.1, "truncated": False} for i in range(40)]
    return [*rows, *light, long_prompt(rows[0])]


KINDS = {"sft": ("demonstration", demonstrations), "dpo": ("preference", preferences), "kto": ("unpaired", thumbs)}


class Runs:
    """A run of each objective from the base, made when it is first asked for."""

    def __init__(self, folder: Path, base: Path) -> None:
        self._folder = folder
        self._base = base
        self._made: dict[str, Watched] = {}

    def __getitem__(self, method: str) -> Watched:
        if method not in self._made:
            self._made[method] = self.made(method, self._folder / method)
        return self._made[method]

    def made(self, method: str, folder: Path, start: Path | None = None, **config: Any) -> Watched:
        """Make a run on the objective's rows."""
        kind, rows = KINDS[method]
        dataset = tiny.write_dataset(folder / "data", {kind: {"train": rows()}})
        return watched_run(dataset, folder / "run", self._base, method, {**CONFIG, **config}, start)


@pytest.fixture(scope="module")
def watched(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs that the tests here share."""
    return Runs(tmp_path_factory.mktemp("watched"), bases["llama"])


def prompt_of(row: dict[str, Any]) -> str:
    return OPENED.format(row["prompt"][0]["content"])


def reply_of(row: dict[str, Any], side: str = "completion", cut: str = "truncated") -> str:
    """Return the text that is learnt: with the end token, unless the reply was cut."""
    return str(row[side][0]["content"]) + ("" if row.get(cut) else END)


def texts(step: Step, encoder: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return (prompt, reply) of every row of a batch, as its masks tell them apart."""
    ids, seen = step.batch[f"{prefix}input_ids"], step.batch[f"{prefix}attention_mask"].bool()
    learnt = step.batch["labels"] != -100 if "labels" in step.batch else step.batch[f"{prefix}completion_mask"].bool()
    decode = encoder.tokenizer.decode
    return [
        (decode(row[there & ~reply]), decode(row[there & reply]))
        for row, there, reply in zip(ids, seen, learnt, strict=True)
    ]


def base_logps(step: Step, model: Any, prefix: str = "") -> torch.Tensor:
    """Return the plain base's log-probability of each token that is learnt, 0 elsewhere: (rows, length - 1)."""
    ids, seen = step.batch[f"{prefix}input_ids"], step.batch[f"{prefix}attention_mask"]
    learnt = step.batch["labels"] != -100 if "labels" in step.batch else step.batch[f"{prefix}completion_mask"].bool()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1]
    picked = F.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0]
    return picked * learnt[:, 1:]


def in_order(found: Sequence[Any], given: Iterable[Any]) -> bool:
    places = {text: at for at, text in enumerate(given)}
    return [places[one] for one in found] == sorted(places[one] for one in found)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_about_the_machine_is_left_to_trl(watched: Runs, method: str) -> None:
    given = watched[method].arguments
    assert given.use_cpu and not given.bf16 and not given.fp16 and not given.gradient_checkpointing
    assert not given.dataloader_pin_memory and given.dataloader_num_workers == 0
    assert watched[method].dtypes == {torch.float32}
    assert given.save_strategy == "no" and given.report_to == []


@pytest.mark.parametrize("method", METHODS)
def test_a_run_takes_the_rate_the_batch_and_the_seed_it_was_given(watched: Runs, method: str) -> None:
    given, run = watched[method].arguments, watched[method]
    assert (given.learning_rate, given.num_train_epochs, given.seed) == (5e-3, 1, 0)
    assert given.lr_scheduler_type == "linear" and given.max_grad_norm == 1.0
    assert given.per_device_train_batch_size * given.gradient_accumulation_steps == 4
    assert run.result["steps"] == len(run.steps)
    rates = [line["learning_rate"] for line in run.metrics]
    assert rates == pytest.approx([5e-3 * (1 - step / len(rates)) for step in range(len(rates))])


def test_sft_learns_each_reply_with_its_end_and_no_prompt(watched: Runs, bases: dict[str, Path]) -> None:
    run, rows = watched["sft"], demonstrations()
    model, encoder = loaded(bases["llama"])
    found = [row for step in run.steps for row in texts(step, encoder)]
    expected = {(prompt_of(row), reply_of(row)): row["weight"] for row in rows if row["id"] != "long"}
    assert set(found) <= set(expected) and len(set(found)) == len(found)
    whole = [text for text, weight in expected.items() if weight == 1.0]
    assert set(whole) <= set(found)
    assert 1 <= len(found) - len(whole) <= 12, "rows of a tenth of the weight are drawn one time in ten"
    assert not in_order(found, expected)
    assert run.result["dropped"]["prompt_too_long"] == 1
    for step in run.steps:
        labels, ids = step.batch["labels"], step.batch["input_ids"]
        assert (labels[labels != -100] == ids[labels != -100]).all()
        prompts = [prompt for prompt, _ in texts(step, encoder)]
        assert len(set(prompts)) == len(prompts)
    logps = base_logps(run.steps[0], model)
    assert run.steps[0].loss == pytest.approx(float(-logps.sum() / (logps != 0).sum()), rel=1e-5)


def test_dpo_weighs_each_pair_and_starts_at_ln_2(watched: Runs, bases: dict[str, Path]) -> None:
    run, rows = watched["dpo"], preferences()[:12]
    model, encoder = loaded(bases["llama"])
    expected = {
        (prompt_of(row), reply_of(row, "chosen", "truncated_chosen"), reply_of(row, "rejected", "truncated_rejected")):
        row["weight"]
        for row in rows
    }  # fmt: skip
    mean = sum(expected.values()) / len(expected)
    found = []
    for step in run.steps:
        sides = texts(step, encoder)
        half = len(sides) // 2
        pairs = [(*chosen, rejected) for chosen, (_, rejected) in zip(sides[:half], sides[half:], strict=True)]
        assert [prompt for prompt, _ in sides[:half]] == [prompt for prompt, _ in sides[half:]]
        assert len({prompt for prompt, _, _ in pairs}) == len(pairs), "two rows of a prompt in a batch"
        assert step.batch["weight"].tolist() == pytest.approx([expected[pair] / mean for pair in pairs])
        found += pairs
    assert sorted(found) == sorted(expected)
    assert not in_order(found, expected)
    assert run.result["dropped"].items() >= {"prompt_too_long": 1, "no_weight": 1, "same_reply": 1}.items()
    # A fresh adapter is its own reference: ln 2 a row, beside the mean NLL of the chosen tokens, each by its weight.
    first, weight = run.steps[0], run.steps[0].batch["weight"]
    nll = -base_logps(first, model)[: len(weight)]
    tokens = (nll != 0).sum(dim=1)
    likely = (weight * nll.sum(dim=1)).sum() / (weight * tokens).sum() * weight.mean()
    assert first.loss == pytest.approx(float(weight.mean()) * 0.693147 + float(likely), rel=1e-5)
    assert run.metrics[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-6)
    assert all(abs(line["rewards/margins"]) > 1e-6 for line in run.metrics[1:]), "the reference follows the policy"


def test_kto_mixes_and_balances_thumbs_and_starts_at_a_half(watched: Runs, bases: dict[str, Path]) -> None:
    run, rows = watched["kto"], [row for row in thumbs() if row["id"] != "long"]
    _, encoder = loaded(bases["llama"])
    expected = {(prompt_of(row), reply_of(row)): row for row in rows}
    found, downs = [], []
    for step in run.steps:
        batch, labels = texts(step, encoder), step.batch["label"].tolist()
        assert labels == [expected[row]["label"] for row in batch]
        assert len({prompt for prompt, _ in batch}) == len(batch), "two rows of a prompt in a batch"
        # The KL term pairs each prompt with another row's reply of the same batch.
        others = texts(step, encoder, "KL_")
        assert [prompt for prompt, _ in others] == [prompt for prompt, _ in batch]
        assert {reply for _, reply in others} == {reply for _, reply in batch}
        assert all(other != own for (_, other), (_, own) in zip(others, batch, strict=True))
        downs.append(len(labels) - sum(labels))
        found += batch
    assert len(set(found)) == len(found)
    heavy = [text for text, row in expected.items() if row["weight"] == 1.0]
    assert len(set(heavy) - set(found)) <= 1, "only a last row that would be alone is left out"
    assert 1 <= len(set(found) - set(heavy)) <= 12, "thumbs of a tenth of the weight are drawn one time in ten"
    assert max(downs) == 1, "ten thumbs down are dealt to as many batches"
    assert not in_order(found, expected)
    assert run.result["dropped"]["prompt_too_long"] == 1
    # Weighted ups to downs are brought to 4:3; a fresh adapter is its own reference, so every row loses a half.
    down = sum(not expected[text]["label"] for text in found)
    heavier = (len(found) - down) / down / (4 / 3)
    assert heavier > 1
    weights = torch.where(run.steps[0].batch["label"], 1.0, heavier)
    assert len(set(weights.tolist())) == 2, "the first batch shows the balance only with thumbs of both kinds"
    assert run.steps[0].loss == pytest.approx(0.5 * float(weights.mean()), rel=1e-5)
    assert all(abs(line["rewards/chosen"]) > 1e-7 for line in run.metrics[1:-1]), "the reference follows the policy"


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_continued_adapter_is_its_own_reference(watched: Runs, tmp_path: Path, method: str) -> None:
    run = watched.made(method, tmp_path, watched["sft"].out / "adapter", lr=2e-2)
    assert run.metrics[0]["rewards/chosen"] == pytest.approx(0.0, abs=1e-6)
    assert abs(run.metrics[-1]["rewards/chosen"]) > 1e-5, "the reference follows the policy"
    if method == "kto":
        assert run.steps[0].loss == pytest.approx(watched["kto"].steps[0].loss, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_made_of_two_halves_takes_the_same_steps(watched: Runs, tmp_path: Path, method: str) -> None:
    run = watched.made(method, tmp_path, micro_batch=2)
    given = run.arguments
    assert (given.per_device_train_batch_size, given.gradient_accumulation_steps) == (2, 2)
    assert all(len(step.batch["input_ids"]) == (4 if method == "dpo" else 2) for step in run.steps[:-1])
    assert run.result["steps"] == watched[method].result["steps"]


def test_kto_takes_at_least_two_rows_at_a_time(watched: Runs, tmp_path: Path) -> None:
    """One row alone would be its own neighbour in the KL term."""
    run = watched.made("kto", tmp_path, micro_batch=1)
    assert {len(step.batch["label"]) for step in run.steps} == {2}
