"""Who owns which partitions: alone, and several processors that share a topic on Kafka."""

from __future__ import annotations

import inspect
import logging
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.coordinator.base import BaseCoordinator
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.coordinator.heartbeat import Heartbeat
from kafka.net.selector import NetworkSelector
from kafka.structs import ConsumerGroupMetadata

from contract.errors import SettingsError
from contract.topics import EVENTS
from eventlog.kafka_log import group as kafka_group
from eventlog.kafka_log.client import Cluster
from eventlog.kafka_log.group import GROUP, GroupMember
from eventlog.kafka_log.log import KafkaLog
from eventlog.membership import Assignment
from eventlog.opening import open_log
from processor.history.archive import with_archive
from tests.eventlog.owners import Owner, Process
from tests.kafka_broker import Broker, apache_kafka
from tests.waiting import eventually

ALL = frozenset(range(12))
SEED = os.environ.get("MEMBERSHIP_SEED", "20261126")

Join = Callable[..., Owner]


def test_whoever_is_alone_owns_all_partitions_until_it_closes(tmp_path: Path) -> None:
    log = with_archive(open_log(f"sqlite:///{tmp_path}/events.db", 3), str(tmp_path / "archive"))
    member = log.member("processor-0", 60)
    owned = Assignment(0, frozenset({0, 1, 2}))
    assert member.wait(None, 0.0) == owned
    assert member.wait(owned, 0.01) == owned
    member.revoke_done()
    member.commit({0: 5})
    assert member.assignment() == owned
    threading.Timer(0.05, member.close).start()
    assert member.wait(owned, 3600) is None
    log.close()


def test_the_parts_of_kafka_python_that_nobody_promised_are_where_they_were() -> None:
    def parameters(function: Callable[..., object]) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(BaseCoordinator._handle_heartbeat_response) == ["self", "response", "send_time"]
    assert parameters(BaseCoordinator._process_sync_group_response) == ["self", "response", "send_time"]
    assert parameters(BaseCoordinator.need_rejoin) == ["self"]
    assert parameters(StickyPartitionAssignor.assign) == ["self", "cluster", "members"]
    assert parameters(NetworkSelector.sleep) == ["self", "delay"]
    assert parameters(Heartbeat.poll_timeout_expired) == ["self"]
    assert "self.heartbeat.poll_timeout_expired()" in inspect.getsource(BaseCoordinator._heartbeat_loop)
    assert "return self.rejoin_needed" in inspect.getsource(BaseCoordinator.need_rejoin)
    assert "while self.need_rejoin():" in inspect.getsource(BaseCoordinator.join_group_async)
    assert "if self.need_rejoin():" in inspect.getsource(ConsumerCoordinator.poll)
    # Called there, and with the time at which the request was sent.
    for sender, handler in (
        (BaseCoordinator._send_heartbeat_request, "self._handle_heartbeat_response(response, send_time)"),
        (BaseCoordinator._do_join_and_sync_async, "self._process_sync_group_response(sync_response, sync_send_time)"),
    ):
        assert handler in inspect.getsource(sender)
    assert {"generation_id", "member_id"} <= set(ConsumerGroupMetadata._fields)


# -- on Kafka


@pytest.fixture
def url(apache: Broker) -> str:
    """The address of an empty log."""
    apache.empty()
    return f"kafka://{apache.address}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members in this process hear of a rebalance within the second."""
    monkeypatch.setattr(kafka_group, "MOST_HEARTBEAT_MS", 300)


@pytest.fixture
def log(url: str) -> Iterator[KafkaLog]:
    opened = open_log(url, len(ALL))
    assert isinstance(opened, KafkaLog)
    yield opened
    opened.close()


@pytest.fixture
def join(log: KafkaLog) -> Iterator[Join]:
    """Makes owners; they leave when the test ends."""
    owners: list[Owner] = []

    def make(name: str, session_s: float = 6.0) -> Owner:
        owners.append(Owner(log, name, session_s))
        return owners[-1]

    yield make
    for owner in owners:
        owner.close()


@pytest.fixture
def start(url: str) -> Iterator[Callable[[str], Process]]:
    """Starts members as processes; they are gone from the group when the test ends."""
    processes: dict[str, Process] = {}

    def make(name: str) -> Process:
        processes[name] = Process(url, name)
        return processes[name]

    yield make
    log = open_log(url)
    for name, process in processes.items():
        process.kill()
        log.member(name, 6.0).close(10.0, leave=True)
    log.close()


