"""One of several processors: runs what it owns, publishes it, and takes in what the others own.

    sharing = Ownership(store, log, member, publisher=publisher, intake=intake, holds_all=True, ...)
    sharing.start()

Two threads. One follows the membership: when other partitions are ours, the batch in hand is ended, what the folder of
parts holds of them is taken in, and the log is read on from there. The other writes and reads parts. The topic of runs
is read by every processor itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from contract.errors import SettingsError, ThumbwheelError
from contract.topics import EVENTS, REJECTED, RUNS
from eventlog.log import Log
from eventlog.membership import Assignment, Member
from processor import metrics
from processor.ingest.freshness import Freshness
from processor.ingest.runner import Runner
from processor.parts.intake import Intake
from processor.parts.publisher import Publisher
from processor.tables.faults import StoreFatal
from processor.tables.store import Position, Store

log_lines = logging.getLogger("processor.sharing.ownership")

# Parts are exchanged so often, or, where that takes long, in a tenth of the time.
PARTS_EVERY_S = 2.0
PARTS_REST = 9.0
PARTS_AT_LEAST_EVERY_S = 30.0
FOLLOW_EVERY_S = 1.0
RETRY_S = 5.0
# What a batch in hand, and publishing what it changed, may take while others wait for the partitions.
FLUSH_WAIT_S = 2.0


def places_of(log: Log, partitions: Collection[int]) -> list[Position]:
    """Return what the owner of these partitions reads: their events and rejections, and every run."""
    shared = [(topic, partition) for topic in (EVENTS, REJECTED) for partition in sorted(partitions)]
    return shared + [(RUNS, partition) for partition in range(log.partitions(RUNS))]


class Ownership:
    """Follows a membership until `stop`; `failed` is called once, with what ended it."""

    def __init__(
        self, store: Store, log: Log, member: Member, *, publisher: Publisher, intake: Intake, holds_all: bool,
        freshness: Freshness, owner: str, failed: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._log = log
        self._member = member
        self._publisher = publisher
        self._intake = intake
        self._holds_all = holds_all
        self._freshness = freshness
        self._owner = owner
        self._failed = failed
        self._every = frozenset(range(log.partitions(EVENTS)))
        self._assignment: Assignment | None = None
        self._runner: Runner | None = None
        self._stopping = threading.Event()
        # What this process owns changes only while no part is being taken in.
        self._moving = threading.Lock()
        self._publishing = threading.Lock()
        self._threads: list[threading.Thread] = []
        if log.partitions(REJECTED) != len(self._every):
            raise SettingsError(
                "log_partitions", f"{EVENTS} and {REJECTED} differ in their number of partitions.",
                "Several processors need as many of each.",
            )  # fmt: skip

    def start(self) -> None:
        """Begin, in two threads."""
        for name, work in (("processor-own", self._own), ("processor-parts", self._exchange)):
            thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 6.0) -> None:
        """End after the batch in hand. The partitions stay ours for the session time."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)
        self._member.close(1.0)

    def owned(self) -> frozenset[int]:
        """Return the partitions of the events topic that this processor owns now."""
        assignment = self._assignment
        return frozenset() if assignment is None else assignment.partitions

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (a thread reports whatever ended it)
            self._failed(error)

    def _own(self) -> None:
        while not self._stopping.is_set():
            now = self._member.wait(self._assignment, FOLLOW_EVERY_S)
            if now != self._assignment:
                self._move(now)
            elif now is not None:
                offsets = self._store.offsets()
                self._member.commit({p: offsets[EVENTS, p] for p in now.partitions if (EVENTS, p) in offsets})
        self._end_runner()
        self._flush()

    def _move(self, now: Assignment | None) -> None:
        """Give up what we own, then own this."""
        self._end_runner()
        self._flush()
        with self._moving:
            self._assignment = now
            self._member.revoke_done()
            if now is None:
                metrics.OWNED.set(0)
                return
            log_lines.info("Generation %d: partitions %s", now.generation, sorted(now.partitions))
            try:
                self._intake.catch_up(now.partitions)
            except StoreFatal:
                raise
            except ThumbwheelError as error:
                log_lines.warning("Reading the log from where this processor is: %s", error.message)
        metrics.OWNED.set(len(now.partitions))
        metrics.REBALANCES.inc()
        places = places_of(self._log, now.partitions)
        watched = {(EVENTS, partition) for partition in self._every} if self._holds_all else set()
        self._runner = Runner(self._store, self._log, self._owner, failed=self._failed, freshness=self._freshness)
        self._runner.start(places, watched)

    def _end_runner(self) -> None:
        while self._runner is not None:
            self._runner.stop(1.0)
            if not self._runner.running:
                self._runner = None

    def _flush(self) -> None:
        """Publish what the last batches changed, so that the next owner begins there."""
        if self._assignment is None or not self._publishing.acquire(timeout=FLUSH_WAIT_S):
            return
        try:
            self._publisher.publish(self._assignment.partitions, self._assignment.generation, whole=False)
        except ThumbwheelError as error:
            log_lines.warning("The last changes were not published: %s", error.message)
        finally:
            self._publishing.release()

    def _exchange(self) -> None:
        wait_s = PARTS_EVERY_S
        while not self._stopping.wait(wait_s):
            started = time.monotonic()
            try:
                self._publish()
                if self._holds_all:
                    with self._moving:
                        self._intake.catch_up(self._every - self.owned())
                took = time.monotonic() - started
                wait_s = min(max(PARTS_EVERY_S, took * PARTS_REST), PARTS_AT_LEAST_EVERY_S)
            except StoreFatal:
                raise
            except ThumbwheelError as error:
                log_lines.warning("Parts are exchanged again in %d s: %s", RETRY_S, error.message)
                wait_s = RETRY_S

    def _publish(self) -> None:
        with self._publishing:
            assignment = self._assignment
            if assignment is not None:
                self._publisher.publish(assignment.partitions, assignment.generation)
