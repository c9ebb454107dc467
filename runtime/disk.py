"""In: a folder. Out: whether the disk beneath it takes more, found out by writing where that is in doubt."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

# Less than this free, and a commit fails sooner or later; also what is written to find out.
LEAST_FREE_BYTES = 1024 * 1024


def check_room(folder: Path, doubtful: bool = False) -> None:
    """Raise OSError when the disk of `folder` takes no more than what the files there have room for already.

    What the system says is free is enough to go by, unless it is `doubtful`, as after a write that failed: of a quota
    the system says nothing.
    """
    found = os.statvfs(folder)
    free = found.f_frsize * (found.f_bfree if os.geteuid() == 0 else found.f_bavail)
    if found.f_blocks and free < LEAST_FREE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if doubtful:
        _write(folder / f".room-{os.getpid()}-{threading.get_native_id()}")


def _write(probe: Path) -> None:
    try:
        with os.fdopen(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as file:
            written = 0
            while written < LEAST_FREE_BYTES:
                written += file.write(bytes(LEAST_FREE_BYTES - written))
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)
