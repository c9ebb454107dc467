"""How far each way of tuning learns in the same steps: the figures behind the warnings of trainer/tuning/table.py.

    python -m bench.tunings [--steps 60]

A tiny random Llama (64 wide, 2 layers), 16 rows, each tuning at the best of four rates. Prints the first and the last
loss of SFT, and DPO's preference loss, which is 0.69 for a model that prefers nothing.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers.utils import logging as transformers_logging

from inference.base_model import load_tokenizer
from inference.hardware import Hardware
from inference.tokens import make_encoder
from tests.trainer import tiny
from trainer.methods import find_objective
from trainer.progress import MetricsFile
from trainer.rows import Demonstration, Pair
from trainer.tuning.refusals import ready
from trainer.tuning.table import TUNINGS, Tuning

ROWS, BATCH = 16, 8
RATES = (1e-3, 5e-3, 2e-2, 1e-1)
CPU = Hardware("cpu", torch.float32, False, False)


def rows(method: str) -> list[Any]:
    """Return the rows of one objective."""
    rng = random.Random(1)
    texts = [[tiny.text(rng) for _ in range(3)] for _ in range(ROWS)]
    if method == "sft":
        return [
            Demonstration(f"d{i}", asked, tiny.user(asked), tiny.assistant(told))
            for i, (asked, told, _) in enumerate(texts)
        ]
    return [
        Pair(f"p{i}", asked, tiny.user(asked), tiny.assistant(good), tiny.assistant(bad))
        for i, (asked, good, bad) in enumerate(texts)
    ]


def losses(base: Path, method: str, tuning: Tuning, lr: float, steps: int, work: Path) -> tuple[float, float]:
    """Train; return the first and the last loss."""
    how, parts = tuning.parts(), find_objective(method).parts()
    settings = ready(tuning, {"stages": 2} if tuning.name == "progressive" else {})
    model = how.load(base, torch.float32)
    encoder = make_encoder(load_tokenizer(base), model)
    epochs = {"epochs": 3.0 if method == "sft" else steps * BATCH / ROWS}
    terms = {} if method == "sft" else {"loss": ("sigmoid",), "loss_weights": (1.0,)}
    given = rows(method) if method == "dpo" else rows(method) * round(steps * BATCH / ROWS / 3)
    config = parts.config(lr=lr, batch=BATCH, max_length=128, **epochs, **terms)
    file = MetricsFile(work / "metrics.jsonl")
    parts.train(given, how.prepare(model, None, settings), encoder, config, CPU, file, work / "work")
    return file.lines[0]["loss"], file.lines[-1]["loss"]


def main() -> int:
    """Print one line per tuning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tuning", choices=TUNINGS, action="append")
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    tiny.SIZES.update(hidden_size=64, intermediate_size=128)
    with tempfile.TemporaryDirectory() as name:
        base = tiny.save_base("llama", Path(name) / "base")
        for tuning in (TUNINGS[one] for one in given.tuning or TUNINGS):
            told = []
            for method in ("sft", "dpo"):
                runs = [(*losses(base, method, tuning, lr, given.steps, Path(name)), lr) for lr in RATES]
                first, last, lr = min(runs, key=lambda run: run[1])
                told.append(f"{method} {first:.2f} -> {last:.2f} at {lr:g}")
            print(f"{tuning.name:12} {', '.join(told)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
