"""Progress and metrics of a run, written while it trains: one JSON object a line in `metrics.jsonl`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
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
    """Appends a line at each log: {"step", "total", "seconds", "stage", "loss", ...}; what is not finite becomes null.

    Steps are counted over the whole run, whatever its stages. The first line holds no metrics but the plan. A resumed
    run keeps the lines up to its checkpoint; the next one says `resumed_from`, the step it went on from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._head: list[dict[str, Any]] = []
        self._stage: str | None = None
        self._before = self._later = 0
        self._resumed: dict[str, int] = {}
        # What a start of the run before this one wrote: as much of it stays as its checkpoints hold.
        self._earlier = _lines_of(path)

    def announce(self, plan: Sequence[str], total: int) -> None:
        """Write what the run is going to do, and about how many steps it takes."""
        self._head = [{"step": 0, "total": total, "seconds": 0.0, "plan": list(plan)}]
        self._write()

    def begin(self, stage: str, before: int, later: int) -> None:
        """Begin a stage after so many steps; about so many will follow it."""
        self._stage, self._before, self._later = stage, before, later

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over what an earlier start of this stage had written up to its checkpoint."""
        if not state.is_world_process_zero:
            return
        reached = self._before + state.global_step
        taken = [line for line in self._earlier if self._before < line["step"] <= reached]
        self.lines += taken
        self._write()
        if taken:
            self._began = time.monotonic() - taken[-1]["seconds"]
        if state.global_step:
            self._resumed = {"resumed_from": reached}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line; TRL calls this every `logging_steps` steps."""
        values = {name: _finite(value) for name, value in (logs or {}).items() if name in KEPT}
        if "loss" not in values or not state.is_world_process_zero:
            return
        seconds = round(time.monotonic() - self._began, 2)
        total = self._before + state.max_steps + self._later
        line = {"step": self._before + state.global_step, "total": total, "seconds": seconds, **values, **self._resumed}
        self._resumed = {}
        if self._stage is not None:
            line["stage"] = self._stage
        self.lines.append(line)
        self._append(line)

    def _write(self) -> None:
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in (*self._head, *self.lines)).encode())

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file that may not be there; a line that was being written is none."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]] if path.exists() else []


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def logging_steps(rows: int, batch: int, epochs: float) -> int:
    """Return how many steps lie between two logs: about 50 lines a run."""
    return max(1, round(rows * epochs / batch / 50))
