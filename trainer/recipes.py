"""Recipes: the settings a run gets where nobody chose any, by method and size of model.

The demo recipe is for models of a few hundred million parameters on a CPU, where one epoch must do: a high rate, held
together by the SFT term. The other is the field's default for LoRA on a GPU (SFT 2e-4, preferences 5e-6, batch 16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from contract.errors import ThumbwheelError
from trainer.objectives.dpo import PreferenceConfig
from trainer.objectives.kto import ThumbConfig
from trainer.objectives.sft import DemonstrationConfig
from trainer.rows import DatasetFolder

Config = PreferenceConfig | ThumbConfig | DemonstrationConfig
CONFIGS: dict[str, type[Config]] = {"dpo": PreferenceConfig, "kto": ThumbConfig, "sft": DemonstrationConfig}
SMALL_MODEL = 1_000_000_000
LARGE: dict[str, dict[str, Any]] = {
    "dpo": {"lr": 5e-6, "batch": 16, "micro_batch": 4, "max_length": 1024},
    "kto": {"lr": 5e-6, "batch": 16, "micro_batch": 8, "max_length": 1024},
    "sft": {"lr": 2e-4, "batch": 16, "micro_batch": 4, "max_length": 1024, "packing": True},
}
# What a wish may carry beside the trainer's own settings; read by the service loop.
LOOP_PARAMS = frozenset({"filters", "challenge", "dtype", "start", "lr_scale"})
# Fewer demonstrations than this teach a style by heart; picks and thumbs come first.
METHODS = ("dpo", "kto", "sft")


def choose_method(method: str, dataset: DatasetFolder) -> str:
    """Return the method; `auto` takes DPO when pairs are there, else KTO when both thumbs are, else SFT.

    Raises ThumbwheelError `no_rows` when the data set holds nothing to train on.
    """
    counts = {
        config: dataset.counts.get(config, {}).get("train", 0) for config in ("preference", "unpaired", "demonstration")
    }
    if method != "auto":
        return method
    if counts["preference"]:
        return "dpo"
    if counts["unpaired"] and len({row.label for row in dataset.rated("train")}) == 2:
        return "kto"
    if counts["demonstration"]:
        return "sft"
    raise ThumbwheelError(
        "no_rows",
        f"The dataset {dataset.dataset_id} holds nothing to train on.",
        "Collect picks, thumbs up and down, or edits.",
    )


def make_config(method: str, params: Mapping[str, Any], parameters: int) -> Config:
    """Return the settings of a run: the recipe for a model of that many parameters, then `params`.

    Raises ThumbwheelError `bad_setting` that names an unknown or malformed one.
    """
    if method not in CONFIGS:
        raise ThumbwheelError("bad_setting", f"Unknown method {method!r}.", "Use dpo, kto, sft or auto.", "method")
    kind = CONFIGS[method]
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {} if parameters < SMALL_MODEL else dict(LARGE[method])
    for name, value in params.items():
        if name in LOOP_PARAMS:
            continue
        if name not in known:
            if any(name in {f.name for f in fields(other)} for other in CONFIGS.values()):
                continue  # A wish for `auto` may carry settings of another method.
            raise ThumbwheelError(
                "bad_setting", f"Unknown setting {name!r}.", f"Known: {', '.join(sorted(known))}.", name
            )
        values[name] = _convert(name, value, getattr(kind, name))
    config = kind(**values)
    return replace(config, lr=config.lr * float(params.get("lr_scale", 1.0)))


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
