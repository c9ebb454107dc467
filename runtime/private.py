"""In: the settings. Out: what lies on the disk is its owner's alone, what this process makes and what is there.

The home holds conversations, keys and passwords' hashes. A file is 0600 and a folder 0700 whatever the umask of whoever
started us; SQLite gives its `-wal` and `-shm` the database's mode. What an earlier release or a copy left open is
tightened at the start. What belongs to another user is left: on Kubernetes the mounted folder is root's, and lets
our group in.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runtime.settings import Settings

log = logging.getLogger(__name__)

UMASK = 0o077
_OTHERS = 0o077
# What SQLite and the embedded log put beside a database.
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock")


def keep_private(settings: Settings) -> str:
    """Make this process's files private and tighten those that are there; return what was tightened as a line, or "".

    Call it before anything is made and before a fork; children inherit it. Raises nothing: what cannot be changed, such
    as on a file system without modes, stays.
    """
    os.umask(UMASK)
    changed = sum(_tighten(path) for path in _kept(settings))
    if changed:
        things = "1 file or folder" if changed == 1 else f"{changed} files and folders"
        return f"{things} of {settings.home} could be read by other users of this machine; now only by their owner."
    return ""


def say_tightened(settings: Settings) -> None:
    """Do that in a service, whose log gets the line."""
    if tightened := keep_private(settings):
        log.warning("%s", tightened)


def _kept(settings: Settings) -> Iterator[Path]:
    """Yield all that lies in the home, and the databases and the spool that settings put elsewhere."""
    yield from _walk(settings.home)
    for url in (settings.log_url, settings.control_url):
        if url.startswith("sqlite:///"):
            path = url.removeprefix("sqlite:///")
            yield from (Path(path + end) for end in _BESIDE)
    if settings.collector_spool:
        yield from _walk(Path(settings.collector_spool))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the folder first: once it is closed, nothing inside can be opened meanwhile."""
    if not folder.is_dir():
        return
    yield folder
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _tighten(path: Path) -> bool:
    """Take from others what they may do with a file or folder of ours; say whether they could do anything."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or not found.st_mode & _OTHERS:
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
        return True
    except OSError:
        return False  # It is gone, or its file system has no modes.
