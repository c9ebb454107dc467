"""What the processor tells Prometheus; served by the console at /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LAG = Gauge("thumbwheel_processor_lag_records", "Records of the log not yet in the tables", ["topic", "partition"])
BATCH = Histogram(
    "thumbwheel_processor_batch_records", "Records in one transaction",
    buckets=(1, 10, 100, 1000, 2500, 5000, 10_000, 20_000),
)  # fmt: skip
COMMIT = Histogram(
    "thumbwheel_processor_commit_seconds", "Seconds to write and commit one batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
ROWS = Counter("thumbwheel_processor_rows_total", "Rows written, by table", ["table"])
EMBEDDING_LAG = Gauge("thumbwheel_processor_embedding_lag_records", "Records the embedding stage has yet to see")
EMBEDDED = Counter("thumbwheel_processor_embedded_prompts_total", "Prompts embedded or skipped", ["outcome"])
FORGOTTEN = Counter("thumbwheel_processor_forgotten_records_total", "Records of forgotten actors that came after all")
OWNED = Gauge("thumbwheel_processor_partitions_owned", "Partitions of the events topic this processor owns")
REBALANCES = Counter("thumbwheel_processor_rebalances_total", "Times this processor was given other partitions")
PARTS = Counter("thumbwheel_processor_parts_total", "Parts published (base, changes) or taken in (taken)", ["kind"])
PART_BYTES = Counter("thumbwheel_processor_part_bytes_total", "Bytes of the parts published, by kind", ["kind"])
PUBLISH = Histogram(
    "thumbwheel_processor_publish_seconds", "Seconds to write one part into the folder",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)  # fmt: skip
