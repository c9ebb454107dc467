"""A run whose adapter must be held back, and one whose adapter must not, measured and judged for real."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.generation import Sampling
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from tests.trainer.watched import Watched, watched_run
from trainer.guarding import guards
from trainer.guarding.evaluate import likelihoods, nll_per_token

# What the runs differ in: a rate that leaves nothing of the language, one that changes it a little, and one under which
# the words of the chosen sides are learnt, at the cost of others.
RATES: dict[str, dict[str, Any]] = {
    "ruinous": {"lr": 0.5}, "careful": {"lr": 1e-3}, "eager": {"lr": 5e-3, "epochs": 3},
}  # fmt: skip
TEACHING_STEPS = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs, enough of them held out for the guard on accuracy; chosen and rejected sides share no word."""
    rng, half = random.Random(4), len(tiny.WORDS) // 2
    sides = [
        tiny.assistant(" ".join(rng.choices(words, k=6)))
        for _ in range(48)
        for words in (tiny.WORDS[:half], tiny.WORDS[half:])
    ]
    rows = [tiny.preference_row(i, rng, chosen=sides[2 * i], rejected=sides[2 * i + 1]) for i in range(48)]
    return tiny.write_dataset(
        tmp_path_factory.mktemp("held") / "ds", {"preference": {"train": rows[:24], "validation": rows[24:]}}
    )


@pytest.fixture(scope="module")
def base(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base that has a language to lose: taught the guards' frozen text and prompts, a random one has none."""
    model, encoder = loaded(bases["llama"])
    texts = [*guards.frozen_text(), *guards.frozen_prompts()]
    rows = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"][:96] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [encoder.pad_id] * (width - len(row)) for row in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    parameters: Any = model
    optimiser = torch.optim.AdamW(parameters.parameters(), lr=1e-2)
    for _ in range(TEACHING_STEPS):
        loss = parameters(input_ids=ids, attention_mask=(labels != -100).long(), labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("taught")
    parameters.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def runs(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Watched]:
    """One run of each kind; the ruinous one measures the base itself, the others share what the first of them kept."""
    folder = tmp_path_factory.mktemp("runs")
    cache = {"ruinous": None, "careful": folder / "cache", "eager": folder / "cache"}
    return {
        name: watched_run(dataset, folder / name, base, "dpo", {"batch": 4, **rate}, cache=cache[name])
        for name, rate in RATES.items()
    }


def values(run: Watched, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(guard for guard in run.report["guards"] if guard["name"] == name)
    return found


def test_a_run_that_ruins_the_language_is_held_and_says_why(runs: dict[str, Watched]) -> None:
    run = runs["ruinous"]
    assert run.report["passed"] is False and run.result["passed"] is False
    assert run.result["reasons"] == run.report["reasons"]
    failed = [guard["name"] for guard in run.report["guards"] if not guard["passed"]]
    assert [reason.split(":")[0] for reason in run.report["reasons"]] == failed
    assert {"perplexity", "reply_nll"} & set(failed)
    assert values(run, "perplexity")["value"] > guards.MAX_PERPLEXITY_RATIO


def test_a_careful_run_is_not_held_for_its_language(runs: dict[str, Watched]) -> None:
    for name in ("perplexity", "reply_nll", "loads", "not_a_no_op"):
        assert values(runs["careful"], name)["passed"] is True, name
    assert 0 < abs(values(runs["careful"], "perplexity")["value"] - 1) < guards.MAX_PERPLEXITY_RATIO - 1


@pytest.mark.parametrize("name", RATES)
def test_guards_look_at_the_adapter_and_compare_it_with_the_base(
    runs: dict[str, Watched], base: Path, name: str
) -> None:
    """The base's side is measured here on a model that never saw an adapter."""
    run = runs[name]
    model, encoder = loaded(base)
    plain = guards.measure(model, encoder, guards.frozen_prompts(), Sampling(max_tokens=6), base=False)
    assert run.report["base_replies"] == list(plain.replies)
    assert run.report["replies"] != run.report["base_replies"]
    assert values(run, "reply_nll")["base"] == pytest.approx(plain.nll, rel=1e-4)
    assert values(run, "reply_nll")["value"] != pytest.approx(plain.nll, rel=1e-4)
    assert values(run, "length")["base"] == plain.words


def test_the_base_is_what_reads_the_adapters_replies(runs: dict[str, Watched], base: Path) -> None:
    """A ruined model finds its own replies likely: only the base sees that they are not language."""
    model, encoder = loaded(base)
    asked = [encoder.prompt(tiny.user(prompt)) for prompt in guards.frozen_prompts()]
    replies = runs["ruinous"].report["replies"]
    read = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"] for text in replies]
    expected = nll_per_token(likelihoods(model, encoder, list(zip(asked, read, strict=True))))
    # Tokens are not told apart from how their text is read again: near enough to tell the base from the adapter.
    assert values(runs["ruinous"], "reply_nll")["value"] == pytest.approx(expected, rel=0.1)


def test_held_out_pairs_are_scored_by_what_training_changed(runs: dict[str, Watched]) -> None:
    for run in runs.values():
        held_out = run.report["held_out"]
        assert (held_out["total"], held_out["rows"]) == (24, 24)
    # Words tell the sides apart, so that an adapter that learnt anything orders most of them.
    assert runs["eager"].report["held_out"]["rate"] > 0.7


def test_what_goes_into_the_log_is_what_the_guards_said(runs: dict[str, Watched]) -> None:
    for run in runs.values():
        assert run.result["metrics"]["held_out"] == run.report["held_out"]
        told = {guard["name"]: guard["passed"] for guard in run.result["metrics"]["guards"]}
        assert told == {guard["name"]: guard["passed"] for guard in run.report["guards"]}
        assert json.loads((run.out / "result.json").read_text())["passed"] is all(told.values())
