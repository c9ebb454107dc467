"""Takes events from the outbox, sends them in batches, and reads what became of each.

Final is only what the collector itself says: an event's result, or an error of its own shape. All else is sent again:
network errors, 408, 429, 5xx, events answered `retry`, and whatever a proxy says in the collector's place. The pause
before a retry is drawn from 0 .. 0.5 s x 2^n (exponential backoff, full jitter), at most 60 s, and never shorter than
`Retry-After`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from thumbwheel.delivery.journal import Item
from thumbwheel.delivery.outbox import Outbox
from thumbwheel.delivery.reports import Reports
from thumbwheel.delivery.transport import Answer, Transport
from thumbwheel.results import Problem, problem_from

BATCH_EVENTS = 100
# Half of the collector's cap on the wire.
BATCH_BYTES = 512 * 1024
BACKOFF_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 60.0
RETRY_AFTER_MAX_SECONDS = 600.0
GIVE_UP_SECONDS = 24 * 3600.0

NO_CONNECTION = Problem("no_connection", "The collector did not answer.", "Call again with the same event_id.")

SHUTDOWN = Problem("shutdown", "The event could not be sent before the end.")

Lost = Callable[..., None]


def backoff(attempt: int, asked: float = 0.0) -> float:
    """Return the pause in seconds before retry number `attempt` (0 = the first), `asked` being `Retry-After`."""
    jittered: float = random.random() * min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2 ** min(attempt, 20))
    return max(jittered, min(asked, RETRY_AFTER_MAX_SECONDS))


def may_retry(answer: Answer) -> bool:
    """Say whether a whole request is worth sending again; status 0 means that no answer came."""
    status = answer.status
    if status in (0, 408, 429) or status >= 500:
        return True
    return not 200 <= status < 300 and status != 413 and not is_refusal(answer)


def is_opaque(answer: Answer) -> bool:
    """Say whether something in the collector's place refused the request: perhaps for one event, perhaps for all."""
    return 400 <= answer.status < 500 and answer.status not in (408, 429) and may_retry(answer)


def is_refusal(answer: Answer) -> bool:
    """Say whether an error is the collector's own: a proxy's has another shape."""
    error = answer.body.get("error")
    return isinstance(error, dict) and all(isinstance(error.get(name), str) for name in ("code", "message", "hint"))


def body_of(items: Sequence[Item], report: bytes | None = None) -> bytes:
    """Return the request body for these events and a report of what was given up."""
    sent_at = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    dropped = b"" if report is None else b'"dropped":%s,' % report
    events = b",".join(item.body for item in items)
    return b'{"sent_at":%s,%s"events":[%s]}' % (json.dumps(sent_at).encode(), dropped, events)


def post(transport: Transport, reports: Reports, items: Sequence[Item], seconds: float | None) -> Answer:
    """Send events, with the report that waits, if any; it counts as told when the log took all that came with it."""
    report = reports.take()
    if report is None:
        return transport.post(body_of(items), seconds)
    told = False
    try:
        answer = transport.post(body_of(items, report), seconds)
        results = event_answers(answer).values()
        taken = bool(results) and all(result.get("status") != "retry" for result in results)
        told = 200 <= answer.status < 300 and taken
    finally:
        reports.settle(told)
    return answer


