"""Named pipes that let readers of the embedded log sleep until a writer, in any process, has committed."""

from __future__ import annotations

import errno
import os
import select
import threading
import uuid
from contextlib import suppress
from pathlib import Path

SUFFIX = ".waiting"


class Pipe:
    """One reader's named pipe; `poke_all` in any process, and `wake` in this one, end its `wait`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        # Opened under another name first: writers take a pipe that nobody has open for a dead reader's and remove it.
        unseen = self.path.with_suffix(".opening")
        os.mkfifo(unseen, 0o600)
        # Read-write keeps the pipe open without a writer, so that poll() does not report end of file.
        self._file = os.open(unseen, os.O_RDWR | os.O_NONBLOCK)
        unseen.rename(self.path)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)
        self._lock = threading.Lock()
        self._woken = False
        self._closed = False

    def wait(self, seconds: float) -> None:
        """Sleep until poked, at most `seconds`."""
        self._poll.poll(seconds * 1000)

    def drain(self) -> None:
        """Forget past pokes."""
        with suppress(BlockingIOError):
            while os.read(self._file, 65536):
                pass

    def wake(self) -> None:
        """End the `wait` of this pipe; `woken` says so once, also when nothing waits now."""
        with self._lock:
            self._woken = True
            if not self._closed:
                # A pipe full of pokes wakes its reader anyway.
                with suppress(BlockingIOError):
                    os.write(self._file, b"!")

    def woken(self) -> bool:
        """Say once whether `wake` was called."""
        with self._lock:
            woken, self._woken = self._woken, False
            return woken

    def close(self) -> None:
        """Remove the pipe."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.path.unlink(missing_ok=True)
                os.close(self._file)


def poke_all(folder: Path) -> None:
    """Wake every reader in the folder; pipes whose reader died are removed. Raises OSError for an unreadable folder."""
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
    for name in names:
        try:
            pipe = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                with suppress(OSError):
                    os.unlink(name)
            continue
        try:
            # Full of pokes: its reader will wake. Broken: its reader has just closed.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(pipe, b".")
        finally:
            os.close(pipe)
