"""The trainer service: `python -m trainer`. Reads settings from the environment and thumbwheel.toml.

Writes HOME/run/trainer.ready when it works. SIGTERM ends a running job and the service within 10 s.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from contract.errors import ThumbwheelError
from control_store.control import Control
from eventlog.opening import open_log
from runtime.data_api import Api, find_service_key
from runtime.logs import configure_logging
from runtime.private import say_tightened
from runtime.settings import Settings, load_settings
from runtime.signals import Flag
from trainer.backends.launched import LAUNCHERS, LaunchedBackend, Place
from trainer.backends.local import LocalBackend
from trainer.backends.run_folder import Backend
from trainer.backends.torchrun import torchrun_command
from trainer.hosted.command import hosted_command
from trainer.loop.schedule import Scheduler

POLL_S = 1.0


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    configure_logging("trainer")
    stopping = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        settings = load_settings()
        say_tightened(settings)
        serve(settings, stopping)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    return 0


def serve(settings: Settings, stopping: Flag) -> None:
    """Run the loop until `stopping` is set. Raises ThumbwheelError when another trainer has this home."""
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    lock = _only_one(folder / "trainer.lock")
    ready = folder / "trainer.ready"
    ready.unlink(missing_ok=True)
    events = open_log(settings.log_url, settings.partitions or None)
    control = Control.of(settings)
    api = Api(settings.console_url or settings.console_bind.url, find_service_key(settings))
    scheduler = Scheduler(
        settings, events, api, projects=lambda: projects_of(control, api), backend=backend_of(settings)
    )  # fmt: skip
    try:
        scheduler.recover()
        ready.write_text(str(os.getpid()), "utf-8")
        while not stopping.wait(POLL_S):
            scheduler.turn()
    finally:
        scheduler.stop()
        ready.unlink(missing_ok=True)
        events.close()
        os.close(lock)


def backend_of(settings: Settings) -> Backend:
    """Return where runs train: one process of this machine, torchrun's, a launcher's, a vendor."""
    if settings.train_backend in LAUNCHERS:
        place = Place(settings.train_image, settings.train_accelerators, settings.train_storage)
        return LaunchedBackend(LAUNCHERS[settings.train_backend], place)
    if settings.train_backend in ("openai", "zhipu"):
        return LocalBackend(hosted_command)
    several = settings.train_processes > 1
    return LocalBackend(torchrun_command(settings.train_processes) if several else None)


def projects_of(control: Control, api: Api) -> list[str]:
    """Return the projects that have a key or data: an import needs no key."""
    try:
        stored = {str(item["project"]) for item in api.get("/api/v1/projects")["items"]}
    except ThumbwheelError:
        stored = set()  # The console is away: each project's turn finds out, and says so once.
    return sorted({*control.projects(), *stored})


def _only_one(file: Path) -> int:
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ThumbwheelError(
            "already_running", f"Another trainer works in {file.parent.parent}.", "Stop it first, or use another home."
        ) from error
    return handle


if __name__ == "__main__":
    sys.exit(main())
