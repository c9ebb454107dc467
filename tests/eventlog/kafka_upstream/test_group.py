"""The faults of kafka-python's group membership that `eventlog.kafka_log` works around are still there.

Each test fails once upstream has mended the fault, and says which workaround can go then (decision 0010).
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription

from tests.eventlog.kafka_upstream.conftest import QUICK, Told
from tests.eventlog.kafka_upstream.fake_broker import TOPIC, FakeBroker, answer_to
from tests.waiting import eventually

FENCED, NOT_COORDINATOR = 82, 16
SESSION = QUICK["session_timeout_ms"] / 1000

Join = Callable[..., tuple[KafkaConsumer, Told]]


def joined(broker: FakeBroker, consumer: KafkaConsumer, told: Told) -> None:
    """Poll until the member has its partitions, and heartbeats say that it keeps them; forget what it was told."""

    def settled() -> bool:
        consumer.poll(timeout_ms=50)
        last_sync = max([one.at for one in broker.requests("SyncGroup")], default=time.monotonic())
        since = [one for one in broker.requests("Heartbeat") if one.at > last_sync]
        return told.history[-1:] == ["assigned"] and len(since) > 2

    eventually(settled)
    told.history.clear()


def test_a_fenced_member_is_not_told(broker: FakeBroker, join: Join) -> None:
    consumer, told = join()
    joined(broker, consumer, told)
    held = consumer.assignment()
    broker.answers["Heartbeat"] = lambda _: answer_to("Heartbeat", throttle_time_ms=0, error_code=FENCED)
    before = len(broker.requests("Heartbeat"))
    eventually(lambda: len(broker.requests("Heartbeat")) > before)
    fenced = len(broker.requests("Heartbeat"))
    until = time.monotonic() + 2 * SESSION
    while time.monotonic() < until:
        assert consumer.poll(timeout_ms=100) == {}
    still = "`poll` tells a member that it is fenced: coordinator.listen need not watch for FencedInstanceIdError."
    assert len(held) == broker.partitions
    assert (consumer.assignment(), told.history) == (held, []), still
    assert len(broker.requests("Heartbeat")) == fenced, still


def test_the_session_clock_starts_again_without_being_counted_in(broker: FakeBroker, join: Join) -> None:
    consumer, told = join()
    joined(broker, consumer, told)
    broker.answers["Heartbeat"] = lambda _: answer_to("Heartbeat", throttle_time_ms=0, error_code=NOT_COORDINATOR)
    expired: list[bool] = []
    until = time.monotonic() + 3 * SESSION
    while time.monotonic() < until:
        consumer.poll(timeout_ms=50)
        expired.append(consumer._coordinator.heartbeat.session_timeout_expired())
    assert len(broker.requests("FindCoordinator")) > 2
    assert not any(expired), (
        "Finding the coordinator no longer restarts the session: GroupMember need not keep a clock."
    )
    assert len(consumer.assignment()) == broker.partitions


def test_an_answer_counts_from_when_it_is_read(broker: FakeBroker, join: Join) -> None:
    consumer, told = join(session_timeout_ms=6_000)
    joined(broker, consumer, told)
    came: list[float] = []

    def late(_: Any) -> Any:
        came.append(time.monotonic())
        time.sleep(0.6)
        return answer_to("Heartbeat", throttle_time_ms=0, error_code=0)

    broker.answers["Heartbeat"] = late
    heartbeat = consumer._coordinator.heartbeat
    eventually(lambda: came and heartbeat.last_receive > came[0])
    # No request was under way before it: the loop waits for each answer.
    assert heartbeat.last_receive > came[0] + 0.5, (
        "A session counts from the sending of a heartbeat: `counted_in` need not get the time of sending."
    )


def test_metadata_that_change_and_change_back_end_a_membership(broker: FakeBroker, join: Join) -> None:
    consumer, told = join(metadata_max_age_ms=100)
    joined(broker, consumer, told)
    answer, held_up = broker.answers["JoinGroup"], threading.Event()

    def when_let(request: Any) -> Any:
        held_up.wait(10)
        return answer(request)

    broker.answers["JoinGroup"] = when_let
    broker.partitions = 2
    joins, syncs = len(broker.requests("JoinGroup")), len(broker.requests("SyncGroup"))
    eventually(lambda: consumer.poll(timeout_ms=50) == {} and len(broker.requests("JoinGroup")) > joins)
    broker.partitions = 3
    coordinator = consumer._coordinator
    eventually(lambda: len(coordinator._metadata_snapshot[TOPIC]) == 3)
    consumer.poll(timeout_ms=50)
    held_up.set()
    eventually(lambda: len(broker.requests("SyncGroup")) > syncs)
    beats = len(broker.requests("Heartbeat"))
    until = time.monotonic() + 2 * SESSION
    while time.monotonic() < until:
        consumer.poll(timeout_ms=50)
    still = "A rejoin for metadata that changed back comes to its end: `obey` need not replace need_rejoin."
    assert told.history == ["revoked"], still
    assert len(broker.requests("Heartbeat")) == beats, still


def test_a_join_that_is_over_between_two_polls_is_thrown_away(broker: FakeBroker, join: Join) -> None:
    consumer, told = join()
    answer = broker.answers["JoinGroup"]

    def slowly(request: Any) -> Any:
        time.sleep(0.3)
        return answer(request)

    broker.answers["JoinGroup"] = slowly
    eventually(lambda: consumer.poll(timeout_ms=10) == {} and len(broker.requests("JoinGroup")) == 1)
    eventually(lambda: len(broker.requests("SyncGroup")) == 1)
    time.sleep(0.2)
    eventually(lambda: consumer.poll(timeout_ms=1000) == {} and told.history[-1] == "assigned")
    # Each rebalance begins with a revocation.
    assert len(broker.requests("JoinGroup")) == told.history.count("revoked") + 1, (
        "A join that ended between two polls is kept: GroupMember may poll without a time-out while it joins."
    )


def test_poll_does_not_sleep_while_a_heartbeat_is_overdue(broker: FakeBroker, join: Join) -> None:
    consumer, told = join(session_timeout_ms=6_000)
    joined(broker, consumer, told)
    rounds = [0]
    poll = consumer._coordinator.poll

    def counted(**options: Any) -> Any:
        rounds[0] += 1
        return poll(**options)

    consumer._coordinator.poll = counted
    consumer.poll(timeout_ms=400)
    usual, rounds[0] = rounds[0], 0
    go_on = threading.Event()
    broker.answers["Heartbeat"] = lambda _: go_on.wait(10) and None
    before = len(broker.requests("Heartbeat"))
    eventually(lambda: len(broker.requests("Heartbeat")) > before)
    time.sleep(2 * QUICK["heartbeat_interval_ms"] / 1000)
    consumer.poll(timeout_ms=400)
    go_on.set()
    assert usual < 60
    assert rounds[0] > 3 * usual, "`poll` sleeps with a heartbeat overdue: GroupMember need not wait by itself."


def test_a_static_member_that_did_not_poll_forgets_who_it_was(broker: FakeBroker, join: Join) -> None:
    consumer, told = join(max_poll_interval_ms=400)
    joined(broker, consumer, told)
    was = consumer.group_metadata().member_id
    joins = len(broker.requests("JoinGroup"))
    time.sleep(1.0)
    joined(broker, consumer, told)
    again = broker.requests("JoinGroup")[joins]
    assert was
    assert (again.request.member_id, again.request.group_instance_id) == ("", "static"), (
        "A static member keeps its id when it polls late: `obey` need not switch poll_timeout_expired off."
    )


def test_a_heartbeat_loop_that_ended_is_forgotten(broker: FakeBroker, join: Join) -> None:
    consumer, told = join()
    joined(broker, consumer, told)
    heartbeat = consumer._coordinator.heartbeat

    def fail() -> bool:
        raise RuntimeError("provoked")

    heartbeat.should_heartbeat = fail
    raised: list[str] = []

    def ended() -> bool:
        try:
            consumer.poll(timeout_ms=10)
        except RuntimeError as error:
            raised.append(str(error))
        return bool(raised)

    eventually(ended)
    del heartbeat.should_heartbeat
    beats = len(broker.requests("Heartbeat"))
    until = time.monotonic() + 2 * SESSION
    while time.monotonic() < until:
        assert consumer.poll(timeout_ms=50) == {}
    assert raised == ["provoked"]
    assert len(broker.requests("Heartbeat")) == beats, (
        "`poll` starts a heartbeat loop that ended again: GroupMember need not connect anew for that."
    )
    assert told.history == []


class Topics:
    """The part of a cluster's metadata that an assignor asks for."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions)) or None

    def topics(self) -> set[str]:
        return {TOPIC} if self._partitions else set()

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._partitions


