"""The client: builds events, keeps them until answered, sends them from a daemon thread. Never raises into the host."""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Union

from thumbwheel.ids import uuid7
from thumbwheel.queue import BATCH_EVENTS, Queue
from thumbwheel.signing import sign_candidate
from thumbwheel.transport import Outcome, Transport

SDK = {"name": "thumbwheel-python", "version": "0.1.0"}
MAX_EVENT_BYTES = 256 * 1024
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
EXIT_DEADLINE_S = 2.0
Actor = Union[str, Dict[str, str]]
log = logging.getLogger("thumbwheel")


@dataclass(frozen=True)
class Result:
    """What the collector answered to one event: status is accepted, rejected, retry or dropped."""

    event_id: str | None
    status: str
    error: str | None = None


class Client:
    """A connection to one collector.

    url: the collector's address; key: `tw_sec_...` or `tw_pub_...`; actor: who gives the feedback (an id, or
    {"id", "kind"}), overridden per call. sync: each call sends at once and returns a Result. consent="required" keeps
    nothing before `opt_in()`. before_send(event) returns the event, changed or not, or None to drop it.
    on_error(reason, message, event_id) hears of every event that will not arrive.
    Raises ValueError for a malformed url or key; nothing else in this class raises.
    """

    def __init__(
        self, url: str, key: str, actor: Actor | None = None, *, sync: bool = False, consent: str | None = None,
        path: str = "/v1/events", source: str | None = None, labels: list[str] | None = None,
        max_events: int = 10_000, max_bytes: int = 20_000_000, timeout_s: float = 10.0, max_tries: int = 10,
        before_send: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None,
        on_error: Callable[[str, str, str | None], None] | None = None,
    ) -> None:  # fmt: skip
        if not key.startswith(("tw_sec_", "tw_pub_")):
            raise ValueError("thumbwheel: the key begins with tw_sec_ or tw_pub_")
        self._transport = Transport(url, path, key, timeout_s)
        self._key = key
        self._actor = actor
        self._sync = sync
        self._defaults = {"source": source, "labels": labels}
        self._before_send = before_send
        self._on_error = on_error
        self._max_tries = max_tries
        self._bounds = (max_events, max_bytes)
        self._allowed = consent != "required"
        self._closed = False
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()
        self._start_over()
        _clients.add(self)

    def _start_over(self) -> None:
        """Begin with an empty queue and no thread: at the start, and in a forked child (the parent sends its own)."""
        self._lock = threading.Lock()
        self._queue = Queue(*self._bounds)
        self._tries: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    # -- calls

    def interaction(self, **fields: Any) -> Any:
        """Record what was asked and shown: interaction_id, messages, candidates. Needs a secret key."""
        return self._keep("interaction", fields)

    def thumb(self, **fields: Any) -> Any:
        """Record a thumb: interaction_id, candidate_id, value "up" or "down", reasons, comment."""
        return self._keep("thumb", fields)

    def choice(self, **fields: Any) -> Any:
        """Record a user's choice: interaction_id, shown, outcome, chosen."""
        return self._keep("choice", fields)

    def pick(self, **fields: Any) -> Any:
        """Record an agent's pick: interaction_id, shown, outcome, chosen, edited_text, sent, dwell_ms."""
        return self._keep("pick", fields)

    def edit(self, **fields: Any) -> Any:
        """Record a corrected reply: interaction_id, candidate_id, text."""
        return self._keep("edit", fields)

    def retract(self, **fields: Any) -> Any:
        """Take an event back: interaction_id, target (its event id), by the same actor."""
        return self._keep("retract", fields)

    def sign(self, key_id: str, project: str, interaction_id: str) -> str:
        """Return a signed candidate id for a reply the gateway did not write; needs a secret key."""
        return sign_candidate(self._key, key_id, project, interaction_id)

    def opt_in(self) -> None:
        """The person agrees: keep and send from now on."""
        self._allowed = True

    def opt_out(self) -> None:
        """The person does not: forget what waits, keep nothing from now on."""
        self._allowed = False
        self.dropped["opt_out"] += self._queue.clear()

    # -- keeping

    def _keep(self, kind: str, fields: dict[str, Any]) -> Any:
        """Return the event's id (sync: a Result), or None when it was not kept."""
        try:
            event = self._event(kind, fields)
            if self._closed or not self._allowed:
                return self._refuse("closed" if self._closed else "no_consent", "", None)
            if self._before_send is not None:
                changed = self._before_send(event)
                if changed is None:
                    return self._refuse("before_send", "", event["event_id"])
                event = changed
            size = len(json.dumps(event, separators=(",", ":")).encode())
            if size > MAX_EVENT_BYTES:
                return self._refuse("too_large", f"the event has {size} bytes", event["event_id"])
            return self._send_now(event) if self._sync else self._enqueue(event, size)
        except Exception as error:
            # A host must never fail because feedback does; the reason is counted and reported.
            return self._refuse("failed", f"{type(error).__name__}", None)

    def _event(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        actor = fields.pop("actor", None) or self._actor or "anonymous"
        event: dict[str, Any] = {
            "type": kind,
            "event_id": fields.pop("event_id", None) or uuid7(),
            "occurred_at": _text_of_time(fields.pop("occurred_at", None)),
            "actor": {"id": actor} if isinstance(actor, str) else dict(actor),
            "sdk": SDK,
        }
        for name, value in self._defaults.items():
            if value is not None:
                event[name] = value
        event.update({name: value for name, value in fields.items() if value is not None})
        return event

    def _refuse(self, reason: str, message: str, event_id: str | None) -> Any:
        self._lost(event_id, reason, message)
        return Result(event_id, "dropped", reason) if self._sync else None

    def _lost(self, event_id: str | None, reason: str, message: str) -> None:
        self.dropped[reason] += 1
        log.warning("thumbwheel: an event was not delivered (%s)", reason)
        if self._on_error is not None:
            try:
                self._on_error(reason, message, event_id)
            except Exception:
                log.warning("thumbwheel: on_error raised")

    def _enqueue(self, event: dict[str, Any], size: int) -> str | None:
        if not self._queue.put(event, size):
            self._lost(event["event_id"], "queue_full", "")
            return None
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=_run, args=(weakref.ref(self),), name="thumbwheel", daemon=True)
                self._thread.start()
        return str(event["event_id"])

    def _send_now(self, event: dict[str, Any]) -> Result:
        """Send one event from the calling thread, trying again for some seconds."""
        event_id = str(event["event_id"])
        for attempt in range(min(self._max_tries, 4)):
            outcome = self._transport.send([event], _text_of_time(None))
            if outcome.accepted:
                return Result(event_id, "accepted")
            if outcome.lost or outcome.too_large:
                reason, message = outcome.lost.get(event_id, ("too_large", ""))
                self._lost(event_id, reason, message)
                return Result(event_id, "rejected", f"{reason}: {message}")
            if attempt < 3:
                time.sleep(_pause(attempt, outcome.wait_s))
        self._lost(event_id, "gave_up", "")
        return Result(event_id, "retry", "the collector could not be reached")

    # -- sending

    def _send_batch(self, wait_s: float, most: int) -> tuple[int, float | None, bool]:
        """Send one batch; return (events sent, pause to make or None, whether to halve the batch)."""
        batch = self._queue.take(wait_s, most)
        if not batch:
            return 0, None, False
        outcome = self._transport.send([event for event, _ in batch], _text_of_time(None))
        self._queue.settle(len(batch), self._again(batch, outcome))
        failed = bool(outcome.retry) and not outcome.too_large
        return len(batch), (outcome.wait_s or 0.0) if failed else None, outcome.too_large

    def _again(self, batch: list[tuple[dict[str, Any], int]], outcome: Outcome) -> list[tuple[dict[str, Any], int]]:
        """Return what of a batch goes again; count and report what is lost."""
        for event_id, (reason, message) in outcome.lost.items():
            self._tries.pop(event_id, None)
            self._lost(event_id, reason, message)
        for event_id in outcome.accepted:
            self._tries.pop(event_id, None)
        if outcome.too_large and len(batch) == 1:
            self._lost(batch[0][0]["event_id"], "too_large", "")
            return []
        retry, again = set(outcome.retry), []
        for event, size in batch:
            event_id = event["event_id"]
            if event_id not in retry:
                continue
            tries = self._tries[event_id] = self._tries.get(event_id, 0) + (not outcome.too_large)
            if tries >= self._max_tries:
                del self._tries[event_id]
                self._lost(event_id, "gave_up", "")
            else:
                again.append((event, size))
        return again

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything was answered; False after `timeout_s`."""
        return self._queue.wait_empty(timeout_s)

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        """Flush, then take nothing more; False when something was left, which is counted as dropped."""
        done = self.flush(timeout_s)
        self._closed = True
        self.dropped["shutdown"] += self._queue.clear()
        self._queue.wake()
        return done


def _run(reference: weakref.ref[Client]) -> None:
    """Send what waits, until the client is closed or gone."""
    failures, most = 0, BATCH_EVENTS
    while True:
        client = reference()
        if client is None or client._closed:
            return
        sent, pause, halve = client._send_batch(1.0, most)
        if halve:
            most = max(1, most // 2)
        elif sent:
            most = min(BATCH_EVENTS, most * 2)
        if pause is None:
            failures = 0
        else:
            client._queue.pause(_pause(failures, pause or None))
            failures += 1
        del client


def _pause(failures: int, at_least_s: float | None) -> float:
    """Return seconds to wait: exponential with full jitter (Brooker 2015), never under what the server asked for."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**failures)
    return max(random.uniform(0.05, longest), at_least_s or 0.0)


def _text_of_time(value: Any) -> str:
    if isinstance(value, str):
        return value
    moment = value if isinstance(value, datetime) else datetime.now(timezone.utc)
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._start_over()


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_DEADLINE_S
    for client in list(_clients):
        if not client._closed:
            client.shutdown(max(0.0, deadline - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
