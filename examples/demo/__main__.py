"""Serve the demo product: `python -m examples.demo`. SIGTERM or Ctrl-C ends it."""

from __future__ import annotations

import sys
from functools import partial

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from examples.demo.app import create_app
from examples.demo.settings import SettingsError, load_settings


def main() -> int:
    """Serve until told to stop; the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    # A streamed answer holds its thread, so there are more threads than cores.
    server = Granian(
        "app", address=settings.host, port=settings.port, interface=Interfaces.WSGI, workers=1, blocking_threads=24,
        websockets=False, log_access=False, log_level=LogLevels.error, workers_kill_timeout=5,
    )  # fmt: skip
    server.serve(target_loader=partial(create_app, settings), wrap_loader=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
