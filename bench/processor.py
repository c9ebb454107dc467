"""Log -> DuckDB rows/s through the whole processor, against a bare Arrow insert of the same rows.

    python -m bench.processor [--events 600000] [--log embedded|kafka|both] [--ids v7|random] [--rounds 3] [--profile]

In: a log filled with interactions of four replies, picks, thumbs and edits, one event a record: the embedded one, and
twelve partitions on Apache Kafka (of ../shared/kafka; where that or Java 17 is absent this says so and goes without).
Both sides write the same rows, those derived from the events included, into the same tables with the same keys in
commits of the same size; the bare side has its Arrow tables ready in memory, reads nothing and replaces no row.
Rows are events, so many that the start and the last commit, which nothing overlaps, count little. The rounds of both
sides take turns, medians count; one round before them does not: the brokers' Java is compiled as it runs. Printed as a
ratio for each log; target 0.5.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contract.events import Event, decode_event, stamp
from contract.ids import uuid7
from contract.topics import EVENTS, TOPICS
from eventlog.log import Log, append_all
from eventlog.opening import open_log
from processor.ingest.batch import Batch
from processor.ingest.runner import BATCH_RECORDS, Runner, store_batch, tune_interpreter
from processor.steps import decode
from processor.tables.arrow import COLUMNS
from processor.tables.store import Store, insert
from tests.kafka_broker import Broker, apache_kafka

# As many as a log on Kafka has unless told otherwise.
PARTITIONS = 12
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("parcel", "return", "form", "label", "order", "refund", "please", "send", "within", "days", "paid", "card")


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def feedback(rng: random.Random, interaction_id: str, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a person does with four replies: mostly a pick, sometimes more."""
    chosen = rng.choice(ids)
    named = {"interaction_id": interaction_id}
    yield "pick", named | {"shown": ids, "chosen": chosen, "outcome": "chosen", "sent": True, "dwell_ms": 4000}
    if rng.random() < 0.3:
        yield "thumb", named | {"candidate_id": chosen, "value": rng.choice(["up", "down"])}
    if rng.random() < 0.1:
        yield "edit", named | {"candidate_id": chosen, "text": text(rng, 30)}


def events(count: int, ids: str) -> Iterator[Event]:
    """Yield stamped events; feedback comes up to 200 interactions after what it speaks of."""
    rng = random.Random(0)
    make_id = (lambda: str(uuid7())) if ids == "v7" else (lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)))
    waiting: list[list[tuple[str, dict[str, Any]]]] = []
    made = 0

    def stamped(kind: str, body: dict[str, Any], via: str) -> Event:
        nonlocal made
        made += 1
        at = START + timedelta(milliseconds=made)
        given = {"type": kind, "event_id": make_id(), "occurred_at": at, "actor": {"id": f"p{made % 50}"}, **body}
        return stamp(decode_event(given), project="default", key_id="k1", via=via, received_at=at, verified=True)

    while made < count:
        interaction_id = make_id()
        shown = [make_id() for _ in range(4)]
        replies = [
            {"candidate_id": c, "content": text(rng, 40), "model": "base", "finish_reason": "stop"} for c in shown
        ]
        messages = [{"role": "user", "content": text(rng, 20)}]
        body = {"interaction_id": interaction_id, "messages": messages, "candidates": replies, "surface": "workbench"}
        yield stamped("interaction", body, "gateway")
        waiting.append(list(feedback(rng, interaction_id, shown)))
        if len(waiting) > 200:
            for kind, fields in waiting.pop(rng.randrange(len(waiting))):
                yield stamped(kind, fields, "public")


def fill(log: Log, count: int, ids: str) -> int:
    """Append the events and return how many there are."""
    chunk: list[Event] = []
    total = 0
    for event in events(count, ids):
        chunk.append(event)
        if len(chunk) == 2000:
            append_all(log, chunk)
            total += len(chunk)
            chunk = []
    append_all(log, chunk)
    return total + len(chunk)


def through_processor(log: Log, folder: Path) -> float:
    """Return the seconds the processor needs for the whole log."""
    (folder / "live.duckdb").unlink(missing_ok=True)
    with Store.open(folder / "live.duckdb") as store:
        ended: list[BaseException] = []
        runner = Runner(store, log, failed=ended.append)
        started = time.perf_counter()
        runner.start()
        total = sum(log.end_offsets([(EVENTS, p) for p in range(log.partitions(EVENTS))]).values())
        while (done := sum(offset for (topic, _), offset in store.offsets().items() if topic == EVENTS)) < total:
            if ended:
                raise ended[0]
            # Seldom while much is left: being asked takes the processor's time.
            left_s = (time.perf_counter() - started) * (total - done) / max(done, 1)
            time.sleep(min(max(left_s / 2, 0.02), 0.5))
        seconds = time.perf_counter() - started
        runner.stop()
    return seconds


