"""The promises of a log, kept by the embedded one and the one on Kafka alike."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.errors import LogUnavailable, SettingsError, ThumbwheelError
from contract.topics import EVENTS, REJECTED, RUNS, TOPICS
from eventlog.log import Entry, Log, Position, Record
from eventlog.opening import open_log

REPOSITORY = Path(__file__).resolve().parents[2]


def entries(*values: str, key: str = "i-1", topic: str = EVENTS) -> list[Entry]:
    return [Entry(topic, key, value.encode()) for value in values]


def starts(log: Log, topics: Iterable[str] = TOPICS) -> dict[tuple[str, int], int]:
    return {
        (topic, partition): log.start_offset(topic, partition)
        for topic in topics
        for partition in range(log.partitions(topic))
    }


def ends(log: Log) -> dict[tuple[str, int], int]:
    return {place: log.end_offset(*place) for place in starts(log)}


def read(log: Log, count: int, positions: dict[tuple[str, int], int] | None = None) -> list[Record]:
    """Read until `count` records have come, or nothing has for five seconds."""
    reader = log.reader(starts(log) if positions is None else positions)
    records: list[Record] = []
    try:
        while len(records) < count:
            found = reader.poll(wait_s=5.0)
            if not found:
                break
            records += found
    finally:
        reader.close()
    return records


def appender(url: str, name: str, count: int, pause_s: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.eventlog.appender", url, name, str(count), str(pause_s)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_appended_records_come_back_in_order_at_the_positions_that_were_returned(log: Log) -> None:
    before = time.time_ns() // 1_000_000
    positions = log.append(entries("a", "b", "c"))
    assert [position.offset for position in positions if position] == [0, 1, 2]
    records = read(log, 3)
    assert [Position(*record[:3]) for record in records] == positions
    assert [record.value for record in records] == [b"a", b"b", b"c"]
    assert {record.key for record in records} == {"i-1"}
    assert all(before - 1000 < record.timestamp_ms < time.time() * 1000 + 1000 for record in records)


def test_a_key_always_goes_to_the_partition_both_logs_agree_on(log: Log) -> None:
    keys = [f"interaction-{number}" for number in range(40)]
    positions = log.append([Entry(EVENTS, key, b"x") for key in keys])
    assert [position.partition for position in positions if position] == [crc32(key.encode()) % 3 for key in keys]
    assert {position.partition for position in positions if position} == {0, 1, 2}


def test_facts_and_wishes_are_in_one_partition(log: Log) -> None:
    assert [log.partitions(topic) for topic in (EVENTS, REJECTED, RUNS)] == [3, 3, 1]


def test_one_append_may_write_to_several_topics(log: Log) -> None:
    positions = log.append([Entry(topic, "k", topic.encode()) for topic in TOPICS])
    assert [position.topic for position in positions if position] == list(TOPICS)
    assert {record.value.decode() for record in read(log, 3)} == set(TOPICS)


def test_an_unknown_topic_is_refused(log: Log) -> None:
    with pytest.raises(SettingsError, match="Unknown topic"):
        log.append(entries("a", topic="elsewhere"))


def test_appending_nothing_returns_nothing(log: Log) -> None:
    assert log.append([]) == []


def test_threads_that_append_at_once_each_keep_their_order(log: Log) -> None:
    answers: list[Position | None] = []

    def write(name: str) -> None:
        for number in range(0, 60, 3):
            answers.extend(log.append(entries(*(f"{name}:{number + step}" for step in range(3)), key=name)))

    threads = [threading.Thread(target=write, args=(f"thread-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in answers and len(set(answers)) == 8 * 60
    check_history(read(log, 8 * 60), writers=8, each=60)


def test_processes_that_write_at_once_lose_and_mix_up_nothing(log: Log, log_url: str) -> None:
    processes = [appender(log_url, f"process-{number}", 40) for number in range(4)]
    confirmed = [line for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
    assert len([line for line in confirmed if line != "ready"]) == 4 * 40
    records = read(log, 4 * 40)
    check_history([record._replace(value=record.value.replace(b"-", b":")) for record in records], 4, 40)


def check_history(records: list[Record], writers: int, each: int) -> None:
    """Offsets are contiguous in each partition, and each writer's records are there once, in order."""
    assert len(records) == writers * each
    by_place: dict[tuple[str, int], list[int]] = defaultdict(list)
    by_key: dict[str, list[int]] = defaultdict(list)
    for record in records:
        by_place[record.topic, record.partition].append(record.offset)
        by_key[record.key].append(int(record.value.split(b":")[-1]))
    assert all(offsets == list(range(len(offsets))) for offsets in by_place.values())
    assert all(numbers == list(range(each)) for numbers in by_key.values())


def test_a_waiting_reader_has_a_record_of_another_process_within_100_ms(log: Log, log_url: str) -> None:
    reader = log.reader(starts(log))
    process = appender(log_url, "other", 7, pause_s=0.4)
    seen: dict[str, float] = {}
    deadline = time.monotonic() + 60
    while len(seen) < 7 and time.monotonic() < deadline:
        for record in reader.poll(wait_s=10.0):
            seen.setdefault(record.value.decode(), time.time())
    lines = process.communicate(timeout=60)[0].splitlines()[1:]
    reader.close()
    delays = sorted(seen[value] - float(confirmed) for _, confirmed, value in (line.split() for line in lines))
    # The middle one: a shared machine may hold up any single process for longer.
    assert len(delays) == 7 and delays[3] < 0.1, delays


