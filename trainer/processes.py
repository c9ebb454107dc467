"""Several processes that train one adapter: what torchrun started in; their number checked, and a share for each, out.

A launcher that starts fewer than it was told to says nothing (`accelerate launch --cpu --num_processes 2` starts one):
the run would go on at half the batch. So the number is given to the run as well, and compared.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import PartialState

from contract.errors import ThumbwheelError


def join(expected: int, device: str) -> None:
    """Meet the other processes. Raises ThumbwheelError `wrong_processes` unless there are as many as expected."""
    found = PartialState(cpu=device == "cpu").num_processes if _started() > 1 else 1
    if found != expected:
        raise ThumbwheelError(
            "wrong_processes", f"{expected} processes were to train, and there are {found}.",
            "Start them with torchrun: accelerate launch starts one on a CPU.", "processes",
        )  # fmt: skip


def share(config: Any, processes: int) -> Any:
    """Return the settings for one of several processes: its part of the effective batch.

    Raises ThumbwheelError `bad_setting` when the batch cannot be shared out evenly.
    """
    if config.batch % processes:
        raise ThumbwheelError(
            "bad_setting", f"batch={config.batch} cannot be shared by {processes} processes.",
            f"Use a multiple of {processes}.", "batch",
        )  # fmt: skip
    return replace(config, batch=config.batch // processes)


def is_first() -> bool:
    """Say whether this process is the one that writes files."""
    return os.environ.get("RANK", "0") == "0"


def end_with(service: int) -> None:
    """End this process when the service that wanted the run is gone: a new one would start a second beside it.

    The service is this process's parent, or torchrun's, which is then the parent and has to stay as well.
    """
    launcher = os.getppid()
    while os.getppid() == launcher and service == (launcher if _started() == 1 else _parent_of(launcher)):
        time.sleep(1.0)
    os._exit(3)


def _started() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _parent_of(pid: int) -> int:
    """Return the parent of another process, 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return 0
    shown = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(shown.stdout.strip() or 0)