def batches(log: Log) -> Iterator[Batch]:
    """Yield the log's batches decoded, of the processor's commit size."""
    reader = log.reader({(EVENTS, p): 0 for p in range(log.partitions(EVENTS))})
    while found := reader.poll(BATCH_RECORDS, 0.1):
        yield Batch(decode(found))
    reader.close()


def prepared(folder: Path) -> list[dict[str, Any]]:
    """Return the finished tables as Arrow, cut into as many parts as the log has batches."""
    with Store.open(folder / "live.duckdb") as store, store.read() as cursor:
        cursor.execute("SET arrow_lossless_conversion = true")
        tables = {name: cursor.sql(f"SELECT * FROM {name}").to_arrow_table().combine_chunks() for name in COLUMNS}
    parts = -(-tables["events"].num_rows // BATCH_RECORDS)
    cut = {name: -(-rows.num_rows // parts) or 1 for name, rows in tables.items()}
    return [{name: rows.slice(part * cut[name], cut[name]) for name, rows in tables.items()} for part in range(parts)]


def bare(ready: Sequence[dict[str, Any]], folder: Path) -> float:
    """Return the seconds of the inserts alone, each part in one transaction."""
    (folder / "bare.duckdb").unlink(missing_ok=True)
    with Store.open(folder / "bare.duckdb") as store:
        started = time.perf_counter()
        for part in ready:
            with store.transaction() as cursor:
                for name, rows in part.items():
                    insert(cursor, name, rows)
        return time.perf_counter() - started


def profile(log: Log, folder: Path) -> None:
    """Print where a single thread spends its time."""
    profiler = cProfile.Profile()
    with Store.open(folder / "profile.duckdb") as store:
        store.claim("bench", {(topic, p): 0 for topic in TOPICS for p in range(log.partitions(topic))})
        profiler.enable()
        for batch in batches(log):
            store_batch(store, batch)
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


@contextmanager
def embedded(folder: Path) -> Iterator[Log]:
    """Open a log in the folder."""
    log = open_log(f"sqlite:///{folder / 'events.db'}", partitions=1)
    yield log
    log.close()


@contextmanager
def on_kafka(folder: Path) -> Iterator[Log]:
    """Start a broker in the folder and open a log on it."""
    broker = Broker.apache(folder / "kafka").start().wait()
    try:
        log = open_log(f"kafka://{broker.address}?allow_unsafe=true", partitions=PARTITIONS)
        yield log
        log.close()
    finally:
        broker.kill()


LOGS: dict[str, Callable[[Path], Any]] = {"embedded": embedded, "kafka": on_kafka}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one kind of log."""
    with tempfile.TemporaryDirectory() as folder, LOGS[name](Path(folder)) as log:
        total = fill(log, options.events, options.ids)
        rounds = []
        through_processor(log, Path(folder))
        for _ in range(options.rounds):
            mine = through_processor(log, Path(folder))
            rounds.append((mine, bare(prepared(Path(folder)), Path(folder))))
    processor_s = statistics.median(mine for mine, _ in rounds)
    bare_s = statistics.median(other for _, other in rounds)
    return {
        "log": name, "events": total, "ids": options.ids, "processor_rows_s": round(total / processor_s),
        "bare_rows_s": round(total / bare_s), "ratio": round(bare_s / processor_s, 3),
        "ratios": [round(other / mine, 3) for mine, other in rounds],
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--log", choices=[*LOGS, "both"], default="both")
    parser.add_argument("--ids", choices=["v7", "random"], default="v7")
    parser.add_argument("--rounds", type=int, default=3, help="each side runs this often, in turns; medians count")
    parser.add_argument("--profile", action="store_true", help="print where one thread spends its time instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tune_interpreter()
    for name in LOGS if options.log == "both" else [options.log]:
        if name == "kafka" and not apache_kafka():
            print("kafka: left out, it needs Apache Kafka in ../shared/kafka and Java 17.", file=sys.stderr)
        elif options.profile:
            with tempfile.TemporaryDirectory() as folder, LOGS[name](Path(folder)) as log:
                fill(log, options.events, options.ids)
                profile(log, Path(folder))
        else:
            figures = measured(name, options)
            print(
                json.dumps(figures) if options.json else "\n".join(f"{k}: {v}" for k, v in figures.items()), flush=True
            )


if __name__ == "__main__":
    main()
