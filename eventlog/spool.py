"""A log on Kafka with a disk beside it: while the brokers are away, entries go to an embedded log and follow later.

    log = open_spooled(settings.log_url, folder, partitions)

`accepted` then means durable on that disk. What waits is forwarded in its order as soon as the brokers answer, by one
process of those that share the folder; a crash between forwarding and cutting forwards a few entries twice, which
event ids make harmless. Nothing is read from a spool but by its forwarder: readers follow the brokers.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contract.errors import LogUnavailable, SettingsError, ThumbwheelError
from contract.topics import TOPICS
from eventlog.awaited import open_awaited
from eventlog.behind import InFront
from eventlog.embedded.log import SqliteLog
from eventlog.log import Entry, Log, Position, Record
from eventlog.opening import open_log

log = logging.getLogger(__name__)

# How long the brokers have for an append before it goes to the disk; how often they are asked if they are back.
TRY_SECONDS = 3.0
ASK_SECONDS = 1.0
FORWARD_RECORDS = 1000
# A record that the brokers refuse so often while they take others is put aside, or it would hold up all behind it.
MOST_REFUSALS = 10
# What lies here goes with the container, or lies on another machine's disk, where SQLite's locks do not hold.
UNSAFE_PLACES = {"tmpfs", "ramfs", "overlay", "nfs", "nfs4", "cifs", "smb3", "9p"}


class SpooledLog(InFront):
    """The `Log` on brokers, with entries on the disk while they are away. Open it after a fork; thread-safe."""

    def __init__(self, connect: Callable[[], Log], folder: Path) -> None:
        """`connect` opens the log on the brokers and raises LogUnavailable; `folder` keeps what waits.

        Raises SettingsError where the folder cannot keep it.
        """
        claim(folder)
        self._connect = connect
        self._folder = folder
        self._spool = SqliteLog(folder / "spool.db")
        self._brokers: Log | None = None
        self._away = True
        self._refused: dict[Position, int] = {}
        self._closing = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="spool-forward", daemon=True)
        self._thread.start()
        # A start does not wait long for brokers that are away.
        self._tried.wait(TRY_SECONDS)

    @property
    def promise(self) -> str:
        """Return what `accepted` means now."""
        return "fsync here, forwarded later" if self._away or self._brokers is None else self._brokers.promise

    @property
    def keeps_all(self) -> bool:
        """Say whether the brokers keep every record, as far as is known."""
        return self._brokers is None or self._brokers.keeps_all

    @property
    def degraded(self) -> bool:
        """Say whether entries go to the disk, or some still wait there."""
        return self._away or self.waiting() > 0

    def waiting(self) -> int:
        """Return how many entries wait on the disk."""
        return sum(self._spool.end_offset(topic, 0) - self._spool.start_offset(topic, 0) for topic in TOPICS)

    # -- the log

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        """Append to the brokers, or to the disk while they are away; one position per entry once durable."""
        begun = time.monotonic()
        brokers = self._brokers
        if self._away or brokers is None:
            return self._spool.append(entries, timeout_s)
        try:
            positions = brokers.append(entries, min(TRY_SECONDS, timeout_s))
        except LogUnavailable:
            positions = [None] * len(entries)
        if None not in positions:
            return positions
        self._leave()
        left = [number for number, position in enumerate(positions) if position is None]
        kept = self._spool.append([entries[number] for number in left], timeout_s - (time.monotonic() - begun))
        for number, position in zip(left, kept, strict=True):
            positions[number] = position
        return positions

    def check(self) -> None:
        """Raise LogUnavailable when the disk takes no entries; brokers that are away are no reason to."""
        self._spool.check()

    def close(self, timeout_s: float = 5.0) -> None:
        """Answer appends that wait and stop; what is on the disk stays there for the next start."""
        self._closing.set()
        self._thread.join(timeout_s)
        if self._brokers is not None:
            self._brokers.close(timeout_s)
        self._spool.close(timeout_s)

    def _reached(self) -> Log:
        if self._brokers is None:
            raise LogUnavailable("The brokers have not been reached yet.")
        return self._brokers

    # -- forwarding

    def _leave(self) -> None:
        if not self._away:
            log.warning("The brokers do not take records; they go to %s until they do.", self._folder)
        self._away = True

    def _follow(self) -> None:
        with (self._folder / "forward.lock").open("ab") as lock:
            while not self._closing.is_set():
                there = self._try_connecting() and self._answers()
                if there:
                    self._return()
                self._tried.set()
                if there:
                    self._forward_alone(lock.fileno())
                self._closing.wait(ASK_SECONDS)

    def _forward_alone(self, lock: int) -> None:
        """Forward unless another process that shares the folder does."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            self._forward()
        except LogUnavailable as error:
            log.warning("Forwarding stopped, and will be tried again: %s", error.message)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def _try_connecting(self) -> bool:
        if self._brokers is None:
            try:
                self._brokers = self._connect()
            except ThumbwheelError as error:
                # A wrong setting too: what waits here is kept, and /readyz of the brokers' readers names it.
                log.warning("The brokers are away: %s", error.line())
        return self._brokers is not None

    def _answers(self) -> bool:
        try:
            self._reached().check()
        except LogUnavailable:
            return False
        return True

    def _return(self) -> None:
        if self._away and self._tried.is_set():
            log.warning("The brokers are back.")
        self._away = False

    def _forward(self) -> None:
        """Send what waits, oldest first, and cut it off the disk once it is acknowledged."""
        while not self._closing.is_set() and self.waiting():
            reader = self._spool.reader({(topic, 0): self._spool.start_offset(topic, 0) for topic in TOPICS})
            try:
                records = reader.poll(FORWARD_RECORDS, 0.0)
            finally:
                reader.close()
            if not self._send(records):
                return

    def _send(self, records: Sequence[Record]) -> bool:
        """Send and cut; return whether to go on at once."""
        answers = self._reached().append([Entry(one.topic, one.key, one.value) for one in records], TRY_SECONDS)
        done: dict[str, int] = {}
        stuck: set[str] = set()
        for record, answer in zip(records, answers, strict=True):
            if record.topic in stuck:
                continue
            refused = answer is None and (any(answers) or len(records) == 1)
            if answer is None and not (refused and self._give_up(record)):
                stuck.add(record.topic)
            else:
                done[record.topic] = record.offset + 1
        for topic, before in done.items():
            self._spool.cut(topic, 0, before)
        return not stuck

    def _give_up(self, record: Record) -> bool:
        """Count a refusal; after many, put the record aside and say so."""
        place = Position(record.topic, record.partition, record.offset)
        self._refused[place] = self._refused.get(place, 0) + 1
        if self._refused[place] < MOST_REFUSALS:
            return False
        del self._refused[place]
        aside = {"topic": record.topic, "key": record.key, "value": base64.b64encode(record.value).decode()}
        with (self._folder / "refused.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(aside) + "\n")
            file.flush()
            os.fsync(file.fileno())
        log.error("The brokers refuse a record of %d bytes; it is in %s.", len(record.value), file.name)
        return True


def open_spooled(url: str, folder: str, partitions: int | None = None) -> Log:
    """Open the log at `url`, with a spool in `folder` where one is named; brokers that are away are waited for.

    Raises SettingsError for a spool beside an embedded log, or in a place that cannot keep it.
    """
    if not folder:
        return open_awaited(url, partitions)
    if not url.startswith("kafka://"):
        raise _refused("An embedded log needs no spool.", "Leave it out, or set THUMBWHEEL_LOG to kafka://...")
    return SpooledLog(lambda: open_log(url, partitions), Path(folder))


def claim(folder: Path) -> None:
    """Make the folder, or make sure that it is this host's; raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind = _file_system(folder)
        if kind in UNSAFE_PLACES:
            raise _refused(f"{folder} lies on {kind}, which is gone or not local.", "Mount a persistent volume there.")
        owner = folder / "owner"
        if not owner.exists():
            # In one step: another worker may be reading it.
            made = folder / f"owner.{os.getpid()}"
            made.write_text(socket.gethostname(), "utf-8")
            made.replace(owner)
        named = owner.read_text("utf-8")
    except OSError as error:
        raise _refused(f"{folder} cannot be written: {error.strerror}.", "Check the volume and its owner.") from error
    if named != socket.gethostname():
        raise _refused(
            f"{folder} belongs to {named!r}; this is {socket.gethostname()!r}.",
            "Give each collector a stable name and a volume of its own, as a StatefulSet does.",
        )


def _file_system(folder: Path) -> str | None:
    """Return the kind of file system a folder lies on; None where that cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return None
    place, best, kind = folder.resolve(), -1, None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mounted = Path(fields.split(" ")[4].replace("\\040", " "))
        if place.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), rest.split(" ")[0]
    return kind


def _refused(message: str, hint: str) -> SettingsError:
    return SettingsError("bad_spool", f"THUMBWHEEL_COLLECTOR_SPOOL: {message}", hint, "THUMBWHEEL_COLLECTOR_SPOOL")
