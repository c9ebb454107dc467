"""The stages of a run on one adapter: a plan and a prepared model in; the trained model, and what each stage did, out.

All in one process: what a stage made is what the next one starts from. TRL's preference trainers copy a continued
adapter to `ref`, so the stage before is also the reference policy; its copy goes before the next one is made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from inference.hardware import Hardware
from inference.tokens import Encoder
from trainer import processes
from trainer.fitting import SHORTENED
from trainer.plan import Plan, Stage
from trainer.progress import MetricsFile
from trainer.rows import NothingLeft, counted
from trainer.tuning.shape import Prepared

REFERENCE = "ref"
# Why a stage of several may be left out once its rows are tokenised; with no other stage they end the run.
_NOTHING_LEFT = ("no_rows", "one_label")


@dataclass(frozen=True)
class Trained:
    """What all stages made; `stages` holds a record of each, those that were left out too."""

    model: Any
    stages: list[dict[str, Any]]
    steps: int

    @property
    def name(self) -> str:
        """Return the objectives that trained, in order: "sft+dpo"."""
        return "+".join(stage["objective"] for stage in self._trained)

    @property
    def config(self) -> dict[str, Any]:
        """Return the settings of the one stage that trained, or those of each by its objective."""
        configs = {stage["objective"]: stage["config"] for stage in self._trained}
        return dict(next(iter(configs.values()))) if len(configs) == 1 else configs

    @property
    def dropped(self) -> dict[str, int]:
        """Return the rows that no stage learnt from, by reason."""
        return dict(sum((Counter(stage["dropped"]) for stage in self.stages), Counter[str]()))

    @property
    def _trained(self) -> list[dict[str, Any]]:
        return [stage for stage in self.stages if "skipped" not in stage]


def planned_steps(stage: Stage, config: Any) -> int:
    """Return about how many optimiser steps a stage takes, no row dropped."""
    steps: int = math.ceil(math.ceil(len(stage.rows) / config.batch) * config.epochs)
    return steps


def train_stages(
    plan: Plan, prepared: Prepared, encoder: Encoder, configs: Mapping[str, Any], hardware: Hardware,
    metrics: MetricsFile, work: Path, several: int = 1,
) -> Trained:  # fmt: skip
    """Train one stage after the other, in `several` processes. Raises ThumbwheelError where none had rows left.

    Each stage keeps its checkpoints in a folder of its own: a run that goes on repeats of each what its last one lacks.
    """
    ahead = [planned_steps(stage, configs[stage.objective.name]) for stage in plan.stages]
    if processes.is_first():
        metrics.announce(plan.words, sum(ahead))
    done = Trained(None, [], 0)
    problem: ThumbwheelError | None = None
    for place, stage in enumerate(plan.stages):
        config = configs[stage.objective.name]
        metrics.begin(stage.objective.name, done.steps, sum(ahead[place + 1 :]))
        try:
            trainer, dropped = stage.objective.parts().train(
                stage.rows, prepared, encoder, processes.share(config, several), hardware, metrics,
                work / f"{place + 1}-{stage.objective.name}" if place else work,
            )  # fmt: skip
        except ThumbwheelError as error:
            if error.code not in _NOTHING_LEFT:
                raise
            problem = error
            record = _record(stage, prepared, config, error.dropped if isinstance(error, NothingLeft) else {})
            done.stages.append(record | {"skipped": error.message, "rows": 0, "steps": 0})
            continue
        model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        steps = trainer.state.global_step
        record = _record(stage, prepared, config, dropped) | {"steps": steps} | _losses(metrics, done.steps)
        done = Trained(model, [*done.stages, record], done.steps + steps)
        prepared = _next(prepared, model, stage)
    if problem is not None and done.model is None:
        raise problem
    return done


def _next(prepared: Prepared, model: Any, stage: Stage) -> Prepared:
    """Return what the next stage starts from: the model as it is, its adapter the reference."""
    if REFERENCE in getattr(model, "peft_config", {}):
        model.delete_adapter(REFERENCE)
    return replace(prepared, model=model, peft_config=None, reference=f"stage {stage.objective.name}")


def _record(stage: Stage, prepared: Prepared, config: Any, dropped: Mapping[str, int]) -> dict[str, Any]:
    gone = {reason: n for reason, n in dropped.items() if reason != SHORTENED}
    return {
        "objective": stage.objective.name, "kind": stage.objective.reads, "rows": len(stage.rows) - sum(gone.values()),
        "dropped": counted({**stage.left_out, **gone}), "shortened": dropped.get(SHORTENED, 0),
        "reference": prepared.reference, "config": asdict(config),
    }  # fmt: skip


def _losses(metrics: MetricsFile, before: int) -> dict[str, Any]:
    lines = [line["loss"] for line in metrics.lines if line["step"] > before]
    return {"loss_first": lines[0], "loss_last": lines[-1]} if lines else {}
