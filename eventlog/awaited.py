"""The log of a process that starts while the brokers are away: opened as soon as they answer.

Until then nothing is accepted: appends raise LogUnavailable, which senders are told as `retry`, and `check` says why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from contract.errors import LogUnavailable, ThumbwheelError
from eventlog.behind import InFront
from eventlog.log import Entry, Log, Position
from eventlog.opening import open_log

log = logging.getLogger(__name__)

# What a start waits for the brokers' first answer, and the pause between two tries.
START_SECONDS = 3.0
PAUSE_SECONDS = 1.0


class AwaitedLog(InFront):
    """The `Log` that `connect` opens, once it can. Open it after a fork; thread-safe."""

    def __init__(self, connect: Callable[[], Log]) -> None:
        """Try at once, and wait a little for the answer.

        Raises what is wrong with the settings, where that is known by then; it is never tried away.
        """
        self._connect = connect
        self._found: Log | None = None
        self._why: ThumbwheelError = LogUnavailable("The brokers have not answered yet.")
        self._closing = threading.Event()
        self._tried = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-await", daemon=True)
        self._thread.start()
        if self._tried.wait(START_SECONDS) and self._found is None and not isinstance(self._why, LogUnavailable):
            self._closing.set()
            raise self._why

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                found = self._connect()
            except ThumbwheelError as error:
                if error.message != self._why.message:
                    log.warning("The log cannot be opened yet; it is tried again. %s", error.line())
                self._why = error
                self._tried.set()
                self._closing.wait(PAUSE_SECONDS)
                continue
            if self._closing.is_set():
                found.close()
            else:
                if self._tried.is_set():
                    log.warning("The brokers are there.")
                self._found = found
            self._tried.set()
            break
        self._over.set()

    def wait(self, timeout_s: float | None = None) -> Log | None:
        """Return the log behind once it is there; None when it is not in time, or is no longer awaited."""
        self._over.wait(timeout_s)
        return self._found

    def _reached(self) -> Log:
        if self._found is None:
            raise LogUnavailable(self._why.message, self._why.hint)
        return self._found

    @property
    def promise(self) -> str:
        """Return what stands behind an acknowledged append; nothing is acknowledged before the brokers answer."""
        return "not known yet" if self._found is None else self._found.promise

    @property
    def keeps_all(self) -> bool:
        """Say whether the brokers keep every record."""
        return self._reached().keeps_all

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append; raises LogUnavailable while the brokers are awaited: nothing was written."""
        return self._reached().append(entries, timeout_s)

    def check(self) -> None:
        """Raise LogUnavailable while the brokers are awaited, or cannot be reached any more."""
        self._reached().check()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop waiting, or close the log."""
        self._closing.set()
        if self._found is not None:
            self._found.close(timeout_s)
        else:
            self._thread.join(min(timeout_s, 1.0))


def open_awaited(url: str, partitions: int | None = None) -> Log:
    """Open the log at `url`; brokers that are away are waited for (`AwaitedLog`), an embedded log is there or is wrong.

    Raises SettingsError.
    """
    if url.startswith("kafka://"):
        return AwaitedLog(lambda: open_log(url, partitions))
    return open_log(url, partitions)