def event_answers(answer: Answer) -> dict[str, dict[str, object]]:
    """Return the answer for each event by its id; empty when the answer holds none."""
    results = answer.body.get("results")
    found = [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []
    return {str(result.get("event_id")): result for result in found}


class Sender:
    """One daemon thread, started by the first event, that empties the outbox."""

    def __init__(self, transport: Transport, outbox: Outbox, reports: Reports, *, lost: Lost) -> None:
        """`lost` hears of events that will not arrive: why, their ids, and `known` where the collector keeps them."""
        self._transport = transport
        self._reports = reports
        self._outbox = outbox
        self._lost = lost
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._sending = threading.Lock()
        self._go = threading.Event()
        self._ended = threading.Event()
        self._limit = BATCH_EVENTS
        self._attempt = 0
        self._not_before = 0.0
        self.accepted = 0
        self.retries = 0

    def wake(self) -> None:
        """Make sure that the thread runs. At interpreter exit none can start; `finish` sends then."""
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._run, name="thumbwheel-sender", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._thread = thread

    def finish(self, seconds: float) -> bool:
        """Send what waits now, cutting a backoff short but no pause the collector asked for; say whether all went."""
        deadline = time.monotonic() + seconds
        self._go.set()
        if self._thread is None or not self._thread.is_alive():
            while time.monotonic() < deadline and time.monotonic() >= self._not_before:
                with self._sending:
                    if not self._send_next(deadline, wait=False):
                        break
        return self._outbox.wait_empty(deadline - time.monotonic())

    def end(self, seconds: float) -> None:
        """End the thread once the outbox is closed, and wait a moment, so that its connection is closed too."""
        self._ended.set()
        self._go.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while self._send_next():
            pass
        self._transport.close()

    def _send_next(self, deadline: float | None = None, wait: bool = True) -> bool:
        """Send one batch and pause if it has to be sent again; False when there is nothing left to do."""
        batch = self._outbox.take(self._limit, BATCH_BYTES, wait)
        if not batch:
            return self._outbox.refill() or (wait and not self._outbox.closed)
        again: list[Item] = list(batch)
        asked: float | None = 0.0
        aside = False
        try:
            left = None if deadline is None else deadline - time.monotonic()
            answer = post(self._transport, self._reports, batch, left)
            aside = len(batch) == 1 and is_opaque(answer)
            again, asked = self._read(batch, answer)
        finally:
            lasting, now = self._outbox.lasting, time.monotonic()
            kept = [item for item in again if lasting or now - item.made_at < GIVE_UP_SECONDS]
            ids = {item.event_id for item in kept}
            late = self._outbox.settle([item for item in batch if item.event_id not in ids], kept, aside)
        if late:
            self._lost(SHUTDOWN, late)
        if len(kept) < len(again):
            old = [item.event_id for item in again if item.event_id not in ids]
            self._lost(Problem("too_old", "The event could not be sent for a day."), old)
        if asked is None:
            self._attempt = 0
            return True
        self._pause(asked)
        return wait

    def _pause(self, asked: float) -> None:
        seconds = backoff(self._attempt, asked)
        self._attempt += 1
        self.retries += 1
        self._not_before = time.monotonic() + min(asked, RETRY_AFTER_MAX_SECONDS)
        if threading.current_thread() is not self._thread:
            return
        self._go.clear()
        if self._ended.wait(max(0.0, self._not_before - time.monotonic())):
            return
        self._go.wait(max(0.0, seconds - min(asked, RETRY_AFTER_MAX_SECONDS)))

    def _read(self, batch: list[Item], answer: Answer) -> tuple[list[Item], float | None]:
        """Return the events to send again, and the pause asked for in seconds; None for no pause."""
        status = answer.status
        # Alone is found out which event it is about, also for a proxy that blocks one by what it holds.
        opaque = is_opaque(answer)
        if len(batch) > 1 and (status == 413 or opaque or (status == 400 and is_refusal(answer))):
            self._limit = (len(batch) + 1) // 2
            return batch, answer.retry_after if opaque else None
        if may_retry(answer):
            return batch, answer.retry_after
        if not 200 <= status < 300:
            self._lost(refusal(answer), [item.event_id for item in batch])
            return [], None
        again = self._read_results(batch, event_answers(answer))
        if again:
            return again, answer.retry_after
        self._limit = BATCH_EVENTS
        return [], None

    def _read_results(self, batch: list[Item], results: dict[str, dict[str, object]]) -> list[Item]:
        again = []
        for item in batch:
            result = results.get(item.event_id, {})
            if result.get("status") == "accepted":
                self.accepted += 1
            elif result.get("status") == "rejected":
                self._lost(rejection(result), [item.event_id], known=True)
            else:
                again.append(item)
        return again


def refusal(answer: Answer) -> Problem:
    """Return why a whole request was refused."""
    status = answer.status
    return problem_from(answer.body.get("error"), f"http_{status}", f"The collector answered {status}.")


def rejection(result: dict[str, object]) -> Problem:
    """Return why one event was rejected."""
    return problem_from(result.get("error"), "rejected", "The collector rejected the event.")


def send_now(transport: Transport, reports: Reports, item: Item, seconds: float) -> tuple[str, Problem | None, int]:
    """Send one event and wait for what becomes of it, retrying for up to `seconds`.

    Returns its status (accepted, rejected, retry, dropped), why it is not accepted, and the number of retries.
    """
    deadline = time.monotonic() + seconds
    attempt = 0
    while True:
        answer = post(transport, reports, [item], deadline - time.monotonic())
        status, problem = _read_one(item, answer)
        pause = backoff(attempt, answer.retry_after)
        if status != "retry" or time.monotonic() + pause >= deadline:
            return status, problem, attempt
        attempt += 1
        time.sleep(pause)


def _read_one(item: Item, answer: Answer) -> tuple[str, Problem | None]:
    if may_retry(answer):
        return "retry", NO_CONNECTION if answer.status == 0 else refusal(answer)
    if not 200 <= answer.status < 300:
        return "dropped", refusal(answer)
    result = event_answers(answer).get(item.event_id, {})
    if result.get("status") == "accepted":
        return "accepted", None
    if result.get("status") == "rejected":
        return "rejected", rejection(result)
    return "retry", problem_from(result.get("error"), "not_confirmed", "The collector did not confirm the event.")
