"""Start the collector: python -m collector

Settings: docs/reference/settings.md. Each worker opens its own log after the fork.
"""

from __future__ import annotations

import os
import sys

from flask import Flask

from collector.app import create_app
from eventlog.control import Control
from eventlog.errors import ThumbwheelError
from eventlog.log import open_log
from eventlog.serve import at_worker_exit, check_port, configure_logging, serve
from eventlog.settings import load_settings

# Requests a worker handles at once; each waits for one commit that all waiting requests share.
THREADS = 32


def make_app() -> Flask:
    """Open the log and the control store, in the worker, and return the app."""
    settings = load_settings()
    try:
        log = open_log(settings.log_url, settings.partitions or None)
        control = Control.open(settings.control_url, settings.keys)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr, flush=True)
        os._exit(2)
    at_worker_exit(log.close)
    return create_app(log, control)


def main() -> int:
    """Serve until SIGTERM or SIGINT; a setting that cannot work ends the start with one line."""
    configure_logging()
    try:
        settings = load_settings()
        check_port(settings.collector_bind, "THUMBWHEEL_COLLECTOR_BIND")
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    serve(make_app, settings.collector_bind, workers=settings.collector_workers, threads=THREADS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
