"""Tuning by progressive unfreezing (Howard and Ruder 2018, 1801.06146, section 3.3): the last blocks learn first.

The blocks are cut into `stages` groups. The steps of a run are shared out evenly; with each stage one more group,
counted from the last block, is free to move; in the last stage all weights are, embeddings included.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from contract.errors import ThumbwheelError
from trainer.tuning import whole
from trainer.tuning.settings import FullSettings, ProgressiveSettings
from trainer.tuning.shape import Parts, Prepared


def prepare(model: Any, start: Path | None, settings: ProgressiveSettings) -> Prepared:
    """Return the model with a callback that unfreezes it; raises ThumbwheelError for more stages than blocks."""
    made = whole.prepare(model, start, FullSettings())
    count = made.model.config.num_hidden_layers
    if settings.stages > count:
        raise ThumbwheelError(
            "bad_setting", f"stages={settings.stages} is more than the {count} layers of the model.",
            "Use fewer stages.", "stages",
        )  # fmt: skip
    return Prepared(made.model, None, made.reference, made.before, (Unfreezing(groups(made.model, settings.stages)),))


def groups(model: Any, stages: int) -> list[list[torch.nn.Parameter]]:
    """Return the weights by the stage that frees them: the final norm and a head of its own first, embeddings last."""
    count = model.config.num_hidden_layers
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    made: list[list[torch.nn.Parameter]] = [[] for _ in range(stages)]
    for name, weight in model.named_parameters():
        block = whole.block_of(name)
        if block is None:
            stage = stages - 1 if id(weight) in embeddings else 0
        else:
            stage = (count - 1 - block) * stages // count
        made[stage].append(weight)
    return made


class Unfreezing(TrainerCallback):  # type: ignore[misc]
    """Frees one group more with each stage. All are free until training begins, so that the optimiser holds all."""

    def __init__(self, parts: Sequence[Sequence[torch.nn.Parameter]]) -> None:
        self.parts = parts

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Freeze all but the first group; raises ThumbwheelError where some stage would have no step."""
        if state.max_steps < len(self.parts):
            raise ThumbwheelError(
                "bad_setting", f"{len(self.parts)} stages need as many steps; this run has {state.max_steps}.",
                "Use fewer stages, more rows or more epochs.", "stages",
            )  # fmt: skip
        self.on_step_begin(args, state, control)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Free the groups up to the stage that this step belongs to."""
        stage = state.global_step * len(self.parts) // state.max_steps
        for number, weights in enumerate(self.parts):
            for weight in weights:
                weight.requires_grad_(number <= stage)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave everything free: what was trained is the whole model."""
        for weights in self.parts:
            for weight in weights:
                weight.requires_grad_(True)


PARTS = Parts(whole.FULL.load, prepare, whole.changed, whole.save)
