"""A place in the consumer group that shares the partitions of topic EVENTS: a kafka-python consumer that reads nothing.

The group says who owns what, no more. Membership is static (KIP-345): a member that restarts under its name within its
session time gets its partitions back and nobody else notices. Rebalances are eager: each member gives up everything,
its owner ends the batch in hand, and only then does it join again, so a partition has one owner at a time. They are
rare, and `EvenAndSticky` gives each member back what it had.

A member believes in its assignment for as long as its session lasts, counted from the sending of the last request that
the broker answered as a member's. The broker counts from when it came, so it hands the partitions on later: a process
that was frozen, or cut off, has stopped believing by then, without having to hear from anybody.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove
from kafka.errors import (
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    InvalidSessionTimeoutError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from contract.errors import LogUnavailable, SettingsError, ThumbwheelError
from contract.topics import EVENTS
from eventlog.kafka_log.client import Cluster
from eventlog.kafka_log.coordinator import EvenAndSticky, listen, nap, obey
from eventlog.membership import Assignment

log = logging.getLogger(__name__)

GROUP = "thumbwheel-processors"
# How long a rebalance waits for a member's owner to end its batch, and how often it looks.
RELEASE_SECONDS = 10.0
LOOK_SECONDS = 0.05
# How long it waits for a member: to hear of it, to release, to ask again. Only those that stop hold it up so long.
REBALANCE_MS = 30_000
MOST_HEARTBEAT_MS = 3_000
# How often offsets are committed, and a rebalance or the end noticed.
TICK_MS = 500
RETRY_SECONDS = 1.0
COMMIT_MS = 1_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")

# Those no further try can mend.
_FATAL = (
    FencedInstanceIdError, InvalidSessionTimeoutError, GroupAuthorizationFailedError, TopicAuthorizationFailedError,
)  # fmt: skip


def consumer_settings(name: str, session_s: float, partitions: int) -> dict[str, Any]:
    """Return what a member's consumer is made with."""
    session_ms = int(session_s * 1000)
    return {
        "group_id": GROUP,
        "group_instance_id": name,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": min(session_ms // 3, MOST_HEARTBEAT_MS),
        "max_poll_interval_ms": REBALANCE_MS,
        "partition_assignment_strategy": [EvenAndSticky(partitions)],
        "enable_auto_commit": False,
        "retry_backoff_ms": TICK_MS,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


class GroupMember:
    """The `Member` on Kafka. Joins in a thread of its own, and again after whatever made it lose its place."""

    def __init__(self, cluster: Cluster, name: str, session_s: float, *, partitions: int) -> None:
        """Raises SettingsError for a name that Kafka does not take, LogUnavailable."""
        if not _NAME.fullmatch(name):
            raise SettingsError(
                "processor_name", f"{name!r} cannot be a processor's name.",
                "Use up to 200 letters, digits, dots, underscores and hyphens.",
            )  # fmt: skip
        self.name = name
        self._cluster = cluster
        self._session_s = session_s
        self._partitions = partitions
        self._changed = threading.Condition()
        # What the group gave us and we have not given up: owned while it is not being revoked and the session lasts.
        self._held: Assignment | None = None
        self._revoking = False
        # What `wait` said last, and whether the owner may still be at work on something it said.
        self._told: Assignment | None = None
        self._at_work = False
        self._session_until = 0.0
        self._offsets: dict[int, int] = {}
        self._error: ThumbwheelError | None = None
        self._complained = False
        self._closing = False
        self._leaving = False
        kafka_log = logging.getLogger("kafka.coordinator")
        if kafka_log.level == logging.NOTSET:
            # It tells of every try while brokers are away; what came of them is told here, once.
            kafka_log.setLevel(logging.CRITICAL)
        self._consumer = self._connect()
        self._thread = threading.Thread(target=self._work, name="log-member", daemon=True)
        self._thread.start()

    # -- what its owner calls

    def assignment(self) -> Assignment | None:
        """Return what is owned now, to whoever wants to know; None while not a member."""
        with self._changed:
            return self._owned()

    def wait(self, known: Assignment | None, timeout_s: float) -> Assignment | None:
        """Return what is owned as soon as it differs from `known`, or after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                owned, now = self._owned(), time.monotonic()
                if owned != known or now >= deadline or self._closing:
                    self._told = owned
                    self._at_work = self._at_work or (owned is not None and bool(owned.partitions))
                    return owned
                self._changed.wait((deadline if owned is None else min(deadline, self._session_until)) - now)

    def revoke_done(self) -> None:
        """Say that nothing more is written for any partition, after `wait` said None.

        Otherwise it may come from an owner that ended one assignment and is about to begin with the next.
        """
        with self._changed:
            if self._told is None:
                self._at_work = False

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Have the next offsets shown within a second, those of partitions that are held."""
        with self._changed:
            if self._held is not None and self._in_session() and not self._closing:
                held = self._held.partitions
                self._offsets |= {partition: offset for partition, offset in offsets.items() if partition in held}

    def close(self, timeout_s: float = 5.0, leave: bool = False) -> None:
        """Stop; the place stays reserved for the session time, unless `leave` gives it up at once."""
        with self._changed:
            self._leaving = self._leaving or leave
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _owned(self) -> Assignment | None:
        if self._closing:
            return None
        if self._error is not None:
            raise self._error
        return self._held if self._in_session() and not self._revoking else None

    def _in_session(self) -> bool:
        return time.monotonic() < self._session_until

    # -- the thread

    def _work(self) -> None:
        while not self._closing and self._error is None:
            try:
                self._consumer.poll(timeout_ms=TICK_MS if self._held is None else 0)
                if self._held is not None:
                    self._pause(TICK_MS / 1000)
                    self._commit_now()
                    self._watch_session()
            except _FATAL as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001  (whatever broke this one, another may do)
                self._connect_anew(error)
        self._end()

    def _connect(self) -> KafkaConsumer:
        settings = consumer_settings(self.name, self._session_s, self._partitions)
        consumer = self._cluster.connect(KafkaConsumer, **settings)
        listen(consumer, self._counted_in, self._lost)
        obey(consumer)
        consumer.subscribe([EVENTS], listener=_Listener(self, consumer))
        return consumer

    def _connect_anew(self, error: Exception) -> None:
        """Replace the consumer: under the same name, it gets what this one had."""
        self._give_up()
        self._complain("Member %s of group %s connects anew: %s", self.name, GROUP, error or type(error).__name__)
        _close(self._consumer)
        self._pause(RETRY_SECONDS)
        if not self._closing:
            try:
                self._consumer = self._connect()
            except LogUnavailable as away:
                log.debug("%s", away)  # The closed consumer's next poll brings us here again.

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _complain(self, line: str, *values: object) -> None:
        """Log what is wrong, once until the group gives us something again."""
        if not self._complained:
            self._complained = True
            log.warning(line, *values)

    def _watch_session(self) -> None:
        with self._changed:
            expired = self._held is not None and not self._in_session()
        if expired:
            self._complain(
                "Kafka has not confirmed member %s of group %s for %.0f s: its partitions may be another's.",
                self.name, GROUP, self._session_s,
            )  # fmt: skip

    def _commit_now(self) -> None:
        """Commit what waits; not being able to is no more than a lag that is shown late."""
        if offsets := self._committable():
            try:
                self._consumer.commit(offsets, timeout_ms=COMMIT_MS)
            except KafkaError as error:
                log.debug("Offsets were not committed: %s", error)

    def _commit_soon(self, consumer: KafkaConsumer) -> None:
        """The same on the I/O thread, where nothing may wait; goes out before we join again."""
        if offsets := self._committable():
            try:
                consumer.commit_async(offsets)
            except KafkaError as error:
                log.debug("Offsets were not committed: %s", error)

    def _committable(self) -> dict[TopicPartition, OffsetAndMetadata]:
        with self._changed:
            offsets, self._offsets = self._offsets, {}
            if self._held is None:
                return {}
        return {TopicPartition(EVENTS, at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()}

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._held, self._error = None, _explained(error, self.name, self._session_s)
            self._changed.notify_all()
        log.error("Member %s of group %s stops: %s", self.name, GROUP, self._error.message)

    def _end(self) -> None:
        consumer = self._consumer
        member_id = consumer.group_metadata().member_id
        self._commit_now()
        _close(consumer)
        if self._leaving and self._error is None:
            self._leave(member_id)

    def _leave(self, member_id: str) -> None:
        """Have the broker take us out of the group; with our own id, so that nobody who took our name is meant."""
        try:
            admin = self._cluster.admin()
            try:
                answers = admin.remove_group_members(GROUP, [MemberToRemove(member_id or None, self.name)])
            finally:
                admin.close()
        except (KafkaError, LogUnavailable) as error:
            log.warning("Member %s could not leave; it is out in %.0f s: %s", self.name, self._session_s, error)
        else:
            log.info("Member %s left group %s: %s", self.name, GROUP, answers)

    # -- what the group says, on the consumer's I/O thread

    def _counted_in(self, sent_at: float) -> None:
        with self._changed:
            back = self._held is not None and not self._in_session()
            self._session_until = max(self._session_until, sent_at + self._session_s)
            if back and self._in_session():
                self._complained = False
                self._changed.notify_all()

    def _lost(self, error: Exception) -> None:
        if isinstance(error, FencedInstanceIdError):
            self._fail(error)
        elif self._give_up():
            log.warning("Member %s is out of group %s and joins again: %s", self.name, GROUP, type(error).__name__)

    def _give_up(self) -> bool:
        """Own nothing; say whether that is news."""
        with self._changed:
            held, self._held, self._revoking = self._held, None, False
            self._offsets.clear()
            self._changed.notify_all()
            return held is not None

    async def _revoke(self, consumer: KafkaConsumer) -> None:
        """Ask the owner to end its batch, and wait for it, within bounds; heartbeats go on."""
        with self._changed:
            self._revoking = True
            self._changed.notify_all()
        deadline = time.monotonic() + RELEASE_SECONDS
        while self._at_work and not self._closing and self._in_session():
            if time.monotonic() > deadline:
                log.warning("Partitions move although their owner %s has not ended its batch.", self.name)
                break
            await nap(consumer, LOOK_SECONDS)
        if not self._closing:
            self._commit_soon(consumer)
            self._give_up()

    def _assign(self, consumer: KafkaConsumer, places: set[TopicPartition]) -> None:
        for place in places:
            consumer.pause(place)
            consumer.seek(place, 0)  # Without a position it would ask for one.
        held = Assignment(consumer.group_metadata().generation_id, frozenset(place.partition for place in places))
        with self._changed:
            self._held, self._revoking, self._complained = held, False, False
            self._changed.notify_all()
        owned = ", ".join(map(str, sorted(held.partitions))) or "none"
        log.info("Member %s owns partitions %s (generation %d).", self.name, owned, held.generation)


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Hands a rebalance's steps to the member; asynchronous, so that heartbeats go on meanwhile."""

    def __init__(self, member: GroupMember, consumer: KafkaConsumer) -> None:
        self._member = member
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called before joining again, and when the consumer is closed."""
        await self._member._revoke(self._consumer)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called once joined, with everything that is ours."""
        self._member._assign(self._consumer, assigned)

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:
        """Called before joining again where others may have them already: nothing to wait for."""
        self._member._give_up()


def _close(consumer: KafkaConsumer) -> None:
    try:
        consumer.close(autocommit=False, timeout_ms=COMMIT_MS)
    except Exception as error:  # noqa: BLE001  (it is given up anyway)
        log.debug("Kafka's consumer did not close: %s", error)


def _explained(error: Exception, name: str, session_s: float) -> ThumbwheelError:
    """Return the error of a membership that no further try can mend."""
    if isinstance(error, FencedInstanceIdError):
        return SettingsError(
            "processor_name", f"Another process is processor {name!r}; it has this one's partitions.",
            "Give each processor its own THUMBWHEEL_PROCESSOR_NAME.",
        )  # fmt: skip
    if isinstance(error, InvalidSessionTimeoutError):
        return SettingsError(
            "processor_session", f"The brokers do not accept a session of {session_s:g} s.",
            "They take 6 s to 30 min, unless group.min.session.timeout.ms and its like say otherwise.",
        )  # fmt: skip
    return LogUnavailable(
        f"The brokers do not let this user share the partitions: {error or type(error).__name__}",
        "Give it the right to read the log's topics and the group thumbwheel-processors.",
    )
