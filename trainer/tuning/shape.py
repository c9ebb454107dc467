"""What every way of tuning answers: a loaded base in, a model to train out; after training, what changed, and files.

A tuning is a module with the three functions of `Tuning` and one line in `TUNINGS`. Which objective trains (sft, dpo,
kto) is another question, answered in `trainer/methods.py`; the two axes meet in `trainer/run.py` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Prepared:
    """What a TRL trainer is given: a plain model with the PEFT config `lora` to add, or a continued model without.

    `reference` names the reference policy. `before` holds the tuned weights at the start, None where they are new.
    """

    model: Any
    lora: Any | None
    reference: str
    before: Weights | None = None


@dataclass(frozen=True)
class Tuning:
    """One way of tuning.

    `prepare(model, start, rank, alpha)` returns the model to train, new or continued from the folder `start`;
    `changed(prepared, trained)` the share of tuned weights that training moved, 0.0 for none;
    `save(trained, folder)` writes the files a server loads and returns the SHA-256 of the weights.
    """

    name: str
    prepare: Callable[[Any, Path | None, int, int], Prepared]
    changed: Callable[[Prepared, Any], float]
    save: Callable[[Any, Path], str]
