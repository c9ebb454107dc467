"""Progress and metrics of a run, written while it trains: one JSON object a line in `metrics.jsonl`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

# TRL logs many more; these are what a learning curve shows, under TRL's own names.
KEPT = (
    "loss", "grad_norm", "learning_rate", "epoch", "rewards/accuracies", "rewards/margins", "rewards/chosen",
    "rewards/rejected", "logps/chosen", "logps/rejected", "nll", "kl", "entropy", "mean_token_accuracy", "num_tokens",
)  # fmt: skip


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends a line at each log: {"step", "total", "seconds", "stage", "loss", ...}; what is not finite becomes null.

    Steps are counted over the whole run, whatever its stages. The first line holds no metrics but the plan.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._stage: str | None = None
        self._before = self._later = 0

    def announce(self, plan: Sequence[str], total: int) -> None:
        """Write what the run is going to do, and about how many steps it takes."""
        self._append({"step": 0, "total": total, "seconds": 0.0, "plan": list(plan)})

    def begin(self, stage: str, before: int, later: int) -> None:
        """Begin a stage after so many steps; about so many will follow it."""
        self._stage, self._before, self._later = stage, before, later

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line; TRL calls this every `logging_steps` steps."""
        values = {name: _finite(value) for name, value in (logs or {}).items() if name in KEPT}
        if "loss" not in values:
            return
        seconds = round(time.monotonic() - self._began, 2)
        total = self._before + state.max_steps + self._later
        line = {"step": self._before + state.global_step, "total": total, "seconds": seconds, **values}
        if self._stage is not None:
            line["stage"] = self._stage
        self.lines.append(line)
        self._append(line)

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def logging_steps(rows: int, batch: int, epochs: float) -> int:
    """Return how many steps lie between two logs: about 50 lines a run."""
    return max(1, round(rows * epochs / batch / 50))
