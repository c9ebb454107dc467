"""Events posted to a collector as a patient client does: the same event again until it is answered for."""

from __future__ import annotations

import http.client
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from contract.ids import uuid7
from tests.faults.ledger import Ledger

BATCH = 100
THREADS = 4
TIMEOUT_S = 15.0


class Load:
    """Threads that post batches at about `rate` events a second until `stop`, and end when all is answered.

    Each interaction comes with a pick and two thumbs, in any order, some by clocks that are a day off. With `twice`
    each batch is posted a second time after it was answered. With `asked_last` the interactions are held back until
    all feedback on all of them is answered for, which was given a day before them.
    """

    def __init__(
        self, port: int, key: str, seed: int, rate: float = 5000.0, twice: bool = False, asked_last: bool = False
    ) -> None:
        self.ledger = Ledger()
        self._port, self._key, self._twice, self._asked_last = port, key, twice, asked_last
        self._pause_s = BATCH * THREADS / rate
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed + number), number), daemon=True)
            for number in range(THREADS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # A scenario that failed already is not held up by what nobody will answer.
        if kind is None:
            self.stop()
        self._stopping.set()
        self._giving_up.set()

    @property
    def accepted(self) -> int:
        """Return how many events were accepted so far."""
        return len(self.ledger.accepted)

    def wait_for(self, events: int, seconds: float = 240.0) -> None:
        """Wait until so many events are accepted."""
        deadline = time.monotonic() + seconds
        while self.accepted < events:
            assert time.monotonic() < deadline, f"{self.accepted} of {events} accepted, {self.ledger.answers}"
            time.sleep(0.05)

    def stop(self, seconds: float = 90.0) -> None:
        """Make no more events, and wait until those made are answered for."""
        self._stopping.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._giving_up.set()
        assert time.monotonic() < deadline, f"unanswered: {self.ledger.answers}"

    def _run(self, rng: random.Random, number: int) -> None:
        count = 0
        held: list[dict[str, Any]] = []
        due = time.monotonic()
        while not self._stopping.is_set():
            events: list[dict[str, Any]] = []
            while len(events) < BATCH:
                count += 1
                events += _interaction(rng, f"i-{number}-{count}", self._asked_last)
            if self._asked_last:
                held += [event for event in events if event["type"] == "interaction"]
                events = [event for event in events if event["type"] != "interaction"]
            rng.shuffle(events)
            self._send(events)
            due = max(due + self._pause_s, time.monotonic() - 1.0)
            self._stopping.wait(max(0.0, due - time.monotonic()))
        rng.shuffle(held)
        for at in range(0, len(held), BATCH):
            self._send(held[at : at + BATCH])

    def _send(self, events: list[dict[str, Any]]) -> None:
        self._remember(events)
        self._deliver(events)
        if self._twice:
            self._deliver(events)

    def _remember(self, events: list[dict[str, Any]]) -> None:
        with self.ledger.lock:
            self.ledger.sent.update(event["event_id"] for event in events)
            self.ledger.picks.update(
                (event["event_id"], event["interaction_id"]) for event in events if event["type"] == "pick"
            )

    def _deliver(self, events: list[dict[str, Any]]) -> None:
        waiting = events
        while waiting and not self._giving_up.is_set():
            results = self._post(waiting)
            if results is None:
                time.sleep(0.1)
                continue
            accepted = {one["event_id"] for one in results if one["status"] == "accepted"}
            with self.ledger.lock:
                self.ledger.accepted |= accepted
                self.ledger.answers.update(one["status"] for one in results)
            assert all(one["status"] != "rejected" for one in results), results[:3]
            if len(accepted) < len(waiting):
                time.sleep(0.1)
            waiting = [event for event in waiting if event["event_id"] not in accepted]

    def _post(self, events: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request("POST", "/v1/events", msgspec.json.encode({"events": events}), headers)
            answer = connection.getresponse()
            body = msgspec.json.decode(answer.read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            with self.ledger.lock:
                self.ledger.answers[type(error).__name__] += 1
            return None
        finally:
            connection.close()
        if answer.status in (202, 207):
            results: list[dict[str, Any]] = body["results"]
            return results
        with self.ledger.lock:
            self.ledger.answers[str(answer.status)] += 1
        assert answer.status in (429, 503), body
        return None


def _interaction(rng: random.Random, interaction_id: str, asked_last: bool) -> list[dict[str, Any]]:
    """Return an interaction with two replies, a pick and two thumbs on it; `asked_last`: those a day before."""
    shown = [f"{interaction_id}.a", f"{interaction_id}.b"]
    common = {"interaction_id": interaction_id, "actor": {"id": f"u-{rng.randrange(1000)}"}}
    replies = [{"candidate_id": one, "content": f"Reply {one}"} for one in shown]
    bodies: list[dict[str, Any]] = [
        {
            "type": "interaction",
            "messages": [{"role": "user", "content": f"Where is {interaction_id}?"}],
            "candidates": replies,
        },
        {"type": "pick", "shown": shown, "outcome": "chosen", "chosen": rng.choice(shown)},
        {"type": "thumb", "candidate_id": shown[0], "value": "up"},
        {"type": "thumb", "candidate_id": shown[1], "value": "down"},
    ]
    now = datetime.now(UTC)
    times = [now + timedelta(days=rng.choice((0, 0, 0, -1, 1)))] * len(bodies)
    if asked_last:
        times = [now] + [now - timedelta(days=1)] * 3
    return [
        {"event_id": str(uuid7()), "occurred_at": at.isoformat(), **common, **body}
        for at, body in zip(times, bodies, strict=True)
    ]
