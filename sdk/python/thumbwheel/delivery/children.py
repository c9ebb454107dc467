"""Children of `multiprocessing`, which end without Python's exit handlers. In: what to do at an end. Out: it is done.

A child that ends by itself sends what waits. One that is terminated, as a Pool ends its workers, cannot: it warns.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Callable

log = logging.getLogger("thumbwheel")

_warned_in: set[int] = set()


def _in_child() -> bool:
    """Say whether `multiprocessing` started this process; it is loaded where it did."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def warn_in_child() -> None:
    """Warn once a process that what waits goes with a child that is terminated."""
    if os.getpid() in _warned_in or not _in_child():
        return
    _warned_in.add(os.getpid())
    log.warning(
        "this is a multiprocessing child: one that is terminated, as by a Pool, loses what waits. "
        "Call flush() before a task ends, or pass spool=... or sync=True to init()"
    )


def flush_at_child_end(end: Callable[[], object]) -> None:
    """Have `multiprocessing`, where it is loaded, call `end` when a child has done its work."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None:
        return
    # A child that begins forgets what is to be done at the parent's end first, and then calls this.
    util.register_after_fork(end, lambda kept: util.Finalize(None, kept, exitpriority=0))
    if _in_child():
        util.Finalize(None, end, exitpriority=0)
