"""Recipes: objective, wishes and size of model in; the settings of a run out, where nobody chose others.

The demo recipe is for models of a few hundred million parameters on a CPU, where one epoch must do: a high rate, held
together by the SFT term. The other is the field's default for LoRA on a GPU (SFT 2e-4, preferences 5e-6, batch 16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from contract.errors import ThumbwheelError
from trainer.methods import AUTO, OBJECTIVES, find_objective
from trainer.rows import DatasetFolder
from trainer.tuning import settings
from trainer.tuning.table import DEFAULT, TUNINGS, Tuning

SMALL_MODEL = 1_000_000_000
# What a wish may carry beside the trainer's own settings; read by the service loop.
LOOP_PARAMS = frozenset({"filters", "challenge", "trial_labels", "dtype", "start", "lr_scale", "checkpointing"})


def choose_method(method: str, dataset: DatasetFolder) -> str:
    """Return the objective; `auto` takes the first of the table that the dataset has rows for.

    Raises ThumbwheelError `no_rows` when the data set holds nothing to train on.
    """
    if method != AUTO:
        return method
    for objective in OBJECTIVES:
        if objective.parts().enough(dataset):
            return objective.name
    raise ThumbwheelError(
        "no_rows",
        f"The dataset {dataset.dataset_id} holds nothing to train on.",
        "Collect picks, thumbs up and down, or edits.",
    )


def make_config(
    method: str, params: Mapping[str, Any], parameters: int, tuning: Tuning = TUNINGS[DEFAULT]
) -> Any:  # fmt: skip
    """Return the settings of a run: the recipe for a model of that many parameters and the tuning, then `params`.

    Raises ThumbwheelError `bad_setting` that names an unknown or malformed one.
    """
    objective = find_objective(method)
    kind = objective.parts().config
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {} if parameters < SMALL_MODEL else dict(objective.large)
    for name, value in params.items():
        if name in LOOP_PARAMS or name in settings.NAMES:
            continue
        if name not in known:
            if any(name in {f.name for f in fields(other.parts().config)} for other in OBJECTIVES):
                continue  # A wish for `auto` may carry settings of another method.
            raise ThumbwheelError(
                "bad_setting", f"Unknown setting {name!r}.", f"Known: {', '.join(sorted(known))}.", name
            )
        values[name] = _convert(name, value, getattr(kind, name))
    if tuning.virtual and "packing" not in params:
        values.pop("packing", None)
    config = kind(**values)
    rate = 1.0 if "lr" in params else tuning.rate
    return replace(config, lr=config.lr * rate * float(params.get("lr_scale", 1.0)))


def _convert(name: str, value: Any, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(
                type(default[0])(part) for part in ([value] if isinstance(value, str | float | int) else value)
            )
        if isinstance(default, bool):
            return bool(value)
        number = type(default)(value)
    except (TypeError, ValueError) as error:
        raise ThumbwheelError(
            "bad_setting", f"{name}={value!r} is malformed.", f"It looks like {default!r}.", name
        ) from error
    if number < 0 or (number == 0 and name not in ("seed", "micro_batch")):
        raise ThumbwheelError("bad_setting", f"{name}={value!r} must be positive.", f"It looks like {default!r}.", name)
    return number
