"""Start the collector: python -m collector

Settings: docs/reference/settings.md. Each worker opens its own log after the fork.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from typing import Any

from collector.limits import home_unwritable, rates_folder
from contract.errors import ThumbwheelError
from control_store.control import Control
from eventlog.spool import open_spooled
from runtime.logs import configure_logging
from runtime.private import say_tightened
from runtime.reloads import reloads_file
from runtime.serve import at_worker_exit, check_port, serve
from runtime.settings import Settings, load_settings

# Requests a worker handles at once; each waits for one commit that all waiting requests share.
THREADS = 128


def make_app() -> Any:
    """Open the log and the control store, in the worker, and return the app."""
    # The metrics choose their storage when they are imported: only here the environment is complete.
    from collector.app import create_app
    from collector.metrics import forget_worker
    from collector.refusals import Refusals

    try:
        settings = load_settings()
        log = open_spooled(settings.log_url, settings.collector_spool, settings.partitions or None)
        control = Control.of(settings, patient=True)
        refusals = Refusals(log)
        app = create_app(settings, log, control, refusals=refusals)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr, flush=True)
        os._exit(2)
    at_worker_exit(forget_worker, priority=5)
    at_worker_exit(refusals.close, priority=20)
    at_worker_exit(log.close)
    collect_rarely()
    return app


def collect_rarely() -> None:
    """Have Python look for reference cycles seldom: events make none, and looking took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def prepare(settings: Settings) -> None:
    """Empty what the workers share under the home; several count their metrics there, one counts in memory.

    Raises SettingsError where the home cannot be written.
    """
    metrics = settings.home / "run" / f"collector-{settings.collector_bind.port}-metrics"
    try:
        for folder in (metrics, rates_folder(settings)):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
    except OSError as error:
        raise home_unwritable(settings, error) from error
    if settings.collector_workers > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)


def main() -> int:
    """Serve until SIGTERM or SIGINT; a setting that cannot work ends the start with one line."""
    configure_logging("collector")
    try:
        settings = load_settings()
        say_tightened(settings)
        check_port(settings.collector_bind, "THUMBWHEEL_COLLECTOR_BIND")
        prepare(settings)
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 2
    serve(
        make_app, settings.collector_bind, service="collector", workers=settings.collector_workers, threads=THREADS,
        reloads=reloads_file(settings.home, settings.collector_bind.port),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
