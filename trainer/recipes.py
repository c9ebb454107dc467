"""Recipes: objective, wishes and size of model in; the settings of a run out, where nobody chose others.

The demo recipe is for models of a few hundred million parameters on a CPU, where one epoch must do: a high rate, held
together by the SFT term. The other is the field's default for LoRA on a GPU (SFT 2e-4, preferences 5e-6, batch 16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from contract.errors import ThumbwheelError
from contract.run_settings import SETTINGS, checked
from trainer.methods import NAMES, OBJECTIVES, find_objective
from trainer.tuning import settings
from trainer.tuning.table import DEFAULT, TUNINGS, Tuning

SMALL_MODEL = 1_000_000_000
# What a wish may carry beside the settings of an objective: read by the service loop, or true for the whole run.
RUN_PARAMS = frozenset({
    "method", "tuning", "filters", "challenge", "trial_labels", "dtype", "start", "lr_scale", "replay_share", "balance",
    "thinking", "checkpointing", "confirm_cost", "n_epochs", "batch_size", "learning_rate_multiplier",
})  # fmt: skip


def make_config(
    method: str, params: Mapping[str, Any], parameters: int, tuning: Tuning = TUNINGS[DEFAULT]
) -> Any:  # fmt: skip
    """Return the settings of one objective: the recipe for a model of that many parameters and the tuning, `params`.


    Its own stand under its name: {"lr": 5e-4, "sft": {"lr": 1e-4}}. Raises ThumbwheelError `bad_setting` that names an
    unknown or malformed one.
    """
    objective = find_objective(method)
    kind = objective.parts().config
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {} if parameters < SMALL_MODEL else dict(objective.large)
    for name, value in {**params, **_own(method, params)}.items():
        if name in RUN_PARAMS or name in NAMES or name in settings.NAMES:
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


def _own(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    own = params.get(method, {})
    if not isinstance(own, Mapping):
        raise ThumbwheelError("bad_setting", f"{method}={own!r} is malformed.", 'It looks like {"lr": 0.0005}.', method)
    return own


def _convert(name: str, value: Any, default: Any) -> Any:
    found = checked(name, value)
    if isinstance(default, tuple):
        try:
            return tuple(type(default[0])(part) for part in found)
        except (TypeError, ValueError) as error:
            raise ThumbwheelError(
                "bad_setting", f"{name}={value!r} is malformed.", f"It looks like {SETTINGS[name].example}.", name
            ) from error
    return type(default)(found)
