"""What Kafka's brokers send becomes the records that kafka-python would make of it, and damage is told."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c

from eventlog.kafka_log.records import PartitionRecords, records_of
from eventlog.log import Record

PLACE = TopicPartition("events", 3)
NONE, GZIP = 0, 1


def batch(values: list[tuple[bytes | None, bytes | None, int]], codec: int = NONE, first: int = 0) -> bytes:
    """Return a batch of (key, value, milliseconds) as a broker would send it, its first offset `first`."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=2**24,
    )  # fmt: skip
    for offset, (key, value, time_ms) in enumerate(values):
        assert builder.append(offset, time_ms, key, value, [("trace", b"1")] if offset % 3 == 0 else [])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, first)
    return bytes(raw)


def sealed(raw: bytearray) -> bytes:
    """Return the batch with the checksum of what it holds now."""
    struct.pack_into(">I", raw, DefaultRecordBatch.CRC_OFFSET, calc_crc32c(raw[DefaultRecordBatch.ATTRIBUTES_OFFSET :]))
    return bytes(raw)


def ours(raw: bytes, start: int = 0, take: int = 10**6) -> tuple[list[Record], Any]:
    found = PartitionRecords(start, PLACE, MemoryRecords(raw))
    return found.take(take), found


def theirs(raw: bytes, start: int = 0, take: int = 10**6) -> tuple[list[Record], Any]:
    found = Fetcher.PartitionRecords(start, PLACE, MemoryRecords(raw))
    records = [
        Record(one.topic, one.partition, one.offset, (one.key or b"").decode("utf-8", "replace"), one.value or b"",
               one.timestamp)
        for one in found.take(take)
    ]  # fmt: skip
    return records, found


