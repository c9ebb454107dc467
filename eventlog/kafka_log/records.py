"""Reads what Kafka's brokers send as records of the log, with nothing made of a record on the way.

kafka-python 3.0.12 makes two objects of each record and asks them some twenty times; that takes three quarters of the
time. It also copies the bytes of a record ten times; three of those are left out here and in `kafka_connect`.
The format: https://kafka.apache.org/43/implementation/message-format/ .
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords

from eventlog.log import Record

_new_tuple = tuple.__new__
# The format of batches since Kafka 0.11.
_MAGIC = 2


def yield_records(consumer: KafkaConsumer) -> None:
    """Make this consumer's `poll` return records of ours; its deserializers are not asked. Raises nothing new."""
    consumer._fetcher.PartitionRecords = PartitionRecords


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition. As its parent for a consumer that reads uncommitted records."""

    def _unpack_records(self, tp: TopicPartition, records: MemoryRecords, *deserializers: Any) -> Iterator[Record]:
        while (sent := records._next_slice) is not None:
            if len(sent) < DefaultRecordBatch.HEADER_STRUCT.size or sent[records.MAGIC_OFFSET] < _MAGIC:
                raise CorruptRecordError(f"A batch of {tp} is cut short, or older than Kafka 0.11.")
            batch = _Batch(sent)
            records._cache_next()
            if not batch.validate_crc():
                raise CorruptRecordError(f"The batch of {tp} at offset {batch.base_offset} is damaged.")
            self.bytes_read += batch.size_in_bytes
            self.leader_epoch = batch.leader_epoch
            found = [] if batch.is_control_batch else records_of(batch, tp.topic, tp.partition)
            for record in found:
                self.next_fetch_offset = record.offset + 1
                yield record
            # A batch that was compacted ends later than its last record.
            self.next_fetch_offset = batch.next_offset
        self.drain()


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    """As its parent, with its bytes copied once, as what records are cut from."""

    def __init__(self, sent: memoryview) -> None:
        self._buffer = bytes(sent)
        self._header_data = self.HEADER_STRUCT.unpack_from(self._buffer)
        self._pos = self.HEADER_STRUCT.size
        self._num_records = self._header_data[12]
        self._next_record_index = 0
        self._decompressed = False


def records_of(batch: DefaultRecordBatch, topic: str, partition: int) -> list[Record]:
    """Return the records of one batch, headers left out; raises CorruptRecordError for one that is malformed."""
    batch._maybe_uncompress()
    raw, at = bytes(batch._buffer), batch._pos
    first_offset, first_ms = batch.base_offset, batch.first_timestamp
    appended_ms = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    records = []
    try:
        for _ in range(batch.records_count):
            size, at = _number(raw, at)
            end = at + size
            # After a byte of attributes.
            later_ms, at = _number(raw, at + 1)
            place, at = _number(raw, at)
            size, at = _number(raw, at)
            key_end = at + max(size, 0)
            key = raw[at:key_end].decode("utf-8", "replace")
            size, at = _number(raw, key_end)
            value_end = at + max(size, 0)
            if not value_end < end <= len(raw):
                raise IndexError(value_end)
            time_ms = first_ms + later_ms if appended_ms is None else appended_ms
            fields = (topic, partition, first_offset + place, key, raw[at:value_end], time_ms)
            records.append(_new_tuple(Record, fields))
            at = end
    except IndexError as error:
        raise CorruptRecordError(f"{topic} {partition}: malformed records after offset {first_offset}.") from error
    if at != len(raw):
        raise CorruptRecordError(f"{topic} {partition}: {len(raw) - at} bytes too many after offset {first_offset}.")
    return records


def _number(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at this place, and the place after it."""
    value = raw[at]
    at += 1
    if value > 0x7F:
        value &= 0x7F
        shift = 7
        while (byte := raw[at]) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
            at += 1
        value |= byte << shift
        at += 1
    return value >> 1 ^ -(value & 1), at
