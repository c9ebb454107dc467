"""A real run of `python -m trainer.run`, in this process, with what each of its training steps was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer

from inference.generation import Sampling
from trainer import run
from trainer.guarding import guards

# How the tiny model's template writes a prompt, and what ends a reply (tests/trainer/tiny.py, CHATML).
OPENED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"


@dataclass(frozen=True)
class Step:
    """One forward and backward pass: the batch as the model got it, and its loss before gradients accumulate."""

    batch: Mapping[str, torch.Tensor]
    loss: float


@dataclass
class Watched:
    """A run: its steps, TRL's arguments, and the folder it left."""

    out: Path
    steps: list[Step] = field(default_factory=list)
    arguments: Any = None
    dtypes: set[torch.dtype] = field(default_factory=set)

    @property
    def result(self) -> dict[str, Any]:
        """Return `result.json`."""
        found: dict[str, Any] = json.loads((self.out / "result.json").read_text("utf-8"))
        return found

    @property
    def report(self) -> dict[str, Any]:
        """Return `guards.json`."""
        found: dict[str, Any] = json.loads((self.out / "guards.json").read_text("utf-8"))
        return found

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl` that tell of training steps."""
        lines = [json.loads(line) for line in (self.out / "metrics.jsonl").read_text("utf-8").splitlines()]
        return [line for line in lines if "loss" in line]


def watched_run(
    dataset: Path,
    out: Path,
    base: Path,
    method: str,
    config: Mapping[str, Any],
    start: Path | None = None,
    cache: Path | None = None,
) -> Watched:
    """Run to the end; asserts that it ended well."""
    watched = Watched(out)
    step = Trainer.training_step

    def remembered(self: Any, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        batch = {name: value.clone() for name, value in inputs.items() if isinstance(value, torch.Tensor)}
        loss = step(self, model, inputs, *rest, **named)
        # Averaged over accumulated batches already where it is: undone, so that it is the batch's own.
        accumulated = self.args.gradient_accumulation_steps
        watched.steps.append(Step(batch, float(loss.detach()) * accumulated))
        watched.arguments = self.args
        watched.dtypes |= {p.dtype for p in model.parameters()}
        return loss

    settings = {"rank": 4, "alpha": 8, "dtype": "float32", "max_length": 64, **config}
    command = ["--dataset", str(dataset), "--out", str(out), "--base", str(base), "--method", method]
    command += ["--config", json.dumps(settings)] + (["--start", str(start)] if start else [])
    command += ["--cache", str(cache)] if cache else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "training_step", remembered)
        patch.setattr(guards, "SAMPLING", Sampling(max_tokens=6))  # Guards on a tiny model need no 256 tokens.
        assert run.main(command) == 0
    return watched
