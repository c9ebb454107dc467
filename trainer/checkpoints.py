"""Checkpoints of a run: a TRL trainer in; a trained one out, from its last whole checkpoint where it has one.

    work/checkpoint-N/      what transformers writes after step N: weights, optimiser, schedule, random state
    work/checkpoint-N/WHOLE the mark of what it was trained with, written last: without it the checkpoint is not used

A resumed run ends with the weights and the losses of an unbroken one, bit for bit on a CPU: checkpoints are taken only
where a log has just been written, since what is summed up between two logs is not in them.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback

from runtime.files import sync, write_whole
from trainer.backends.run_folder import WHOLE, whole_checkpoints

# Taking checkpoints may take a twentieth of a run's time; small ones come once a minute.
EVERY_S = 60.0
SHARE = 1 / 20
# Two, so that a whole one is there while the next is being written.
KEPT = 2
# Where a run writes and how it is called changes nothing of what it learns.
NAMES_ONLY = ("output_dir", "logging_dir", "run_name", "local_rank")


def train(trainer: Any) -> None:
    """Train: go on from the last whole checkpoint in the trainer's folder if the same run made it, or from nothing."""
    folder = Path(trainer.args.output_dir)
    mark = mark_of(trainer)
    found = whole_checkpoints(folder)
    last = found[-1] if found else None
    if last is not None and not _as_the_first_says((last / WHOLE).read_text("utf-8") == mark):
        print(f"{last} was made with other rows or settings: training begins from nothing.", file=sys.stderr)
        last = None
    if last is None and trainer.is_world_process_zero():
        shutil.rmtree(folder, ignore_errors=True)
    trainer.args.save_total_limit = KEPT
    trainer.add_callback(_Checkpoints(trainer, mark))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))


class _Checkpoints(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint when one is due, and marks it when it is whole."""

    def __init__(self, trainer: Any, mark: str) -> None:
        self._trainer = trainer
        self._mark = mark
        self._last = self._asked = time.monotonic()
        self._cost = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on counting tokens where the checkpoint was taken: TRL keeps that count outside of it."""
        counts = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
        if counts:
            self._trainer._total_train_tokens = int(counts[-1])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a checkpoint after a log, when the last one is long enough ago. All processes ask, or none."""
        if state.global_step % args.logging_steps or state.global_step >= state.max_steps:
            return
        self._asked = time.monotonic()
        due = self._asked - self._last >= max(EVERY_S, self._cost / SHARE)
        control.should_save = _as_the_first_says(due)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint as whole, once every process has written its part and the disk has it."""
        if _is_one_of_several():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for file in folder.rglob("*"):
                sync(file)
            write_whole(folder / WHOLE, self._mark.encode(), durable=True)
        self._last = time.monotonic()
        self._cost = self._last - self._asked


def mark_of(trainer: Any) -> str:
    """Return the SHA-256 of all that decides what a run learns: weights to begin with, rows in order, arguments."""
    digest = hashlib.sha256(type(trainer).__name__.encode())
    for part in _parts_of_mark(trainer):
        digest.update(part)
    return digest.hexdigest()


def _parts_of_mark(trainer: Any) -> Iterator[bytes | memoryview]:
    arguments = {name: value for name, value in trainer.args.to_dict().items() if name not in NAMES_ONLY}
    yield repr(sorted(arguments.items())).encode()
    yield str(trainer.args.world_size).encode()
    for name, weights in trainer.model.named_parameters():
        if weights.requires_grad:
            yield f"{name} {tuple(weights.shape)} {weights.dtype}".encode()
            yield memoryview(weights.detach().cpu().contiguous().view(torch.uint8).numpy()).cast("B")
    yield from _rows_of_mark(trainer.train_dataset)


def _rows_of_mark(rows: Dataset) -> Iterator[bytes]:
    for row in rows:
        yield repr(sorted(row.items())).encode()


def _is_one_of_several() -> bool:
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def _as_the_first_says(due: bool) -> bool:
    """Return what the first process decided: a checkpoint is written, and gone on from, by all or by none."""
    if not _is_one_of_several():
        return due
    told = torch.tensor([int(due)], device=_device())
    torch.distributed.broadcast(told, src=0)
    return bool(told.item())


def _device() -> str:
    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
