"""Start the model gateway: python -m gateway

One worker process holds the engine; many threads wait in it for replies. Settings: docs/reference/settings.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# How long a thread spins at a barrier before it sleeps. GCC's default starves whoever else computes on a small machine
# (measured, 4 rows beside two busy processes: 12 tokens/s against 20), and never to spin costs a third of the speed
# when nobody does (48 against 70). Must be set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# The log is lines; a progress bar of a library is none.
os.environ.setdefault("TQDM_DISABLE", "1")

from flask import Flask

from contract.errors import ThumbwheelError
from control_store.control import Control
from control_store.training import TrainingSettings
from eventlog.awaited import open_awaited
from gateway.aliases import Models
from gateway.app import create_app
from gateway.thinking import Thinking
from gateway.upstream import Upstream
from inference.replies import Generator
from runtime.logs import configure_logging
from runtime.private import say_tightened
from runtime.serve import at_worker_exit, check_port, serve
from runtime.settings import Settings, load_settings

# A request thread waits for its replies; the engine bounds the rows that may wait.
THREADS = 64


def make_generator(settings: Settings, models: Models) -> Generator:
    """Return the engine in process, or the upstream when one is set."""
    if settings.model_api:
        return Upstream(settings.model_api, settings.base_model, settings.model_api_key, remote=models.remote)
    import torch
    from transformers.utils.logging import disable_progress_bar

    from gateway.engine import Engine
    from inference.base_model import ensure_base_model

    torch.set_num_threads(cpu_threads())
    disable_progress_bar()
    return Engine(ensure_base_model(settings.base_model, settings.home), models.folder)


def cpu_threads() -> int:
    """Return how many threads compute: OMP_NUM_THREADS, else the CPUs this process may use, a container's limit too.

    More threads than CPUs wait for each other at every barrier.
    """
    if told := os.environ.get("OMP_NUM_THREADS", ""):
        return max(1, int(told)) if told.isdigit() else 1
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        cpus = min(cpus, round(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # No limit is set ("max"), or this is not Linux.
    return max(1, cpus)


def make_app() -> Flask:
    """Open what the gateway needs, in the worker (torch does not survive a fork), and return its app."""
    settings = load_settings()
    models = Models(settings.home)
    try:
        generator = make_generator(settings, models)
        log = open_awaited(settings.log_url, settings.partitions or None)
        control = Control.of(settings, patient=True)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr, flush=True)
        os._exit(2)
    at_worker_exit(generator.close, priority=30)
    at_worker_exit(log.close, priority=20)
    thinking = Thinking(settings, TrainingSettings(control.engine))
    return create_app(models, log, control, generator, thinking)


def main() -> int:
    """Serve until SIGTERM or SIGINT; a setting that cannot work ends the start with one line."""
    configure_logging("gateway")
    try:
        settings = load_settings()
        say_tightened(settings)
        check_port(settings.gateway_bind, "THUMBWHEEL_GATEWAY_BIND")
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    serve(make_app, settings.gateway_bind, service="gateway", threads=THREADS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
