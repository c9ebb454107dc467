"""Several processes on this machine, by torchrun: a run folder in, the local backend's job with N processes out.

The same program as one process runs, told how many there are; it refuses to train when it does not find them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from trainer.backends.local import training_command
from trainer.backends.run_folder import Work


def torchrun_command(processes: int) -> Callable[[Work], list[str]]:
    """Return what the local backend starts for a run: torchrun with so many processes of the training program."""
    # Left alone, torchrun gives each process one thread.
    threads = max(1, (os.cpu_count() or 1) // processes)

    def command(work: Work) -> list[str]:
        program = training_command(work)[1:]
        return [
            "env", f"OMP_NUM_THREADS={threads}", sys.executable, "-m", "torch.distributed.run", "--standalone",
            "--nproc_per_node", str(processes), *program, "--processes", str(processes),
        ]  # fmt: skip

    return command
