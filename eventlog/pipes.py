"""Named pipes that let readers of the embedded log sleep until a writer, in any process, has committed."""

from __future__ import annotations

import errno
import os
import select
import uuid
from pathlib import Path

SUFFIX = ".waiting"


class Pipe:
    """One reader's named pipe; `poke_all` in any process ends its `wait`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        os.mkfifo(self.path, 0o600)
        # Read-write keeps the pipe open without a writer, so that select() does not report end of file.
        self._file = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._woken = False

    def wait(self, seconds: float) -> None:
        """Sleep until poked, at most `seconds`."""
        select.select([self._file], [], [], seconds)

    def drain(self) -> None:
        """Forget past pokes."""
        try:
            while b"!" not in (read := os.read(self._file, 4096)):
                if not read:
                    return
            self._woken = True
        except BlockingIOError:
            return

    def wake(self) -> None:
        """End the `wait` of this pipe for good: the next poll returns at once."""
        os.write(self._file, b"!")

    def woken(self) -> bool:
        """Say once whether `wake` was called."""
        woken, self._woken = self._woken, False
        return woken

    def close(self) -> None:
        """Remove the pipe."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def poke_all(folder: Path) -> None:
    """Wake every reader in the folder; pipes whose reader died are removed."""
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
    for name in names:
        try:
            pipe = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                Path(name).unlink(missing_ok=True)
            continue
        try:
            os.write(pipe, b".")
        except BlockingIOError:
            pass  # The pipe is full of pokes: its reader will wake.
        finally:
            os.close(pipe)
