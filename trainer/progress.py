"""Progress and metrics of a run, written while it trains: one JSON object a line in `metrics.jsonl`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from runtime.files import write_whole

# TRL logs many more; these are what a learning curve shows, under TRL's own names.
KEPT = (
    "loss", "grad_norm", "learning_rate", "epoch", "rewards/accuracies", "rewards/margins", "rewards/chosen",
    "rewards/rejected", "logps/chosen", "logps/rejected", "nll", "kl", "entropy", "mean_token_accuracy", "num_tokens",
)  # fmt: skip


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Appends a line at each log: {"step", "total", "seconds", "loss", ...}; what is not finite becomes null.

    A resumed run keeps the lines up to its checkpoint; the next one says `resumed_from`, the step it went on from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._resumed: dict[str, int] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over what a run that goes on had written up to its checkpoint."""
        if self.lines or not self.path.exists() or not state.is_world_process_zero:
            return
        if not state.global_step:
            self.path.unlink()  # Of a start that this one does not go on with.
            return
        whole = self.path.read_text("utf-8").split("\n")[:-1]
        self.lines = [line for line in map(json.loads, whole) if line["step"] <= state.global_step]
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())
        self._began -= self.lines[-1]["seconds"] if self.lines else 0.0
        self._resumed = {"resumed_from": state.global_step}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line; TRL calls this every `logging_steps` steps."""
        values = {name: _finite(value) for name, value in (logs or {}).items() if name in KEPT}
        if "loss" not in values or not state.is_world_process_zero:
            return
        seconds = round(time.monotonic() - self._began, 2)
        line = {"step": state.global_step, "total": state.max_steps, "seconds": seconds, **values, **self._resumed}
        self._resumed = {}
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def logging_steps(rows: int, batch: int, epochs: float) -> int:
    """Return how many steps lie between two logs: about 50 lines a run."""
    return max(1, round(rows * epochs / batch / 50))
