"""What the collector counts: events by outcome, rejected events and refused requests by reason, seconds by route.

One process counts in memory. With several workers `PROMETHEUS_MULTIPROC_DIR` names a folder that each counts into and
any of them sums over; `collector.__main__` sets it before this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

_EVENTS = Counter("thumbwheel_collector_events_total", "Events answered, by outcome", ["outcome"])
_REJECTED = Counter("thumbwheel_collector_rejected_total", "Rejected events, by reason", ["code"])
_UNKEPT = Counter("thumbwheel_collector_rejected_unkept_total", "Rejected events that the log did not take")
_HELD_BACK = Counter("thumbwheel_collector_held_back_total", "Events to be sent again as their actor sends too much")
_GIVEN_UP = Counter("thumbwheel_collector_given_up_total", "Events that SDKs report they could not send")
_REFUSED = Counter("thumbwheel_collector_refused_total", "Refused requests, by reason", ["code", "route"])
_SECONDS = Histogram(
    "thumbwheel_collector_request_seconds", "Seconds to answer a request, body included, by route and outcome",
    ["route", "outcome", "status"], buckets=_BUCKETS,
)  # fmt: skip
_APPEND = Histogram("thumbwheel_collector_append_seconds", "Seconds until the log was durable", buckets=_BUCKETS)
_SPOOLED = Gauge(
    "thumbwheel_collector_spooled_records", "Records on this disk that wait for the brokers", multiprocess_mode="max"
)  # fmt: skip
_IN_FLIGHT = Gauge("thumbwheel_collector_in_flight", "Requests in flight", multiprocess_mode="livesum")


@cache
def _events(outcome: str) -> Counter:
    return _EVENTS.labels(outcome)


@cache
def _seconds(route: str, status: int) -> Histogram:
    if status >= 400:
        outcome = "failed" if status >= 500 else "refused"
    else:
        outcome = {202: "accepted", 207: "partial"}.get(status, "answered")
    return _SECONDS.labels(route, outcome, str(status))


def count_events(outcomes: Mapping[str, int]) -> None:
    """Count events by how they were answered: accepted, rejected or retry."""
    for outcome, events in outcomes.items():
        _events(outcome).inc(events)


def count_rejected(code: str, kept: bool) -> None:
    """Count a rejected event by reason; `kept` says whether the log has it."""
    _REJECTED.labels(code).inc()
    if not kept:
        _UNKEPT.inc()


def count_held_back(events: int) -> None:
    """Count events that were answered `retry` because their actor sends too much."""
    _HELD_BACK.inc(events)


def count_given_up(events: int) -> None:
    """Count events that an SDK reports as lost before they were sent."""
    _GIVEN_UP.inc(events)


def count_refused(code: str, route: str) -> None:
    """Count a refused request by reason and route."""
    _REFUSED.labels(code, route).inc()


def observe_request(route: str, status: int, seconds: float) -> None:
    """Count a request and how long it took."""
    _seconds(route, status).observe(seconds)


def observe_append(seconds: float) -> None:
    """Count one durable write and how long it took."""
    _APPEND.observe(seconds)


def add_in_flight(change: int) -> None:
    """Count requests in flight up or down."""
    _IN_FLIGHT.inc(change)


def show_spooled(records: int) -> None:
    """Show how many records wait on this disk for the brokers."""
    _SPOOLED.set(records)


def forget_worker() -> None:
    """Take this worker's requests in flight out of the sum; at its end."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def rendered() -> bytes:
    """Return the metrics in Prometheus's text form."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
