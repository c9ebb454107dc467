"""The processor: `python -m processor`. Follows the log into DuckDB and serves the console and the data API.

One process owns the DuckDB file: the worker that serves the console. Several processors share a log on Kafka where
THUMBWHEEL_PARTS names the folder they exchange their rows through (`processor.sharing.ownership`). SIGTERM ends it
within seconds; an error of the runner ends it with status 1, and whoever started it starts it again.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from typing import Any

from contract.errors import ThumbwheelError
from control_store.campaigns import Campaigns
from control_store.control import Control
from eventlog.opening import open_log
from runtime.logs import configure_logging
from runtime.private import say_tightened
from runtime.serve import at_worker_exit, check_port, serve
from runtime.settings import Settings, check_processor, load_settings

log_lines = logging.getLogger("processor")


def create(settings: Settings) -> Any:
    """Open everything in the worker, start the threads, and return the console's WSGI app."""
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

    configure_logging("processor")
    try:
        log = open_log(settings.log_url, settings.partitions or None)
        whole = with_archive(log, settings.archive)
        store = open_shared_store(settings) if settings.parts else open_store(settings, whole, _show_progress)
        control = Control.of(settings)
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
        follows.start()
        follower.start()
        counter.start()
        if settings.processor_holds == "all":
            live.start()
        eraser.start()
        expiry.start()
        examiner.start()
    except ThumbwheelError as error:
        log_lines.error("%s", error.line())
        os._exit(1)
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
