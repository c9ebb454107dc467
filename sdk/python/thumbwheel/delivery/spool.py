"""The folder in which the processes of one product keep what is not known to be stored (`init(..., spool=...)`).

A process keeps its own events in a journal of its own and takes over, one at a time, the journals of processes that
are gone. Disk trouble costs no event: what cannot be written waits in memory, as without a spool.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from thumbwheel.delivery.journal import Item, Journal, can_lock
from thumbwheel.ids import uuid7

log = logging.getLogger("thumbwheel")

# What processes that are gone left behind may be so many times what one process may keep.
LEFT_FACTOR = 10

# Hears of events that will not arrive: the reason, and their ids as far as they are known.
Gone = Callable[[str, "list[str | None]"], None]
# Hears what a process that is gone had not told yet of events given up: the name of its journal, and its note.
TakeOver = Callable[[str, bytes], None]


def prepare(place: str | os.PathLike[str]) -> Path:
    """Return the folder, made readable by its owner only; raises OSError where it cannot hold locked files."""
    if not can_lock():
        raise OSError("this system has no flock")
    folder = Path(place).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = Journal.open(folder / f"thumbwheel.probe.{uuid7()}", create=True)
    if probe is not None:
        probe.close()
    return folder


class Spool:
    """This process's part of the folder. Thread-safe; a forked child makes its own and calls `abandon` on this one."""

    def __init__(
        self, folder: Path, scope: str, *, max_events: int, max_bytes: int, gone: Gone, take_over: TakeOver
    ) -> None:  # fmt: skip
        """`scope` is the address and key: events of one never go to another. Only its digest is written down."""
        self._folder = folder
        digest = hashlib.sha256(scope.encode()).hexdigest()[:16]
        # 1 is the release of the format: files of another are left alone.
        self._prefix = f"thumbwheel.1.{digest}."
        self._left_events = max_events * LEFT_FACTOR
        self._left_bytes = max_bytes * LEFT_FACTOR
        self._gone = gone
        self._take_over = take_over
        # Held for a moment by every call; the other one while journals of others are read.
        self._lock = threading.Lock()
        self._taking = threading.RLock()
        self._own: Journal | None = None
        self._adopted: Journal | None = None
        self._unread: deque[Item] = deque()
        # Events and bytes of journals left behind, by name and size.
        self._known: dict[tuple[str, int], tuple[int, int]] = {}
        self._complained = False
        self._closed = False

    def keep(self, item: Item) -> None:
        """Write an event down."""
        with self._lock:
            if self._closed:
                return
            try:
                self._own = self._own or self._create()
                self._own.keep([item])
            except OSError as error:
                self._complain(error)

    def write_note(self, note: bytes) -> None:
        """Write down what is not told yet of events given up, nothing when all is."""
        with self._lock:
            if self._closed or not (note or self._own):
                return
            try:
                self._own = self._own or self._create()
                self._own.write_note(note)
            except OSError as error:
                self._complain(error)
            self._tidy()

    def settle(self, event_ids: Iterable[str]) -> None:
        """Forget events: they were stored, refused or given up."""
        ids = list(event_ids)
        with self._lock:
            for journal in self._held():
                hits = [event_id for event_id in ids if event_id in journal.items]
                if hits:
                    self._try(functools.partial(journal.settle, hits))
            self._tidy()

    def left_behind(self, most: int, most_bytes: int) -> list[Item]:
        """Return the next events, oldest first, of processes that are gone; at least one if there are any."""
        with self._taking:
            while not self._closed and not self._unread and self._adopted is None and self._adopt():
                pass
            with self._lock:
                found: list[Item] = []
                while self._unread and len(found) < most and not self._closed:
                    most_bytes -= len(self._unread[0].body)
                    if found and most_bytes < 0:
                        break
                    found.append(self._unread.popleft())
                return found

    def anything_left(self) -> bool:
        """Say whether the folder holds journals of other processes, living or gone."""
        return bool(self._others())

    def close(self) -> set[str]:
        """Leave what is not settled to whoever comes next; return the ids of these events."""
        with self._lock:
            self._closed = True
            left = {event_id for journal in self._held() for event_id in journal.items}
            for journal in self._held():
                self._try(journal.close)
            self._own = self._adopted = None
            self._unread.clear()
            return left

    def abandon(self) -> None:
        """In a forked child: close the parent's files. Their locks stay the parent's."""
        for journal in self._held():
            journal.abandon()

    def _held(self) -> list[Journal]:
        return [journal for journal in (self._own, self._adopted) if journal is not None]

    def _create(self) -> Journal:
        while True:
            # None where another process, looking for what is left behind, was faster to lock it: it takes it away.
            made = Journal.open(self._folder / f"{self._prefix}{uuid7()}", create=True)
            if made is not None:
                return made

    def _tidy(self) -> None:
        """Let go of an adopted journal that is done; write an own one anew that is mostly settled."""
        if self._adopted is not None and not self._adopted.items and not self._unread:
            self._try(self._adopted.close)
            self._adopted = None
        if self._own is not None and self._own.wasteful():
            self._own = self._rewritten(self._own)

    def _rewritten(self, old: Journal) -> Journal:
        """Return a new journal with what waits in the old one, which goes; the old one where the disk is full."""
        new = old
        try:
            new = self._create()
            new.keep(old.items.values())
            if old.note:
                new.write_note(old.note)
        except OSError as error:
            self._complain(error)
            if new is not old:
                self._try(new.discard)
            return old
        self._try(old.discard)
        return new

    # -- journals of others

    def _others(self) -> list[str]:
        """Return the names of journals that are not ours, oldest first."""
        mine = {journal.path.name for journal in self._held()}
        try:
            found = os.listdir(self._folder)
        except OSError as error:
            self._complain(error)
            return []
        return sorted(name for name in found if name.startswith(self._prefix) and name not in mine)

    def _open(self, name: str) -> tuple[Journal | None, int]:
        """Return a journal that nobody holds, locked and read, and how many of its lines cannot be read."""
        try:
            journal = Journal.open(self._folder / name)
            return (None, 0) if journal is None else (journal, journal.read())
        except OSError as error:
            self._complain(error)
            return None, 0

    def _adopt(self) -> bool:
        """Take over the oldest journal that nobody holds, once the folder is within its bounds."""
        for name in self._trimmed():
            journal, unreadable = self._open(name)
            if journal is None:
                continue
            if unreadable:
                # Written anew without them, they are counted once.
                journal = self._rewritten(journal)
                self._gone("spool_unreadable", [None] * unreadable)
            self._take_note(name, journal)
            with self._lock:
                if self._closed:
                    self._try(journal.close)
                    return False
                self._adopted = journal
                self._unread = deque(journal.items.values())
                self._tidy()
            return True
        return False

    def _take_note(self, name: str, journal: Journal) -> None:
        if journal.note:
            try:
                self._take_over(name, journal.note)
                # Once closed, nothing was written down of it here: it stays there.
                if not self._closed:
                    journal.write_note(b"")
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("spool: a report of %s could not be taken over: %s", name, type(error).__name__)

    def _trimmed(self) -> list[str]:
        """Return the journals of others, once the oldest beyond what may be left behind are dropped and counted."""
        names = self._others()
        kept: list[str] = []
        known: dict[tuple[str, int], tuple[int, int]] = {}
        events = size = 0
        for name in reversed(names):
            key, (more, more_bytes) = self._measure(name)
            events, size = events + more, size + more_bytes
            if more and (events > self._left_events or size > self._left_bytes):
                self._drop(name)
                continue
            known[key] = (more, more_bytes)
            kept.append(name)
        self._known = known
        return kept[::-1]

    def _measure(self, name: str) -> tuple[tuple[str, int], tuple[int, int]]:
        """Return a journal's name and size on disk, and its events and their bytes; zeros while its process lives."""
        try:
            key = (name, os.stat(self._folder / name).st_size)
        except OSError:
            return (name, 0), (0, 0)
        if key not in self._known:
            journal, _ = self._open(name)
            if journal is None:
                return (name, -1), (0, 0)
            self._known[key] = (len(journal.items), journal.waiting_bytes())
            self._try(journal.abandon)
        return key, self._known[key]

    def _drop(self, name: str) -> None:
        journal, unreadable = self._open(name)
        if journal is None:
            return
        self._take_note(name, journal)
        lost: list[str | None] = [*journal.items, *[None] * unreadable]
        self._try(journal.discard)
        self._gone("spool_full", lost)

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Say once that the disk does not do what it is asked; an event's content is never logged."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        log.log(level, "spool: %s; events wait in memory", error.strerror or "write failed")
