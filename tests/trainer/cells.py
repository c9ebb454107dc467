"""One cell of the table objective x tuning x family: trained, saved, loaded again and served, or refused in words.

Each run sees one batch again and again, so that a loss that does not fall is no accident of the order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from contract.errors import ThumbwheelError
from gateway.engine import Engine
from inference.base_model import load_tokenizer
from inference.generation import Sampling, generate
from inference.hardware import Hardware
from inference.replies import Generation
from inference.replies import Sampling as RowSampling
from inference.tokens import Encoder, make_encoder
from inference.tuned import load_tuned
from tests.trainer import tiny
from trainer.guarding import evaluate
from trainer.methods import find_objective
from trainer.progress import MetricsFile
from trainer.rows import Demonstration, Pair, Rated
from trainer.tuning.refusals import ready
from trainer.tuning.table import Tuning, find_tuning

TRAINS = "trains"
NAME = "ad-0123456789ab"
CPU = Hardware("cpu", torch.float32, False, False)
STEPS, ROWS = 10, 4
ASKED = ("where is my parcel", "refund", "please change my address", "hello")
GOOD, BAD = ("it is late", "we are sorry", "yes today", "thank you"), ("no", "order plan", "by post", "can I")
# What the first preference loss may be off where virtual tokens move the policy from the reference at the start.
NEAR = 0.05


@dataclass(frozen=True)
class Run:
    """A finished run: the model in memory, its folder, and what was measured before and while it trained."""

    trained: Any
    folder: Path
    encoder: Encoder
    lines: list[dict[str, Any]]
    changed: float
    replies: list[tuple[list[int], list[int]]]
    base_nll: float
    base_ending: float
    start_logits: torch.Tensor


def rows(objective: str) -> list[Any]:
    """Return the rows of a run: one batch."""
    made: list[Any] = []
    for i, (asked, good, bad) in enumerate(zip(ASKED, GOOD, BAD, strict=True)):
        prompt, chosen, rejected = tiny.user(asked), tiny.assistant(good), tiny.assistant(bad)
        if objective == "sft":
            made.append(Demonstration(f"d{i}", asked, prompt, chosen))
        elif objective == "dpo":
            made.append(Pair(f"p{i}", asked, prompt, chosen, rejected))
        else:
            made.append(Rated(f"r{i}", asked, prompt, chosen if i % 2 else rejected, bool(i % 2)))
    return made


def train(objective: str, tuning: Tuning, base: Path, folder: Path) -> Run:
    """Train one cell and save what it made."""
    parts, how = find_objective(objective).parts(), tuning.parts()
    settings = ready(tuning, {"stages": 2} if tuning.name == "progressive" else {})
    model = how.load(base, torch.float32)
    encoder = make_encoder(load_tokenizer(base), model)
    prepared = how.prepare(model, None, settings)
    replies = [encoder.pair(tiny.user(asked), tiny.assistant(good)) for asked, good in zip(ASKED, GOOD, strict=True)]
    assert all(reply[-1] in encoder.stop_ids for _, reply in replies)
    nll = evaluate.nll_per_token(evaluate.likelihoods(prepared.model, encoder, replies))
    logits, ends = evaluate.probe_logits(prepared.model, encoder), ending(prepared.model, replies)
    config = parts.config(lr=5e-2 if tuning.virtual else 5e-3, batch=ROWS, epochs=1.0, max_length=1024)
    folder.mkdir(parents=True, exist_ok=True)
    metrics = MetricsFile(folder / "metrics.jsonl")
    given = rows(objective) * (STEPS * 2 if tuning.virtual else STEPS)
    trainer, dropped = parts.train(given, prepared, encoder, config, CPU, metrics, folder / "work")
    assert not dropped
    trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    changed = how.changed(prepared, trained)
    how.save(trained, folder / "adapter", torch.float32)
    return Run(trained, folder / "adapter", encoder, metrics.lines, changed, replies, nll, ends, logits)


def check_learnt(objective: str, tuning: Tuning, run: Run) -> None:
    """The first loss is right, weights and logits moved, the loss fell, and what was shown to end is likelier to."""
    first, last = run.lines[0], run.lines[-1]
    assert run.changed > 0
    assert (evaluate.probe_logits(run.trained, run.encoder) - run.start_logits).abs().max() > 1e-3
    assert last["loss"] < first["loss"]
    if objective != "kto" and not tuning.virtual:  # A few steps are too few for thumbs, and for a few tokens.
        assert ending(run.trained, run.replies) > run.base_ending
    if objective == "sft":
        assert first["loss"] == pytest.approx(run.base_nll, abs=1.0 if tuning.virtual else 1e-3)
    elif objective == "dpo":
        preference = first["loss"] - first["nll"]
        assert preference == pytest.approx(math.log(2), abs=NEAR if tuning.virtual else 1e-4)
    else:
        assert first["loss"] == pytest.approx(0.5, abs=NEAR if tuning.virtual else 1e-4)


def ending(model: Any, replies: list[tuple[list[int], list[int]]]) -> float:
    """Return the mean log-probability of the token that ends a reply, where the shown replies end."""
    found = []
    with torch.inference_mode():
        for prompt, reply in replies:
            logits = model(input_ids=torch.tensor([[*prompt, *reply[:-1]]]), use_cache=False).logits[0, -1]
            found.append(float(torch.log_softmax(logits, dim=-1)[reply[-1]]))
    return sum(found) / len(found)


def check_served(base: Path, run: Run) -> None:
    """The saved copy has the same logits, and the gateway writes what it writes and not what the base writes."""
    again = load_tuned(base, run.folder, torch.float32)
    logits = evaluate.probe_logits(run.trained, run.encoder)
    assert torch.equal(evaluate.probe_logits(again, run.encoder), logits)
    sampling = RowSampling(temperature=1.0, top_p=1.0, max_tokens=12, seed=20)
    asked = tiny.user(ASKED[0])
    engine = Engine(base, lambda name: run.folder, dtype="float32")
    try:
        own = engine.generate(Generation(asked, [NAME, NAME], sampling))
        mixed = engine.generate(Generation(asked, [NAME, "base"], sampling))
        plain = engine.generate(Generation(asked, ["base", "base"], sampling))
    finally:
        engine.close()
    told = generate(again, run.encoder, [asked], Sampling(max_tokens=12, temperature=1.0, top_p=1.0, seed=20))[0]
    assert own[0].text.strip() == told.text
    assert mixed == [own[0], plain[1]]
    assert own != plain


def outcome(objective: str, tuning: str, base: Path, folder: Path) -> str:
    """Return `trains` after every check held, or the sentence that refuses the run before it starts."""
    found = find_tuning(tuning)
    try:
        run = train(objective, found, base, folder)
    except ThumbwheelError as refused:
        return refused.message
    check_learnt(objective, found, run)
    check_served(base, run)
    return TRAINS
