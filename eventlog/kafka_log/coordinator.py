"""What kafka-python's group coordinator keeps to itself, and how a group's partitions are spread.

Everything private that a `GroupMember` touches is touched here; tests/eventlog/test_membership.py notices when a new
version moves it. Faults of kafka-python 3.0.12 that are worked around, here or in `group`, each reproduced in
tests/eventlog/kafka_upstream/test_group.py, which tells when upstream has mended it:

- A heartbeat that is refused because another process has the same `group_instance_id` is logged, and heartbeats end;
  `poll` goes on as if nothing had happened, and the consumer keeps partitions that are another's. `listen` tells.
- Its session clock starts again when it finds the coordinator, whether or not that still counts it in, and an answer
  that lay unread while the process was frozen counts from when it is read. `listen` tells when each request was sent.
- The leader joins again, and makes everybody else do so, when the topic's metadata change: after a first join that
  overtook the first metadata, or while brokers restart. That is remembered nowhere but in the difference: where they
  change back before it is over, `poll` takes it for done, and there are neither partitions nor heartbeats, for ever.
  The number of partitions is fixed, so `obey` ends it.
- A join that is over between two calls of `poll` is thrown away, and the next call joins again, which makes everybody
  else do so too. Whoever joins has to be in `poll`, with a time-out.
- While a heartbeat is overdue and partitions are held, `poll` does not sleep, whatever its time-out, and takes a whole
  processor core. `GroupMember` polls without one and waits by itself.
- A member that has not polled for `max_poll_interval_ms`, having been frozen, forgets who it was and joins as if it
  were restarted. A static one so takes its name back from the process that has replaced it. `obey` leaves it to the
  broker, which refuses the next heartbeat.
- `poll_heartbeat` forgets a heartbeat loop that ended with an error and starts another at the next rejoin only, which
  need not come. `poll` raises that error once; whoever polls has to connect anew.
- The sticky assignor spreads what the leader's metadata hold at that moment: nothing, where a topic is briefly without
  a leader, and all stickiness is lost with it. `EvenAndSticky` knows how many partitions there are.
- A static member never leaves its group on purpose: `close` sends no LeaveGroup, which is what a restart needs, and
  there is no way to ask for one but an admin client's `remove_group_members`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.coordinator.base import BaseCoordinator
from kafka.errors import FencedInstanceIdError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

from contract.topics import EVENTS


def listen(consumer: KafkaConsumer, counted_in: Callable[[float], None], lost: Callable[[Exception], None]) -> None:
    """Pass on what the broker says about our place in the group, from the consumer's I/O thread.

    `counted_in` gets the monotonic time at which the request was sent that a broker answered as a member's. `lost`
    gets the error: IllegalGenerationError or UnknownMemberIdError, after which `poll` joins again, or
    FencedInstanceIdError, after which it must not.
    """
    coordinator = consumer._coordinator
    heartbeat, sync = coordinator._handle_heartbeat_response, coordinator._process_sync_group_response

    def heartbeat_answered(response: Any, send_time: float) -> None:
        try:
            heartbeat(response, send_time)
        except RebalanceInProgressError:
            counted_in(send_time)
            raise
        except (UnknownMemberIdError, IllegalGenerationError, FencedInstanceIdError) as error:
            lost(error)
            raise
        counted_in(send_time)

    def sync_answered(response: Any, send_time: float) -> Any:
        assignment = sync(response, send_time)
        counted_in(send_time)
        return assignment

    coordinator._handle_heartbeat_response = heartbeat_answered
    coordinator._process_sync_group_response = sync_answered


def obey(consumer: KafkaConsumer) -> None:
    """Have the member join again, and give up its place, for no other reason than that the broker says so."""
    coordinator = consumer._coordinator
    coordinator.need_rejoin = partial(BaseCoordinator.need_rejoin, coordinator)
    coordinator.heartbeat.poll_timeout_expired = lambda: False


def nap(consumer: KafkaConsumer, seconds: float) -> Awaitable[None]:
    """Return what a coroutine on the consumer's I/O thread awaits to let others run meanwhile, heartbeats above all."""
    napping: Awaitable[None] = consumer._net.sleep(seconds)
    return napping


class _Topic:
    """Cluster metadata that hold one topic, whole."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def topics(self) -> set[str]:
        return {EVENTS}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._partitions if topic == EVENTS else None


class EvenAndSticky(StickyPartitionAssignor):  # type: ignore[misc]
    """Gives each member as many partitions as any other, or one more, and moves as few as that takes."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._topic = _Topic(partitions)

    def assign(self, cluster: Any, members: Any) -> Any:
        """Spread all partitions, also those the cluster's metadata lack at the moment."""
        return super().assign(self._topic, members)