def some(count: int, seed: int) -> list[tuple[bytes | None, bytes | None, int]]:
    rng = random.Random(seed)
    sizes = (0, 1, 63, 64, 127, 128, 8191, 8192, 70_000)
    return [
        (rng.choice([None, b"", b"default:i1", "客".encode() * 40, b"\xff\xfe"]),
         rng.choice([None, rng.randbytes(rng.choice(sizes))]), 1_700_000_000_000 + rng.randrange(-(2**40), 2**40))
        for _ in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_the_same_records_as_the_client_makes(codec: int) -> None:
    raw = batch(some(200, 1), codec, 2**33) + batch(some(1, 2), codec, 2**33 + 500) + batch(some(70, 3), codec, 2**40)
    mine, after = ours(raw)
    other, after_other = theirs(raw)
    assert mine == other
    assert len(mine) == 271
    assert all(type(record) is Record for record in mine)
    assert after.next_fetch_offset == after_other.next_fetch_offset == 2**40 + 70
    assert not after  # Drained, so that the next fetch goes on behind it.


@pytest.mark.parametrize("start", [0, 5, 99, 100, 140])
def test_reading_begins_within_a_batch(start: int) -> None:
    raw = batch(some(100, 4)) + batch(some(50, 5), first=100)
    for take in (1, 7, 1000):
        mine, after = ours(raw, start, take)
        other, after_other = theirs(raw, start, take)
        assert mine == other
        assert after.next_fetch_offset == after_other.next_fetch_offset
    assert after.bytes_read > 0  # What the client goes by to take the partitions in turns.


def test_the_brokers_time_counts_where_they_give_it() -> None:
    raw = bytearray(batch(some(20, 6)))
    struct.pack_into(">h", raw, DefaultRecordBatch.ATTRIBUTES_OFFSET, DefaultRecordBatch.TIMESTAMP_TYPE_MASK)
    struct.pack_into(">q", raw, DefaultRecordBatch.ATTRIBUTES_OFFSET + 14, 1_800_000_000_123)
    mine, _ = ours(sealed(raw))
    assert mine == theirs(sealed(raw))[0]
    assert {record.timestamp_ms for record in mine} == {1_800_000_000_123}


def test_a_marker_of_a_transaction_is_no_record() -> None:
    marker = bytearray(batch([(b"\0\0\0\1", b"\0\0\0\0\0\0", 5)], first=10))
    struct.pack_into(">h", marker, DefaultRecordBatch.ATTRIBUTES_OFFSET, DefaultRecordBatch.CONTROL_MASK)
    raw = batch(some(10, 7)) + sealed(marker) + batch(some(2, 8), first=11)
    assert [record.offset for record in ours(raw)[0]] == [*range(10), 11, 12]
    mine, after = ours(batch(some(10, 7)) + sealed(marker))
    assert len(mine) == 10
    assert after.next_fetch_offset == 11


def test_a_batch_that_lost_its_last_records_ends_where_it_ended() -> None:
    raw = bytearray(batch(some(4, 9)))
    struct.pack_into(">i", raw, DefaultRecordBatch.ATTRIBUTES_OFFSET + 2, 9)
    mine, after = ours(sealed(raw))
    assert [record.offset for record in mine] == [0, 1, 2, 3]
    assert after.next_fetch_offset == theirs(sealed(raw))[1].next_fetch_offset == 10


def test_a_damaged_batch_is_told_with_its_place() -> None:
    raw = bytearray(batch(some(3, 10), first=77))
    raw[-1] ^= 1
    with pytest.raises(CorruptRecordError, match="offset 77 is damaged"):
        ours(bytes(raw))


def test_a_batch_without_its_header_is_told() -> None:
    with pytest.raises(CorruptRecordError, match="cut short"):
        ours(struct.pack(">qi", 0, 30) + bytes(30))


def test_what_came_before_the_damage_is_kept() -> None:
    raw = bytearray(batch(some(3, 11)) + batch(some(3, 12), first=3))
    raw[-1] ^= 1
    mine, after = ours(bytes(raw))
    assert [record.offset for record in mine] == [0, 1, 2]
    assert after.next_fetch_offset == 3
    with pytest.raises(CorruptRecordError):
        after.take(10)


def test_any_byte_that_is_another_gives_an_error_or_records_of_the_same_kind() -> None:
    rng = random.Random(13)
    whole = batch([(b"key", b"v" * 70, 9), (None, b"", 10), (b"k", b"x" * 9000, 11)])
    kept = refused = 0
    for _ in range(3000):
        raw = bytearray(whole)
        for _ in range(rng.choice([1, 2, 20])):
            raw[rng.randrange(DefaultRecordBatch.HEADER_STRUCT.size, len(raw))] = rng.randrange(256)
        try:
            found = records_of(DefaultRecordBatch(sealed(raw)), "events", 3)
        except CorruptRecordError:
            refused += 1
        else:
            kept += 1
            assert len(found) == 3
            assert all(isinstance(record.value, bytes) and isinstance(record.key, str) for record in found)
    assert kept and refused


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_records_that_end_early_are_told(cut: int) -> None:
    raw = bytearray(batch([(b"key", b"v" * 300, 9)])[:-cut])
    with pytest.raises(CorruptRecordError, match="malformed records after offset 0"):
        records_of(DefaultRecordBatch(bytes(raw)), "events", 3)


def test_bytes_too_many_are_told() -> None:
    raw = batch([(b"key", b"value", 9)]) + b"\0\0"
    with pytest.raises(CorruptRecordError, match="2 bytes too many after offset 0"):
        records_of(DefaultRecordBatch(raw), "events", 3)


def test_the_format_of_old_brokers_is_named() -> None:
    builder = MemoryRecordsBuilder(magic=1, compression_type=NONE, batch_size=2**16)
    builder.append(timestamp=1, key=b"k", value=b"v", headers=[])
    builder.close()
    with pytest.raises(CorruptRecordError, match=r"older than Kafka 0\.11"):
        ours(bytes(builder.buffer()))
