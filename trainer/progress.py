"""Progress and metrics of a run, written while it trains: one JSON object a line in `metrics.jsonl`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

# TRL logs many more; these are what a learning curve shows, under TRL's own names.
KEPT = (
    "loss", "grad_norm", "learning_rate", "epoch", "rewards/accuracies", "rewards/margins", "rewards/chosen",
    "rewards/rejected", "logps/chosen", "logps/rejected", "nll", "kl", "entropy", "mean_token_accuracy", "num_tokens",
)  # fmt: skip


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends a line at each log: {"step", "total", "seconds", "loss", ...}; what is not finite becomes null."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line; TRL calls this every `logging_steps` steps."""
        values = {name: _finite(value) for name, value in (logs or {}).items() if name in KEPT}
        if "loss" not in values:
            return
        seconds = round(time.monotonic() - self._began, 2)
        line = {"step": state.global_step, "total": state.max_steps, "seconds": seconds, **values}
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def logging_steps(rows: int, batch: int, epochs: float) -> int:
    """Return how many steps lie between two logs: about 50 lines a run."""
    return max(1, round(rows * epochs / batch / 50))
