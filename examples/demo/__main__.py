"""Serve the demo product: `python -m examples.demo`. SIGTERM or Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from multiprocessing import util

from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from examples.demo.app import create_app
from examples.demo.settings import DemoSettings, SettingsError, load_settings


def load(settings: DemoSettings, parent: int) -> Flask:
    """Make the app in the serving process, which sends the feedback it still holds before it ends."""
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    app = create_app(settings)
    util.Finalize(None, app.extensions["thumbwheel"].shutdown, exitpriority=10)
    return app


def end_with(parent: int) -> None:
    """Stop serving when the starting process is gone, however it went: its port must be free for the next one."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    # A streamed answer holds its thread, so there are more threads than cores; one HTTP/2 connection could take all.
    server = Granian(
        "app", address=settings.host, port=settings.port, interface=Interfaces.WSGI, http=HTTPModes.http1,
        workers=1, blocking_threads=24, websockets=False, log_access=False, log_level=LogLevels.error,
        workers_kill_timeout=5,
    )  # fmt: skip
    server.serve(target_loader=partial(load, settings, os.getpid()), wrap_loader=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