class Joining:
    """A member as the group's leader hears of it."""

    def __init__(self, name: str, assignor: StickyPartitionAssignor) -> None:
        self.member_id = name
        self.group_instance_id = name
        self.metadata = assignor.metadata({TOPIC})
        if isinstance(self.metadata, bytes):
            self.metadata = ConsumerProtocolSubscription.decode(self.metadata)


def spread(assignors: dict[str, StickyPartitionAssignor], partitions: int, generation: int) -> dict[str, set[int]]:
    """Have one of them assign, tell all, and return who has what."""
    leader = next(iter(assignors.values()))
    found = leader.assign(Topics(partitions), [Joining(name, each) for name, each in assignors.items()])
    for name, each in assignors.items():
        each.on_assignment(found[name], generation)
    return {name: {place.partition for place in one.partitions()} for name, one in found.items()}


def test_the_sticky_assignor_forgets_all_where_a_topic_is_briefly_unknown() -> None:
    names = ("a", "b", "c")
    alone = {"a": StickyPartitionAssignor()}
    spread(alone, 9, 1)
    three = alone | {name: StickyPartitionAssignor() for name in names[1:]}
    before = spread(three, 9, 2)
    assert spread(three, 9, 3) == before
    nothing = spread(three, 0, 4)
    still = "The sticky assignor remembers through an unknown topic: EvenAndSticky need not know the partitions."
    assert nothing == {name: set() for name in names}, still
    assert spread(three, 9, 5) != before, still


def test_a_static_member_cannot_leave_on_purpose(broker: FakeBroker, join: Join) -> None:
    consumer, told = join()
    joined(broker, consumer, told)
    consumer.unsubscribe()
    consumer.close()
    assert broker.requests("LeaveGroup") == []
    assert list(inspect.signature(KafkaConsumer.close).parameters) == ["self", "autocommit", "timeout_ms"], (
        "`close` takes something new, to leave perhaps: GroupMember would need no admin client for it."
    )
