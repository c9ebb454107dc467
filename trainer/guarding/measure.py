"""Measure a registered adapter again: its id in; every guard against the base, with today's limits, out.

    thumbwheel evaluate ad-0123456789ab

The same measures a run takes after training, from the files the gateway serves.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from inference.base_model import ensure_base_model, load_tokenizer
from inference.hardware import find_hardware
from inference.tokens import make_encoder
from inference.tuned import is_tuned, load_tuned
from runtime.settings import Settings
from trainer.guarding import evaluate, guards
from trainer.guarding.beside import cache_of, with_base
from trainer.guarding.chance import Accuracy
from trainer.loop.registry import Registry


def evaluate_adapter(settings: Settings, project: str, adapter_id: str) -> dict[str, Any]:
    """Return {adapter_id, passed, reasons, guards}; raises ThumbwheelError for an unknown adapter, and for a
    remote one, whose weights are not here.

    Held-out accuracy belongs to a run and its dataset; it is on the adapter's card, not measured here.
    """
    registry = Registry(settings.home / "models" / project, project)
    folder = registry.weights(adapter_id)
    if not is_tuned(folder):
        raise ThumbwheelError(
            "unknown_adapter",
            f"There is no adapter {adapter_id!r} in project {project!r}.",
            "thumbwheel models lists them.",
        )
    base = ensure_base_model(settings.base_model, settings.home)
    return measure_folder(folder, base, settings.home / "models" / "guards") | {"adapter_id": adapter_id}


def recorded_kwargs(adapter: Path) -> dict[str, Any]:
    """Return the `chat_template_kwargs` an adapter was trained under, as its card says; {} where it has none."""
    try:
        card = json.loads((adapter / "card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(card.get("chat_template_kwargs") or {})


def measure_folder(adapter: Path, base: Path, cache: Path | None) -> dict[str, Any]:
    """Return the verdicts on an adapter folder; the base's side is kept under `cache`."""
    hardware = find_hardware()
    model = with_base(load_tuned(base, adapter, hardware.dtype).to(hardware.device), base)
    encoder = make_encoder(load_tokenizer(base), model, recorded_kwargs(adapter))
    moved = evaluate.probe_logits(model, encoder) - evaluate.probe_logits(model, encoder, base=True)
    change = float(moved.abs().max())
    training = guards.Training(float(change > 0), change, 0.0, Accuracy(0, 0))
    base_side = guards.base_side(model, encoder, base, cache_of(cache, adapter), guards.SAMPLING)
    side = guards.measure(model, encoder, guards.frozen_prompts(), guards.SAMPLING, base=False)
    verdicts = [verdict for verdict in guards.judge(side, base_side, training) if verdict.name != "held_out"]
    return {
        "passed": guards.all_passed(verdicts), "reasons": guards.reasons(verdicts),
        "guards": [asdict(verdict) for verdict in verdicts],
    }  # fmt: skip
