"""What every way of tuning answers: a loaded base in, a model to train out; after training, what changed, and files.

A tuning is a module with the functions of `Parts` and one line in `trainer/tuning/table.py`. Which objective trains
(sft, dpo, kto) is another question, answered in `trainer/methods.py`; the two axes meet in `trainer/run.py` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Prepared:
    """What a TRL trainer is given: a plain model with a `peft_config` to add, or a model that is ready without.

    `reference` names the reference policy. `before` holds the tuned weights at the start, None where they are new.
    `callbacks` go to the trainer. `at_reference`: the first step finds policy and reference the same, so that the first
    preference loss is ln 2; virtual tokens are random at the start, so theirs is not.
    """

    model: Any
    peft_config: Any | None
    reference: str
    before: Any = None
    callbacks: Sequence[Any] = ()
    at_reference: bool = True


class Parts(NamedTuple):
    """What a tuning is made of.

    `load(base, dtype)` returns the model that is tuned, as it will be served;
    `prepare(model, start, settings)` the model to train, new or continued from the folder `start`;
    `changed(prepared, trained)` the share of tuned weights that training moved, 0.0 for none;
    `save(trained, folder, dtype)` writes the files a server loads and returns the SHA-256 of the weights.
    """

    load: Callable[[Path, torch.dtype], Any]
    prepare: Callable[[Any, Path | None, Any], Prepared]
    changed: Callable[[Prepared, Any], float]
    save: Callable[[Any, Path, torch.dtype], str]


def digest(*files: Path) -> str:
    """Return the SHA-256 of the weights files, in the order given."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()
