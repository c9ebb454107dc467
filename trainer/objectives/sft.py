"""SFT on demonstrations (edits, own replies): TRL's SFTTrainer with a LoRA adapter, loss on the reply only.

In: demonstrations, a base model, optionally the adapter to continue. Out: the trained model, metrics in `metrics.jsonl`
while it trains. Prompts carry no loss; a reply that was cut at the token limit trains no stop token.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from contract.errors import ThumbwheelError
from inference.hardware import Hardware
from inference.messages import TemplateRefusal
from inference.tokens import Encoder
from trainer import checkpoints
from trainer.fitting import SHORTENED, TOO_LONG, fit, hint
from trainer.progress import MetricsFile, logging_steps
from trainer.rows import LIGHTER, REFUSED, Demonstration, NothingLeft, counted, sample_by_weight, spread
from trainer.tuning.shape import Prepared

MAX_EPOCHS = 3.0


@dataclass(frozen=True)
class DemonstrationConfig:
    """Settings of an SFT run. `packing` fills sequences with several demonstrations: 3.4 times the speed on a GPU."""

    lr: float = 2e-4
    batch: int = 8
    micro_batch: int = 0
    epochs: float = 2.0
    max_length: int = 512
    packing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse more epochs than demonstrations bear: beyond three they are learnt by heart."""
        if not 0 < self.epochs <= MAX_EPOCHS:
            raise ThumbwheelError("bad_setting", f"epochs={self.epochs} is outside 0..3.", "Use at most 3.", "epochs")


def tokenise(
    demonstrations: Sequence[Demonstration], encoder: Encoder, max_length: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return rows of input_ids, labels (-100 on the prompt) and group, and the dropped rows by reason."""
    rows: list[dict[str, Any]] = []
    dropped = {TOO_LONG: 0, SHORTENED: 0, "empty_reply": 0, REFUSED: 0}
    for row in demonstrations:
        try:
            fitted = fit(encoder, row.prompt, ((row.completion, row.cut),), max_length)
        except TemplateRefusal:
            dropped[REFUSED] += 1
            continue
        prompt, (reply,) = fitted.prompt, fitted.replies
        if fitted.is_too_long(max_length) or not reply:
            dropped[TOO_LONG if reply else "empty_reply"] += 1
            continue
        dropped[SHORTENED] += fitted.shortened
        ids = (prompt + reply)[:max_length]
        labels = ([-100] * len(prompt) + reply)[:max_length]
        rows.append({"input_ids": ids, "labels": labels, "group": row.group})
    return rows, counted(dropped)


def train(
    demonstrations: Sequence[Demonstration], prepared: Prepared, encoder: Encoder, config: DemonstrationConfig,
    hardware: Hardware, metrics: MetricsFile, work: Path,
) -> tuple[SFTTrainer, Mapping[str, int]]:  # fmt: skip
    """Train; return the trainer (its `.model` is trained) and the dropped rows by reason.

    Raises ThumbwheelError `no_rows` when nothing is left to train on.
    """
    rng = random.Random(config.seed)
    drawn = sample_by_weight(demonstrations, rng)
    rows, dropped = tokenise(drawn, encoder, config.max_length)
    if not rows:
        raise NothingLeft(
            "no_rows",
            f"No demonstration is left to train on ({dropped}).",
            hint(dropped, config.max_length, "Collect more edits."),
            dropped=dropped,
        )
    micro = min(config.micro_batch or config.batch, config.batch)
    rows = spread(rows, lambda row: str(row["group"]), micro, rng)
    dataset = Dataset.from_list([{c: row[c] for c in ("input_ids", "labels")} for row in rows])
    arguments = SFTConfig(
        output_dir=str(work), learning_rate=config.lr, num_train_epochs=config.epochs, seed=config.seed,
        per_device_train_batch_size=micro, gradient_accumulation_steps=max(1, config.batch // micro),
        train_sampling_strategy="sequential", lr_scheduler_type="linear", max_length=config.max_length,
        packing=config.packing, completion_only_loss=True,
        logging_steps=logging_steps(len(rows), config.batch, config.epochs), save_strategy="no", report_to="none",
        disable_tqdm=True, **hardware.arguments(),
    )  # fmt: skip
    trainer = SFTTrainer(
        model=prepared.model, args=arguments, train_dataset=dataset, processing_class=encoder.tokenizer,
        peft_config=prepared.peft_config, callbacks=[metrics, *prepared.callbacks],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    checkpoints.train(trainer)
    return trainer, counted({**dropped, LIGHTER: len(demonstrations) - len(drawn)})
