"""Tuning virtual tokens before every prompt, the model itself left alone: prompt tuning (Lester et al. 2021,
2104.08691), P-tuning (Liu et al. 2021, 2103.10385), prefix tuning (Li and Liang 2021, 2101.00190).

Their adapters take kilobytes and share a batch with the base. They are random at the start, so policy and reference
(the base, without them) differ from the first step on. PEFT saves what an encoder made, not the encoder: no later run
can go on from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, PromptTuningInit
from transformers import TrainerCallback

from contract.errors import ThumbwheelError
from inference.base_model import load_model
from trainer.tuning import lora
from trainer.tuning.settings import PromptSettings
from trainer.tuning.shape import Parts, Prepared

TASK = "CAUSAL_LM"


class Start(TrainerCallback):  # type: ignore[misc]
    """Keeps the trainable weights as they are when training begins: the trainer makes them, at random."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Copy the weights."""
        tuned = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
        self.weights = {name: weight.detach().to("cpu", copy=True) for name, weight in tuned}


def prepare(model: Any, start: Path | None, settings: PromptSettings, config: Callable[[int], Any]) -> Prepared:
    """Return the model with the config of its virtual tokens; raises ThumbwheelError `bad_adapter` with a `start`."""
    if start is not None:
        raise ThumbwheelError(
            "bad_adapter", f"The adapter in {start} cannot be continued: virtual tokens are tuned from the base.",
            "Train from the base instead: thumbwheel train --from base.",
        )  # fmt: skip
    begin = Start()
    return Prepared(model, config(settings.virtual_tokens), "base", begin, (begin,), at_reference=False)


def changed(prepared: Prepared, trained: Any) -> float:
    """Return the share of trained weight tensors that are others."""
    now = dict(trained.named_parameters())
    moved = [not torch.equal(weight, now[name].detach().cpu()) for name, weight in prepared.before.weights.items()]
    return sum(moved) / max(1, len(moved))


def _prompt(tokens: int) -> PromptTuningConfig:
    return PromptTuningConfig(
        task_type=TASK, num_virtual_tokens=tokens, prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB
    )


def _p_tuning(tokens: int) -> PromptEncoderConfig:
    return PromptEncoderConfig(task_type=TASK, num_virtual_tokens=tokens)


def _prefix(tokens: int) -> PrefixTuningConfig:
    return PrefixTuningConfig(task_type=TASK, num_virtual_tokens=tokens)


def _parts(config: Callable[[int], Any]) -> Parts:
    return Parts(load_model, partial(prepare, config=config), changed, lora.save)


PROMPT, P_TUNING, PREFIX = _parts(_prompt), _parts(_p_tuning), _parts(_prefix)
