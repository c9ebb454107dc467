"""A broker of one node that answers as a test says: requests of a Kafka client in over a socket, answers out.

It speaks just enough of the protocol, as brokers 2.3 do, for a client to bootstrap, to log in, and to be the only
member of a group. What a test wants otherwise it puts in `answers`, by the request's name.
"""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka.protocol import consumer, metadata, producer, sasl
from kafka.protocol.api_header import RequestHeader

TOPIC = "things"
NODE = 1
# The newest version of each request that is understood; all have the older kind of header.
VERSIONS = {
    "Produce": 7, "Fetch": 11, "ListOffsets": 2, "Metadata": 4, "OffsetCommit": 5, "OffsetFetch": 5,
    "FindCoordinator": 2, "JoinGroup": 5, "Heartbeat": 3, "LeaveGroup": 3, "SyncGroup": 3, "SaslHandshake": 1,
    "ApiVersions": 2, "SaslAuthenticate": 0,
}  # fmt: skip
_MESSAGES = vars(consumer) | vars(producer) | vars(metadata) | vars(sasl)
_REQUESTS = {_MESSAGES[f"{name}Request"].API_KEY: name for name in VERSIONS}


def answer_to(name: str, **fields: Any) -> Any:
    """Return an answer to this request, made of these fields."""
    return _MESSAGES[f"{name}Response"](**fields)


class Seen:
    """A request as it came."""

    def __init__(self, name: str, request: Any) -> None:
        self.name = name
        self.request = request
        self.at = time.monotonic()


class FakeBroker:
    """Listens until it is closed; each connection is served by a thread, one request after the other."""

    def __init__(self) -> None:
        self.partitions = 3
        self.generation = 0
        # By a request's name: what makes its answer, or None for none. It may wait; its connection waits with it.
        self.answers: dict[str, Callable[[Any], Any]] = {name: getattr(self, f"_{name}") for name in _ANSWERED}
        self.seen: list[Seen] = []
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def requests(self, name: str) -> list[Seen]:
        """Return the requests of this name that came until now."""
        return [one for one in list(self.seen) if one.name == name]

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._open:
            each.close()
        self._thread.join(5)

    # -- bytes

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._server.accept()
            except OSError:
                return  # Closed.
            self._open.append(connected)
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with connected, connected.makefile("rb") as stream:
            try:
                while len(size := stream.read(4)) == 4:
                    if answer := self._answer(stream.read(struct.unpack(">i", size)[0])):
                        connected.sendall(answer)
            except OSError:
                return  # The client is gone, or the test is over.

    def _answer(self, raw: bytes) -> bytes:
        key, version, correlation = struct.unpack_from(">hhi", raw)
        name = _REQUESTS[key]
        if version > VERSIONS[name]:  # Only asked before the versions are known.
            refused = answer_to(name, error_code=35, api_keys=self._keys())
            return framed(refused, 0, correlation)
        body = io.BytesIO(raw)
        RequestHeader.decode(body, flexible=False)
        seen = Seen(name, _MESSAGES[f"{name}Request"].decode(raw[body.tell() :], version=version))
        self.seen.append(seen)
        answer = self.answers[name](seen.request)
        return b"" if answer is None else framed(answer, version, correlation)

    # -- what it answers where a test says nothing else

    def _keys(self) -> list[Any]:
        kind = metadata.ApiVersionsResponse.ApiVersion
        return [kind(api_key=key, min_version=0, max_version=VERSIONS[name]) for key, name in _REQUESTS.items()]

    def _ApiVersions(self, request: Any) -> Any:
        return answer_to("ApiVersions", error_code=0, api_keys=self._keys(), throttle_time_ms=0)

    def _Metadata(self, request: Any) -> Any:
        kinds = metadata.MetadataResponse
        partition = kinds.MetadataResponseTopic.MetadataResponsePartition
        topic = kinds.MetadataResponseTopic(
            error_code=0, name=TOPIC, is_internal=False,
            partitions=[
                partition(error_code=0, partition_index=at, leader_id=NODE, replica_nodes=[NODE], isr_nodes=[NODE])
                for at in range(self.partitions)
            ],
        )  # fmt: skip
        broker = kinds.MetadataResponseBroker(node_id=NODE, host="127.0.0.1", port=self.port, rack=None)
        return answer_to(
            "Metadata", throttle_time_ms=0, brokers=[broker], cluster_id="fake", controller_id=NODE,
            topics=[topic] if self.partitions else [],
        )  # fmt: skip

    def _FindCoordinator(self, request: Any) -> Any:
        return answer_to(
            "FindCoordinator", throttle_time_ms=0, error_code=0, error_message=None, node_id=NODE, host="127.0.0.1",
            port=self.port,
        )  # fmt: skip

    def _JoinGroup(self, request: Any) -> Any:
        """The only member is the leader."""
        self.generation += 1
        name = request.member_id or f"member-{self.generation}"
        first = request.protocols[0]
        member = consumer.JoinGroupResponse.JoinGroupResponseMember(
            member_id=name, group_instance_id=request.group_instance_id, metadata=first.metadata
        )
        return answer_to(
            "JoinGroup", throttle_time_ms=0, error_code=0, generation_id=self.generation, protocol_name=first.name,
            leader=name, member_id=name, members=[member],
        )  # fmt: skip

    def _SyncGroup(self, request: Any) -> Any:
        return answer_to("SyncGroup", throttle_time_ms=0, error_code=0, assignment=request.assignments[0].assignment)

    def _Heartbeat(self, request: Any) -> Any:
        return answer_to("Heartbeat", throttle_time_ms=0, error_code=0)

    def _LeaveGroup(self, request: Any) -> Any:
        return answer_to("LeaveGroup", throttle_time_ms=0, error_code=0, members=[])

    def _Produce(self, request: Any) -> None:
        """Nothing that was sent is acknowledged."""

    def _SaslHandshake(self, request: Any) -> Any:
        return answer_to("SaslHandshake", error_code=0, mechanisms=["PLAIN"])

    def _SaslAuthenticate(self, request: Any) -> Any:
        return answer_to("SaslAuthenticate", error_code=58, error_message="wrong password", auth_bytes=b"")


_ANSWERED = (
    "ApiVersions", "Metadata", "FindCoordinator", "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "Produce",
    "SaslHandshake", "SaslAuthenticate",
)  # fmt: skip


def framed(answer: Any, version: int, correlation: int) -> bytes:
    """Return the bytes of an answer."""
    body: bytes = answer.encode(version=version)
    return struct.pack(">ii", 4 + len(body), correlation) + body
