"""A copied log makes the same tables, whatever kind of log and however many partitions lie between."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import ThumbwheelError
from contract.topics import EVENTS
from eventlog.copying import copy_log
from eventlog.kafka_log.log import KafkaLog
from eventlog.log import Entry, Log
from eventlog.opening import open_log
from processor.history.replay import rebuild
from processor.tables.digest import table_digests
from processor.tables.store import Store
from tests.kafka_broker import Broker
from tests.processor.samples import append, event, interaction, pick

# Rejected records keep their position in the log, which a copy over several partitions may change.
UNSETTLED = {"rejected", "offsets"}


def fill(log: Log) -> None:
    for turn in range(40):
        append(
            log, interaction(f"t{turn}", {"a": f"yes {turn}", "b": "no"}, prompt=f"question {turn}"),
            pick(f"t{turn}", "ab", "a"),
            event("thumb", f"u{turn}", interaction_id=f"t{turn}", candidate_id="b", value="down"),
        )  # fmt: skip
    append(log, event("run.started", "r", run_id="run-1", method="dpo", via="trainer"))
    log.append([Entry(EVENTS, "k", b"unreadable")])


def digests(log: Log, path: Path) -> dict[str, str]:
    with Store.open(rebuild(log, path, {})) as store:
        return {table: digest for table, digest in table_digests(store).items() if table not in UNSETTLED}


def there_and_back(first: Log, between: Log, tmp_path: Path) -> None:
    fill(first)
    there = copy_log(first, between)
    assert there.copied == {"thumbwheel.events.v1": 121, "thumbwheel.rejected.v1": 0, "thumbwheel.runs.v1": 1}
    back = open_log(f"sqlite:///{tmp_path / 'back.db'}")
    assert copy_log(between, back).total == 122
    assert digests(back, tmp_path / "b.duckdb") == digests(first, tmp_path / "a.duckdb")
    with pytest.raises(ThumbwheelError, match="holds records"):
        copy_log(first, back)
    before = digests(back, tmp_path / "b.duckdb")
    assert copy_log(first, back, again=True).total == 122
    assert digests(back, tmp_path / "b.duckdb") == before
    back.close()


def test_over_three_partitions_and_back(tmp_path: Path) -> None:
    first = open_log(f"sqlite:///{tmp_path / 'first.db'}")
    between = open_log(f"sqlite:///{tmp_path / 'between.db'}", 3)
    there_and_back(first, between, tmp_path)
    assert sum(between.end_offset(EVENTS, partition) > 0 for partition in range(3)) == 3
    first.close()
    between.close()


@pytest.mark.kafka
def test_over_kafka_and_back(tmp_path: Path, apache: Broker) -> None:
    apache.empty()
    first = open_log(f"sqlite:///{tmp_path / 'first.db'}")
    between = KafkaLog(apache.address, partitions=3)
    there_and_back(first, between, tmp_path)
    first.close()
    between.close()