WAIT = """
import sys, time
from eventlog.opening import open_log
from contract.topics import EVENTS
log = open_log(sys.argv[1])
reader = log.reader({(EVENTS, partition): 0 for partition in range(3)})
reader.poll(wait_s=1.0)
used, began = time.process_time(), time.monotonic()
records = reader.poll(wait_s=3.0)
print(len(records), time.process_time() - used, time.monotonic() - began)
reader.close()
log.close()
"""


def test_a_reader_that_waits_takes_no_processor_time(log: Log, log_url: str) -> None:
    # In a process of its own, so that nothing else of this one is measured.
    command = [sys.executable, "-c", WAIT, log_url]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    records, used_s, waited_s = map(float, done.stdout.split())
    assert records == 0 and used_s < 0.15 and 2.9 < waited_s < 5.0, done.stdout


def test_wake_ends_a_poll_that_waits_in_another_thread(log: Log) -> None:
    reader = log.reader(starts(log))
    threading.Timer(0.3, reader.wake).start()
    began = time.monotonic()
    assert reader.poll(wait_s=20.0) == []
    assert time.monotonic() - began < 5.0
    reader.close()


def test_a_wake_between_two_polls_ends_the_next_one(log: Log) -> None:
    reader = log.reader(starts(log))
    reader.wake()
    began = time.monotonic()
    assert reader.poll(wait_s=20.0) == []
    assert time.monotonic() - began < 5.0
    assert reader.poll(wait_s=0.2) == []
    reader.close()


def test_a_reader_starts_at_the_offset_it_is_given_and_returns_at_most_what_was_asked(log: Log) -> None:
    log.append(entries(*map(str, range(10))))
    place = (EVENTS, crc32(b"i-1") % 3)
    reader = log.reader({place: 4})
    assert [record.offset for record in reader.poll(max_records=2, wait_s=10.0)] == [4, 5]
    rest = list(itertools.chain.from_iterable(reader.poll(max_records=3, wait_s=5.0) for _ in range(2)))
    assert [record.offset for record in rest] == [6, 7, 8, 9][: len(rest)] and rest
    reader.close()


def test_a_reader_reads_only_the_partitions_it_was_given(log: Log) -> None:
    positions = log.append([Entry(EVENTS, f"k{number}", b"x") for number in range(30)])
    wanted = [position for position in positions if position and position.partition == 1]
    records = read(log, len(wanted), {(EVENTS, 1): 0})
    assert [Position(*record[:3]) for record in records] == wanted


def test_start_and_end_offsets_follow_the_records(log: Log) -> None:
    assert set(starts(log).values()) == set(ends(log).values()) == {0}
    log.append(entries("a", "b"))
    assert sorted(ends(log).values()) == [0, 0, 0, 0, 0, 0, 2]
    assert log.end_offsets(list(ends(log))) == ends(log)
    assert log.start_offsets(list(starts(log))) == starts(log)
    assert log.end_offsets([]) == log.start_offsets([]) == {}
    assert set(starts(log).values()) == {0}


def test_a_reopened_log_goes_on_where_it_was(log: Log, log_url: str) -> None:
    log.append(entries("a"))
    log.close()
    again = open_log(log_url)
    try:
        assert again.partitions(EVENTS) == 3
        [position] = again.append(entries("b"))
        assert position is not None and position.offset == 1
        assert [record.value for record in read(again, 2)] == [b"a", b"b"]
    finally:
        again.close()


def test_another_number_of_partitions_than_the_log_has_is_refused(log: Log, log_url: str) -> None:
    with pytest.raises(SettingsError, match="3 partitions, 5 were asked for"):
        open_log(log_url, 5)


def test_an_offset_the_log_does_not_hold_is_refused_not_skipped(log: Log) -> None:
    log.append(entries("a"))
    with pytest.raises(LogUnavailable, match="does not hold the next offset") as caught:
        log.reader({(EVENTS, crc32(b"i-1") % 3): 7})
    assert "replay" in caught.value.hint


def test_a_closed_log_refuses_appends_and_has_answered_those_before(log: Log) -> None:
    answers: list[Position | Exception | None] = []

    def write() -> None:
        try:
            while True:
                answers.extend(log.append(entries("a")))
        except LogUnavailable as error:
            answers.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30.0
    while len(answers) <= 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    log.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(isinstance(answer, LogUnavailable) for answer in answers) == 4
    assert len({answer for answer in answers if isinstance(answer, Position)}) > 4


def test_a_healthy_log_passes_its_check_and_names_its_promise(log: Log) -> None:
    log.check()
    assert log.promise in ("fsync", "memory of one broker")


def test_a_log_opened_before_a_fork_is_refused_in_the_child(log: Log) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            log.append(entries("a"), timeout_s=1.0)
        except ThumbwheelError as error:
            code = 0 if "fork" in error.message else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert None not in log.append(entries("still works"))


written = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.binary()),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(written, min_size=1, max_size=4))
def test_whatever_is_appended_is_read_back(log: Log, batches: list[list[tuple[str, str, bytes]]]) -> None:
    before = ends(log)
    expected: dict[tuple[str, int], list[tuple[int, str, bytes]]] = defaultdict(list)
    for batch in batches:
        positions = log.append([Entry(*row) for row in batch])
        for position, (_, key, value) in zip(positions, batch, strict=True):
            assert position is not None
            expected[position.topic, position.partition].append((position.offset, key, value))
    found: dict[tuple[str, int], list[tuple[int, str, bytes]]] = defaultdict(list)
    for record in read(log, sum(map(len, batches)), before):
        found[record[:2]].append((record.offset, record.key, record.value))
    assert found == expected
    assert all([row[0] for row in rows] == list(range(before[place], before[place] + len(rows)))
               for place, rows in expected.items())  # fmt: skip
