"""In: bytes and a path. Out: a file that readers see whole: the old one or the new one, also after a crash."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

# In the names of files that are being written; what a killed writer left may be removed.
UNFINISHED = ".unfinished-"


def write_whole(path: Path, body: bytes, *, durable: bool = False, mode: int = 0o600) -> None:
    """Write a file and move it to its name; its folder has to exist. `mode` holds from the first byte on.

    `durable` waits for the disk, so that the new file stands after a power cut too. Raises OSError; then the file
    that was there is as it was.
    """
    made = path.with_name(f"{UNFINISHED}{path.name}-{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder. Call it while nobody writes there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        path.unlink(missing_ok=True)