def shared(*owners: Owner | Process) -> bool:
    """Say whether these own every partition once, as many each as any other or one more."""
    parts = [owner.owned for owner in owners]
    sizes = sorted(map(len, parts))
    return sum(sizes) == len(ALL) and frozenset().union(*parts) == ALL and sizes[-1] - sizes[0] <= 1


@pytest.mark.kafka
def test_members_share_all_partitions_evenly_and_few_move_when_one_joins(join: Join) -> None:
    first = join("first")
    eventually(lambda: first.owned == ALL)
    second = join("second")
    eventually(lambda: shared(first, second))
    before = first.owned, second.owned
    third, fourth = join("third"), join("fourth")
    eventually(lambda: shared(first, second, third, fourth), 20)
    assert first.owned < before[0]
    assert second.owned < before[1]


@pytest.mark.kafka
def test_a_restart_within_the_session_moves_nothing(join: Join) -> None:
    names = ["first", "second"]
    owners = [join(name, 30.0) for name in names]
    eventually(lambda: shared(*owners))
    # Each in turn: one of them is the group's leader.
    for restarted, other in ((0, 1), (1, 0)):
        before, seen = owners[restarted].owned, list(owners[other].history)
        owners[restarted].close(leave=False)
        owners[restarted] = join(names[restarted], 30.0)
        eventually(lambda at=restarted, held=before: owners[at].owned == held)
        assert owners[other].history == seen


@pytest.mark.kafka
def test_who_leaves_hands_over_at_once(join: Join) -> None:
    stays, leaves = join("stays", 600.0), join("leaves", 600.0)
    eventually(lambda: shared(stays, leaves))
    leaves.close(leave=True)
    assert leaves.owned == frozenset()
    eventually(lambda: stays.owned == ALL)


@pytest.mark.kafka
def test_a_killed_and_a_frozen_member_are_replaced_after_their_sessions(
    join: Join, start: Callable[[str], Process]
) -> None:
    stays, killed, frozen = join("stays"), start("killed"), start("frozen")
    eventually(lambda: shared(stays, killed, frozen), 30)
    killed.kill()
    frozen.signal(signal.SIGSTOP)
    eventually(lambda: stays.owned == ALL, 30)
    taken = stays.member.assignment()
    frozen.signal(signal.SIGCONT)
    woken = time.monotonic()
    eventually(lambda: shared(stays, frozen), 20)
    # From its first look on it knew that what it had owned was another's.
    after = [owned for at, owned in frozen.seen if at > woken and owned is not None]
    assert taken is not None
    assert min(owned.generation for owned in after) > taken.generation


@pytest.mark.kafka
def test_the_older_of_two_with_one_name_is_told(join: Join) -> None:
    older = join("same")
    eventually(lambda: older.owned == ALL)
    newer = join("same")
    eventually(lambda: newer.owned == ALL)
    eventually(lambda: older.error)
    assert isinstance(older.error, SettingsError)
    assert "processor 'same'" in older.error.message
    assert "THUMBWHEEL_PROCESSOR_NAME" in older.error.hint
    with pytest.raises(SettingsError):
        older.member.assignment()
    older.close(leave=True)
    time.sleep(1.0)
    assert newer.owned == ALL, "who is told so does not leave in the newer one's name"


@pytest.mark.kafka
def test_a_name_and_a_session_the_brokers_refuse_are_told(log: KafkaLog, join: Join) -> None:
    with pytest.raises(SettingsError, match="name"):
        log.member("with a space", 6.0)
    hasty = join("hasty", 1.0)
    eventually(lambda: hasty.error)
    assert isinstance(hasty.error, SettingsError)
    assert "session of 1 s" in hasty.error.message


@pytest.mark.kafka
def test_what_is_committed_shows_as_the_groups_lag(apache: Broker, join: Join) -> None:
    admin = Cluster(apache.address, {}).admin()

    def committed() -> dict[int, int]:
        found = admin.list_group_offsets({GROUP: None})[GROUP]
        return {place.partition: at.offset for place, at in found.items() if place.topic == EVENTS}

    try:
        first = join("first")
        first.member.commit({0: 1})
        eventually(lambda: first.owned == ALL)
        first.member.commit({3: 30, 99: 1})
        eventually(lambda: committed() == {3: 30})
        first.busy.set()
        second = join("second")
        eventually(lambda: first.history[-1] is None)
        # The batch in hand ends, and what it moved is shown.
        first.member.commit(dict.fromkeys(ALL, 40))
        first.busy.clear()
        eventually(lambda: shared(first, second))
        assert committed() == dict.fromkeys(ALL, 40)
        [gone, *_], [mine, *_] = second.owned, first.owned
        first.member.commit({gone: 50, mine: 60})
        first.close()
        first.member.commit({mine: 70})
        eventually(lambda: second.owned == ALL)
        assert committed() == dict.fromkeys(ALL, 40) | {mine: 60}
    finally:
        admin.close()


