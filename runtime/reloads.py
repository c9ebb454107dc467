"""What a server tells of its reloads, in a file under the home: `thumbwheel reload` waits for it."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

import msgspec

from runtime.files import write_whole


class Reloads(msgspec.Struct):
    """The server's process, how often it was told to reload, how often it did, and what went wrong the last time."""

    pid: int
    tries: int = 0
    count: int = 0
    problem: str = ""


def reloads_file(home: Path, port: int) -> Path:
    """Return where the server at this port tells of its reloads."""
    return home / "run" / f"{port}-reloads.json"


def hold(file: Path) -> IO[bytes]:
    """Claim the file for this process and its children; what it says counts while that stays open."""
    file.parent.mkdir(parents=True, exist_ok=True)
    claim = file.with_suffix(".lock").open("ab")
    fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return claim


def read_reloads(file: Path) -> Reloads | None:
    """Return what a server that lives tells there; None when none does: its number may be another process's by now."""
    try:
        with file.with_suffix(".lock").open("rb") as claim:
            fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return msgspec.json.decode(file.read_bytes(), type=Reloads) if file.exists() else None
    except FileNotFoundError:
        return None


def tell(file: Path, reloads: Reloads) -> None:
    """Write it, whole."""
    write_whole(file, msgspec.json.encode(reloads))
