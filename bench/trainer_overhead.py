"""Compares the wall time of one training run with a bare TRL loop on the same rows, in one process.

    python -m bench.trainer_overhead [--pairs 32] [--batch 4] [--rounds 3] [--base demo] [--home DIR]

Ours is trainer.objectives.dpo: reading the dataset folder, tokenising, row weights, metrics file, saving the adapter.
Bare is TRL's DPOTrainer as its documentation shows it, on the same rows, model, settings and order, with a saved
adapter. Both start from a loaded base; they take turns, the first round warms up and does not count, the ratio is of
medians. Target: at most 1.05.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from peft import LoraConfig
from transformers import PrinterCallback
from transformers.utils import logging as transformers_logging
from trl import DPOConfig, DPOTrainer

from bench.guards import PROBLEMS, THINGS
from inference.base_model import ensure_base_model, load_model, load_tokenizer
from inference.hardware import Hardware, find_hardware
from inference.tokens import make_encoder
from trainer.objectives import dpo
from trainer.objectives.dpo import PreferenceConfig
from trainer.progress import MetricsFile
from trainer.rows import open_dataset
from trainer.tuning import lora as adapter
from trainer.tuning.settings import LoraSettings

SPOKEN = "we are sorry to hear that and will gladly help you with it today please send us the number of your order"


def make_dataset(folder: Path, pairs: int) -> Path:
    """Write a dataset folder of made-up replies, 20 to 80 words long."""
    rng = random.Random(4)

    def reply() -> list[dict[str, str]]:
        return [{"role": "assistant", "content": " ".join(rng.choices(SPOKEN.split(), k=rng.randint(20, 80)))}]

    def ask(i: int) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"{rng.choice(PROBLEMS).format(rng.choice(THINGS))} {i}"}]

    rows = [
        {
            "id": str(i), "prompt": ask(i),
            "chosen": reply(), "rejected": reply(), "weight": 1 / 3, "truncated_chosen": False,
            "truncated_rejected": False,
        }
        for i in range(pairs)
    ]  # fmt: skip
    target = folder / "data" / "preference"
    target.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), target / "train-00000-of-00001.parquet")
    (folder / "manifest.json").write_text(json.dumps({"dataset_id": "ds-bench"}), "utf-8")
    return folder


def ours(dataset: Path, base: Path, hardware: Hardware, config: PreferenceConfig, out: Path) -> float:
    """Train with trainer.objectives.dpo; return seconds from a loaded base to a saved adapter."""
    model = load_model(base, hardware.dtype)
    began = time.perf_counter()
    encoder = make_encoder(load_tokenizer(base), model)
    pairs = open_dataset(dataset).pairs("train")
    prepared = adapter.prepare(model, None, LoraSettings())
    trainer, _ = dpo.train(pairs, prepared, encoder, config, hardware, MetricsFile(out / "m.jsonl"), out / "work")
    adapter.save(trainer.accelerator.unwrap_model(trainer.model), out / "adapter", hardware.dtype)
    return time.perf_counter() - began


def bare(dataset: Path, base: Path, hardware: Hardware, config: PreferenceConfig, out: Path) -> float:
    """Train with TRL alone; return seconds from a loaded base to a saved adapter."""
    model = load_model(base, hardware.dtype)
    began = time.perf_counter()
    rows = datasets.load_dataset("parquet", data_files=str(dataset / "data/preference/*.parquet"), split="train")
    arguments = DPOConfig(
        output_dir=str(out / "bare"), learning_rate=config.lr, num_train_epochs=config.epochs, seed=config.seed,
        per_device_train_batch_size=config.batch, lr_scheduler_type="linear", max_length=config.max_length,
        beta=config.beta, loss_type=list(config.loss), loss_weights=list(config.loss_weights), save_strategy="no",
        report_to="none", disable_tqdm=True, **hardware.arguments(),
    )  # fmt: skip
    size = LoraSettings()
    lora = LoraConfig(r=size.rank, lora_alpha=size.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = DPOTrainer(
        model=model, args=arguments, train_dataset=rows.select_columns(["prompt", "chosen", "rejected"]),
        processing_class=load_tokenizer(base), peft_config=lora,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.model.save_pretrained(str(out / "bare-adapter"))
    return time.perf_counter() - began


def main() -> int:
    """Print both times and their ratio; return 0 when it is within the target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", default="demo")
    parser.add_argument("--home", type=Path, default=Path("data/bench"))
    given = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    base = ensure_base_model(given.base, given.home.absolute())
    hardware = find_hardware()
    config = PreferenceConfig(batch=given.batch)
    ways: dict[str, Callable[..., float]] = {"ours": ours, "bare": bare}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder) / "dataset", given.pairs)
        for number in range(given.rounds + 1):
            for name, train in ways.items() if number % 2 else reversed(ways.items()):
                out = Path(folder) / f"{name}-{number}"
                out.mkdir()
                took = train(dataset, base, hardware, config, out)
                print(f"round {number} {name}: {took:.1f} s{' (warm-up)' if not number else ''}", flush=True)
                if number:
                    seconds[name].append(took)
    medians: dict[str, Any] = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["ours"] / medians["bare"]
    times = f"ours {medians['ours']:.1f} s, bare TRL {medians['bare']:.1f} s"
    print(f"{given.pairs} pairs: {times}, ratio {ratio:.3f} (target 1.05)")
    return 0 if ratio <= 1.05 else 1


if __name__ == "__main__":
    sys.exit(main())
