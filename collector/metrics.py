"""What the collector counts. With several workers each counts its own; the scraper sees one of them at a time
unless PROMETHEUS_MULTIPROC_DIR is set, which `prometheus_client` then sums over."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

EVENTS = Counter("thumbwheel_collector_events_total", "Events by outcome", ["outcome"])
REJECTED = Counter("thumbwheel_collector_rejected_total", "Rejected events by reason", ["code"])
REFUSED = Counter("thumbwheel_collector_refused_total", "Refused requests by reason", ["code"])
SECONDS = Histogram(
    "thumbwheel_collector_seconds", "Seconds to answer POST /v1/events, by status", ["status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)  # fmt: skip
IN_FLIGHT = Gauge("thumbwheel_collector_in_flight", "Requests in flight", multiprocess_mode="livesum")


def rendered() -> bytes:
    """Return the metrics in Prometheus's text form."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
