"""KTO on thumbs: TRL's KTOTrainer.

In: replies with a thumb up or down, a base model, optionally the adapter to continue. Out: the trained model, metrics
in `metrics.jsonl` while it trains. The loss is Ethayarajh et al. 2024 (2402.01306), equation 7.

TRL reads the rows in order and builds its KL term by pairing each prompt with its neighbour's reply inside a batch. So
the rows are shuffled, labels are interleaved, no batch holds two rows of one prompt, and the batch size is fixed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback
from trl import KTOConfig, KTOTrainer

from contract.errors import ThumbwheelError
from inference.hardware import Hardware
from inference.messages import TemplateRefusal
from inference.tokens import Encoder
from trainer import checkpoints
from trainer.fitting import SHORTENED, TOO_LONG, fit, hint
from trainer.objectives.reference import check_loss
from trainer.progress import MetricsFile, logging_steps
from trainer.rows import LIGHTER, REFUSED, NothingLeft, Rated, counted, sample_by_weight, spread
from trainer.tuning.shape import Prepared

# Weighted thumbs up : thumbs down must lie in 1:1 .. 4:3 (KTO paper, equation 8).
HIGHEST_RATIO = 4 / 3
# Weights make up for one thumb in eleven (KTO paper, section 4.3: a tenth of the desirable rows still did); not beyond.
WORTH = 11
# Why the last row may be left out: in a batch by itself it would be compared with its own reply.
ALONE = "alone_in_its_batch"


@dataclass(frozen=True)
class ThumbConfig:
    """Settings of a KTO run. `batch` is the effective batch in rows, at least 2 per step on a device."""

    lr: float = 5e-4
    batch: int = 8
    micro_batch: int = 0
    epochs: float = 1.0
    beta: float = 0.1
    max_length: int = 512
    seed: int = 0


def balance(up: int, down: int) -> tuple[float, float]:
    """Return (desirable, undesirable) weights that bring weighted up : down into 1:1 .. 4:3, one of them 1.

    Raises ThumbwheelError `one_label` when one of the two is missing.
    """
    if not up or not down:
        raise ThumbwheelError(
            "one_label", f"KTO needs thumbs up and thumbs down; there are {up} and {down}.", "Collect both kinds."
        )
    ratio = up / down
    if ratio < 1:
        return 1 / ratio, 1.0
    if ratio > HIGHEST_RATIO:
        return 1.0, ratio / HIGHEST_RATIO
    return 1.0, 1.0


def amount(rated: Sequence[Rated]) -> int:
    """Return how many of the rows count: all of them, up to eleven for each thumb of the rarer kind."""
    up = sum(1 for row in rated if row.label)
    return min(len(rated), WORTH * min(up, len(rated) - up))


def tokenise(rated: Sequence[Rated], encoder: Encoder, max_length: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return rows of prompt_ids, completion_ids, label and group, and the dropped rows by reason."""
    rows: list[dict[str, Any]] = []
    dropped = {TOO_LONG: 0, SHORTENED: 0, "empty_reply": 0, REFUSED: 0}
    for row in rated:
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
        rows.append({"prompt_ids": prompt, "completion_ids": reply, "label": row.label, "group": row.group})
    return rows, counted(dropped)


def arrange(rows: Sequence[dict[str, Any]], batch: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return the rows in training order, with the KL reply of each: its neighbour's inside its batch.

    A last batch of one row would pair a prompt with its own reply, so that row is left out.
    """
    ordered = spread(rows, lambda row: str(row["group"]), batch, rng, kind=lambda row: bool(row["label"]))
    if len(ordered) % batch == 1 and len(ordered) > 1:
        ordered.pop()
    arranged = []
    for begin in range(0, len(ordered), batch):
        block = ordered[begin : begin + batch]
        for i, row in enumerate(block):
            arranged.append({**row, "KL_completion_ids": block[i - 1]["completion_ids"]})
    return arranged


class OrderedKTOTrainer(KTOTrainer):  # type: ignore[misc]
    """KTOTrainer on rows that come tokenised and in order; `at_reference`: the first loss is known, and looked at."""

    at_reference = True

    def _prepare_dataset(self, dataset: Dataset, processing_class: Any, args: Any, dataset_name: str) -> Dataset:
        return dataset

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        loss = super()._compute_loss(model, inputs, return_outputs)
        if self.at_reference and self.model.training and self.state.global_step == 0:
            labels = inputs["label"].float()
            weights = labels * self.desirable_weight + (1 - labels) * self.undesirable_weight
            check_loss(loss.item(), weights.mean().item() / 2)
        return loss


def train(
    rated: Sequence[Rated], prepared: Prepared, encoder: Encoder, config: ThumbConfig, hardware: Hardware,
    metrics: MetricsFile, work: Path,
) -> tuple[KTOTrainer, Mapping[str, int]]:  # fmt: skip
    """Train; return the trainer (its `.model` is trained) and the dropped rows by reason.

    Raises ThumbwheelError `no_rows` when nothing is left to train on, `one_label` when thumbs of one kind are missing.
    """
    rng = random.Random(config.seed)
    drawn = sample_by_weight(rated, rng)
    rows, dropped = tokenise(drawn, encoder, config.max_length)
    if not rows:
        raise NothingLeft(
            "no_rows", f"No thumb is left to train on ({dropped}).",
            hint(dropped, config.max_length, "Collect more thumbs."),
            dropped=dropped,
        )  # fmt: skip
    micro = max(2, min(config.micro_batch or config.batch, config.batch))
    whole = len(rows)
    rows = arrange(rows, micro, rng)
    dropped = counted({**dropped, LIGHTER: len(rated) - len(drawn), ALONE: whole - len(rows)})
    up = sum(1 for row in rows if row["label"])
    desirable, undesirable = balance(up, len(rows) - up)
    columns = ("prompt_ids", "completion_ids", "KL_completion_ids", "label")
    dataset = Dataset.from_list([{c: row[c] for c in columns} for row in rows])
    arguments = KTOConfig(
        output_dir=str(work), learning_rate=config.lr, num_train_epochs=config.epochs, seed=config.seed,
        per_device_train_batch_size=micro, gradient_accumulation_steps=max(1, config.batch // micro),
        train_sampling_strategy="sequential", lr_scheduler_type="linear", max_length=config.max_length,
        beta=config.beta, desirable_weight=desirable, undesirable_weight=undesirable, disable_dropout=True,
        logging_steps=logging_steps(len(rows), config.batch, config.epochs), save_strategy="no", report_to="none",
        disable_tqdm=True, **hardware.arguments(),
    )  # fmt: skip
    trainer = OrderedKTOTrainer(
        model=prepared.model, args=arguments, train_dataset=dataset, processing_class=encoder.tokenizer,
        peft_config=prepared.peft_config, callbacks=[metrics, *prepared.callbacks],
    )  # fmt: skip
    trainer.at_reference = prepared.at_reference
    trainer.remove_callback(PrinterCallback)
    checkpoints.train(trainer)
    return trainer, dropped
