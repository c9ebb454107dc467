"""A person forgotten on Kafka with an archive: what docs/concepts/privacy.md promises of every file, step by step.

Promised: the tables and the database's file forget at once. The archive forgets with the next `thumbwheel archive`. The
topics of events and runs forget once that run has moved their records on and cut them, and the brokers have dropped the
segments. Not promised: the topic of rejected events, which keeps its 30 days.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from contract.topics import EVENTS, REJECTED, RUNS
from eventlog.kafka_log.client import Cluster
from eventlog.opening import open_log
from processor.history.replay import replay, store_path
from processor.tables.store import Store
from tests.e2e.home import Home, Others, asked, holds, picked, said, until
from tests.kafka_broker import Broker, apache_kafka

pytestmark = [
    pytest.mark.slow, pytest.mark.kafka,
    pytest.mark.skipif(not apache_kafka(), reason="needs Apache Kafka in ../shared/kafka and Java 17"),
]  # fmt: skip
ANN = f"ann-{uuid.uuid4().hex[:8]}"
WORDS = "Zanzibar liegt im Indischen Ozean"
# Brokers look for what was cut every 5 minutes and remove files a minute later, unless told.
AT_ONCE = "log.retention.check.interval.ms=500\nlog.segment.delete.delay.ms=200\nlog.initial.task.delay.ms=500"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker.apache(tmp_path / "kafka", extra=AT_ONCE).start()
    try:
        yield made.wait()
    finally:
        made.kill()


@pytest.fixture
def home(tmp_path: Path, broker: Broker, free_port: Callable[[], int]) -> Iterator[Home]:
    extra = {
        "THUMBWHEEL_LOG": f"kafka://{broker.address}", "THUMBWHEEL_PARTITIONS": "2",
        "THUMBWHEEL_ARCHIVE": str(tmp_path / "archive"), "THUMBWHEEL_ARCHIVE_DAYS": "0",
    }  # fmt: skip
    open_log(extra["THUMBWHEEL_LOG"], 2).close()
    with_short_segments(broker)
    made = Home(tmp_path / "home", (free_port(), free_port()), extra)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def with_short_segments(broker: Broker) -> None:
    """Have the file that is written to change at every second, where the default is a week."""
    admin = Cluster(broker.address, {}).admin()
    for topic in (EVENTS, RUNS, REJECTED):
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"segment.ms": "1000"})])
    admin.close()


def archive(home: Home) -> dict[str, Any]:
    done = home.command("archive", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_archive(folder: Path) -> set[str]:
    """Return the Parquet files that hold something of hers; their pages are compressed."""
    found = set()
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        raw = b"".join(column for name in ("key", "value") for column in map(as_bytes, table[name].to_pylist()))
        if holds(raw, WORDS, ANN):
            found.add(path.name)
    return found


def as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def in_kafka(folder: Path) -> set[str]:
    """Return the topics whose files hold something of hers."""
    found = set()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):
            if holds(path.read_bytes(), WORDS, ANN):
                found.add(path.parent.name.rpartition("-")[0] or path.name)
    return found


def test_every_file_forgets_when_it_is_promised_to(home: Home, tmp_path: Path) -> None:
    kafka, kept = tmp_path / "kafka", tmp_path / "archive"
    early = [asked(ANN, "a-1", WORDS), picked(ANN, "a-1", edited_text=f"{WORDS}, mended.")]
    late = [said("thumb", ANN, "a-1", candidate_id="a", value="up", comment=WORDS)]
    with Others(home) as others:
        assert home.send(*early) == ["accepted"] * 2
        until(lambda: len(others.accepted) > 20 and home.visible(*early))
        assert archive(home)["moved"][EVENTS] > 20
        assert home.send(*late) == ["accepted"]
        # Refused, and so kept as it came, with the id in it.
        assert home.send(said("thumb", ANN, "a-1", candidate_id="a", value="sideways")) == ["rejected"]
        until(lambda: home.visible(*late) and bool(home.api().get("/api/v1/rejected")["items"]))
        assert in_archive(kept) and EVENTS in in_kafka(kafka) and home.grep(WORDS, ANN)

        done = home.command("forget", ANN, "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)["progress"]
        assert (told["events"], told["log"], told["file"], told["archive"]) == (3, "kept", "rewritten", True)
        assert home.grep(WORDS, ANN) == []
        assert in_archive(kept) and EVENTS in in_kafka(kafka), "until the next run"

        before = len(others.accepted)
        until(lambda: len(others.accepted) > before + 40)
        report = archive(home)
        assert report["rewritten"] > 0 and report["moved"][RUNS] > 0
        assert in_archive(kept) == set()
        until(lambda: in_kafka(kafka) == {REJECTED})
        assert home.grep(WORDS, ANN) == []
    until(lambda: home.visible(*others.accepted[-2:]))
    home.stop()
    with Store.open(store_path(home.settings)) as store, store.read() as cursor:
        stored = {row[0] for row in cursor.execute("SELECT event_id FROM events").fetchall()}
    assert stored == {event["event_id"] for event in others.accepted}
    assert replay(home.settings).differing == ()
    assert home.grep(WORDS, ANN) == [] and in_archive(kept) == set() and in_kafka(kafka) == {REJECTED}
