"""The processor: `python -m processor`. Follows the log into DuckDB and serves the console and the data API.

One process owns the DuckDB file: the worker that serves the console. Several processors share a log on Kafka where
THUMBWHEEL_PARTS names the folder they exchange their rows through (`processor.sharing.ownership`). SIGTERM ends it
within seconds; an error of the runner ends it with status 1, and whoever started it starts it again. Brokers, and a
control store, that are away at the start are waited for.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from typing import Any, NoReturn

from contract.errors import ThumbwheelError
from control_store.campaigns import Campaigns
from control_store.control import Control
from eventlog.awaited import AwaitedLog, open_awaited
from eventlog.log import Log
from runtime.logs import configure_logging
from runtime.private import say_tightened
from runtime.serve import at_worker_exit, check_port, serve
from runtime.settings import Settings, check_processor, load_settings

log_lines = logging.getLogger("processor")


def create(settings: Settings) -> Any:
    """Open everything in the worker, and return the console's app; while the log is away, one that waits for it."""
    from processor.console.waiting import Waiting

    configure_logging("processor")
    try:
        log = open_awaited(settings.log_url, settings.partitions or None)
        there = log.wait(0.0) if isinstance(log, AwaitedLog) else log
        if there is not None:
            return open_console(settings, there)
    except ThumbwheelError as error:
        _give_up(error)
    assert isinstance(log, AwaitedLog)
    waiting = Waiting(log, partial(open_console, settings), _give_up)
    at_worker_exit(waiting.close)
    return waiting


def _give_up(error: BaseException) -> NoReturn:
    """End a process that cannot start."""
    if isinstance(error, ThumbwheelError):
        log_lines.error("%s", error.line())
    else:
        log_lines.error("The processor cannot start: %s", type(error).__name__, exc_info=error)
    os._exit(1)


def open_console(settings: Settings, log: Log) -> Any:
    """Open the tables over a log that is there, start the threads, and return the console's WSGI app."""
    from processor.campaign_answers import AnswerCounter
    from processor.console import create_app
    from processor.history.archive import with_archive
    from processor.history.replay import open_store
    from processor.ingest.freshness import Freshness
    from processor.ingest.runner import Runner, tune_interpreter
    from processor.live_tasks import LiveTasks
    from processor.privacy.erasing import Eraser
    from processor.privacy.expiry import Expiry
    from processor.queries.curation.book import Books
    from processor.sharing.opening import open_shared_store, share
    from processor.similarity.duplicates import Follower
    from processor.tables.examining import Examiner

    whole = with_archive(log, settings.archive)
    store = open_shared_store(settings) if settings.parts else open_store(settings, whole, _show_progress)
    control = Control.of(settings, patient=True)
    tune_interpreter()
    freshness = Freshness()
    ownership = share(settings, store, whole, freshness, _end) if settings.parts else None
    follows = ownership or Runner(store, whole, failed=_end, freshness=freshness)
    embeds = settings.embedder if settings.processor_holds == "all" else "none"
    follower = Follower(store, whole, embeds, folder=settings.home / "processor" / "neighbours")
    eraser = Eraser(store, log, settings.home / "processor" / "neighbours")
    expiry = Expiry(store, log)
    examiner = Examiner(store)
    counter = AnswerCounter(store, Campaigns(control.engine), ownership.owned if ownership else None)
    books = Books()
    live = LiveTasks(store, log, books)
    app = create_app(settings, store, log, control, freshness, books)
    for thread in (follows, follower, counter, eraser, expiry, examiner):
        thread.start()
    if settings.processor_holds == "all":
        live.start()
    # Together well below the 8 s after which the server kills a worker.
    closing = (
        (50, partial(follows.stop, 4.0)), (40, partial(follower.stop, 2.0)), (30, partial(counter.stop, 1.0)),
        (28, partial(live.stop, 1.0)),
        (25, partial(eraser.stop, 1.0)), (24, partial(expiry.stop, 0.5)), (23, partial(examiner.stop, 0.5)),
        (20, store.close), (10, log.close),
    )  # fmt: skip
    for priority, close in closing:
        at_worker_exit(close, priority)
    return app


def _end(error: BaseException) -> None:
    """End the whole process at once: what was committed is kept, the rest is read again after the restart.

    No restart mends a damaged file: then the process stays, not ready, and its pages say what to do.
    """
    from processor.tables.faults import StoreDamaged

    line = error.line() if isinstance(error, ThumbwheelError) else f"{type(error).__name__}: {error}"
    if isinstance(error, StoreDamaged):
        log_lines.error("Nothing is taken into the tables any more. %s", line)
        return
    log_lines.error("The processor ends and needs a restart. %s", line.splitlines()[0])
    os._exit(1)


def _show_progress(done: int, total: int) -> None:
    log_lines.info("Replayed %d of %d records", done, total)


def main() -> int:
    """Serve until SIGTERM."""
    configure_logging("processor")
    try:
        settings = load_settings()
        check_processor(settings)
        say_tightened(settings)
        check_port(settings.console_bind, "THUMBWHEEL_CONSOLE_BIND")
    except ThumbwheelError as error:
        print(error.line(), file=sys.stderr)
        return 1
    serve(partial(create, settings), settings.console_bind, service="processor")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