@pytest.mark.kafka
def test_partitions_move_when_their_owner_is_done_or_has_had_its_time(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = join("first")
    eventually(lambda: first.owned == ALL)
    first.busy.set()
    second = join("second")
    eventually(lambda: first.history[-1] is None)
    # Heartbeats go on meanwhile, for longer than a session lasts without them.
    second.member.wait(None, 7.0)
    assert second.history == [None]
    first.busy.clear()
    eventually(lambda: shared(first, second))
    monkeypatch.setattr(kafka_group, "RELEASE_SECONDS", 0.5)
    second.busy.set()
    third = join("third")
    eventually(lambda: shared(first, second, third), 20)


@pytest.mark.kafka
def test_neither_changing_metadata_nor_a_short_freeze_moves_anything(join: Join) -> None:
    first, second = join("first", 30.0), join("second", 30.0)
    eventually(lambda: shared(first, second) and first.history[-1] and second.history[-1])
    seen = list(first.history), list(second.history)
    for owner in (first, second):
        assert isinstance(owner.member, GroupMember)
        coordinator = owner.member._consumer._coordinator
        heard = coordinator.heartbeat.last_receive
        coordinator._assignment_snapshot = {EVENTS: set()}
        coordinator.heartbeat.last_poll -= 60.0
        # Long enough for several looks at it.
        eventually(lambda at=coordinator, since=heard: at.heartbeat.last_receive > since + 1.0)
    assert (first.history, second.history) == seen


class Watch:
    """Looks at all members all the time; remembers when two claimed one partition at once."""

    def __init__(self) -> None:
        self.owners: dict[str, Owner] = {}
        self.double: list[str] = []
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            claims = self._claims()
            by_generation: dict[tuple[int, int], str] = {}
            at_once: dict[int, str] = {}
            # What is claimed before and after was claimed all the time between, by all of them.
            unchanged = {name for name, owned in self._claims().items() if claims.get(name) == owned}
            for name, owned in claims.items():
                for partition in owned.partitions:
                    other = by_generation.setdefault((owned.generation, partition), name)
                    if name in unchanged:
                        other = at_once.setdefault(partition, name) if other == name else other
                    if other != name:
                        self.double.append(f"{partition} by {name} and {other}: {claims}")
            self.looks += 1

    def _claims(self) -> dict[str, Assignment]:
        found = {name: owner.member.assignment() for name, owner in list(self.owners.items())}
        return {name: owned for name, owned in found.items() if owned is not None}

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.kafka
def test_no_partition_has_two_owners_in_a_storm_of_members(join: Join) -> None:
    print("seed", SEED)
    rng = random.Random(SEED)
    watch = Watch()
    for _ in range(20):
        name = f"m{rng.randrange(5)}"
        leave = rng.random() < 0.6
        if owner := watch.owners.pop(name, None):
            owner.close(leave)
        if owner is None or not leave:
            watch.owners[name] = join(name)
        time.sleep(rng.choice((0.0, 0.1, 0.6)))
    if not watch.owners:
        watch.owners["last"] = join("last")
    eventually(lambda: shared(*watch.owners.values()), 30)
    watch.stop()
    assert watch.looks > 100
    assert watch.double == []


@pytest.mark.kafka
def test_members_outlive_brokers_that_are_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not apache_kafka():
        pytest.skip("needs Apache Kafka in ../shared/kafka and Java 17")
    broker = Broker.apache(tmp_path / "node").start()
    try:
        log = open_log(f"kafka://{broker.wait().address}", len(ALL))
        first, second = Owner(log, "first"), Owner(log, "second")
        eventually(lambda: shared(first, second))
        before = first.member.assignment(), second.member.assignment()
        with caplog.at_level(logging.WARNING, kafka_group.__name__):
            broker.freeze()
            # Nobody can tell them, but their sessions are over.
            eventually(lambda: not first.owned and not second.owned, 20)
            broker.thaw()
            eventually(lambda: shared(first, second), 40)
        after = first.member.assignment(), second.member.assignment()
        assert [held.partitions for held in after if held] == [held.partitions for held in before if held]
        lines = [record.getMessage() for record in caplog.records if record.name == kafka_group.__name__]
        assert len(lines) <= 4, lines
        first.close()
        second.close()
        log.close()
    finally:
        broker.thaw()
        broker.kill()
        shutil.rmtree(tmp_path / "node")
