"""Events on disk until they are known to be stored, so that a process that dies loses none of them.

Each process appends to a file of its own and holds its lock (flock) while it lives. A file whose lock can be had
belongs to nobody any more: whoever comes first takes it over and sends what it holds. A line is `+CRC EVENT` for an
event kept, `-CRC [IDS]` for events settled, and `!CRC NOTE` for what is not told yet of events given up, of which the
last stands; CRC is that of the rest of the line. The release of this format is in the name.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Bytes of settled lines that a file may hold beyond what waits in it.
SLACK_BYTES = 256 * 1024


class Item(NamedTuple):
    """One event as JSON. `made_at` is monotonic time in seconds."""

    event_id: str
    body: bytes
    made_at: float


class Contents(NamedTuple):
    """What a file holds: events that are not settled, and the number of lines nobody can read."""

    items: dict[str, Item]
    note: bytes
    unreadable: int


def can_lock() -> bool:
    """Say whether this system has the locks a spool needs."""
    return fcntl is not None


def read_lines(text: bytes) -> Contents:
    """Read a file as a dying process may have left it; a line that is cut short or damaged costs no other."""
    items: dict[str, Item] = {}
    note = b""
    unreadable = 0
    now = time.monotonic()
    for line in text.split(b"\n"):
        kind, crc, rest = line[:1], line[1:9], line[10:]
        try:
            if not line:
                continue
            if int(crc, 16) != zlib.crc32(rest):
                raise ValueError
            told = json.loads(rest)
            if kind == b"+":
                items[told["event_id"]] = Item(told["event_id"], rest, now)
            elif kind == b"!":
                note = rest if told else b""
            else:
                for event_id in told:
                    items.pop(event_id, None)
        except (ValueError, KeyError, TypeError, RecursionError):
            # A damaged line of another kind costs no event: what was settled goes again, under its id.
            unreadable += kind not in (b"-", b"!")
    return Contents(items, note, unreadable)


def _line(kind: bytes, rest: bytes) -> bytes:
    return b"%s%08x %s\n" % (kind, zlib.crc32(rest), rest)


class Journal:
    """A file this process has locked. Raises OSError where the disk does not do what it is asked."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._size = os.fstat(file).st_size
        self.items: dict[str, Item] = {}
        self.note = b""

    @classmethod
    def open(cls, path: Path, create: bool = False) -> Journal | None:
        """Open and lock a file; None when another process has it, or took it away."""
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if create else os.O_NOFOLLOW)
        try:
            file = os.open(path, flags, 0o600)
        except FileNotFoundError:
            if create:
                raise
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == os.stat(path).st_ino:
                return cls(path, file)
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:
            os.close(file)
            raise
        os.close(file)
        return None

    def read(self) -> int:
        """Load what the file holds; return how many of its lines cannot be read."""
        with os.fdopen(os.dup(self._file), "rb") as reader:
            text = reader.read()
        if text and not text.endswith(b"\n"):
            self._append(b"\n")  # What is appended must not end a line that was cut short.
        self.items, self.note, unreadable = read_lines(text)
        return unreadable

    def keep(self, items: Iterable[Item]) -> None:
        """Append events."""
        kept = list(items)
        self._append(b"".join(_line(b"+", item.body) for item in kept))
        self.items.update((item.event_id, item) for item in kept)

    def settle(self, event_ids: Sequence[str]) -> None:
        """Note that these events need not be sent any more."""
        for event_id in event_ids:
            self.items.pop(event_id, None)
        self._append(_line(b"-", json.dumps(event_ids).encode()))

    def write_note(self, note: bytes) -> None:
        """Replace what is not told yet of events given up: JSON, or nothing."""
        self._append(_line(b"!", note or b"null"))
        self.note = note

    def wasteful(self) -> bool:
        """Say whether most of the file is settled."""
        return self._size > SLACK_BYTES and self._size > SLACK_BYTES + 2 * self.waiting_bytes()

    def waiting_bytes(self) -> int:
        """Return the size of what is not settled."""
        return sum(len(item.body) for item in self.items.values()) + len(self.note)

    def close(self) -> None:
        """Give the file up: whoever finds it sends what it holds. One that holds nothing goes."""
        try:
            if not self.items and not self.note:
                self.path.unlink()
        finally:
            self.abandon()

    def discard(self) -> None:
        """Give the file up and all it holds."""
        self.items.clear()
        self.note = b""
        self.close()

    def abandon(self) -> None:
        """Close the file and nothing else, as a forked child does with its parent's."""
        os.close(self._file)

    def _append(self, text: bytes) -> None:
        try:
            written = os.write(self._file, text)
            if written < len(text):
                raise OSError(f"{written} of {len(text)} bytes fit")
            self._size += written
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
