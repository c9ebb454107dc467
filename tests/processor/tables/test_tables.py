"""Rows become Arrow as they are: keys that are absent, and none of a wrong length."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from processor.tables.arrow import arrow_table

KEYS = [uuid.uuid4().bytes for _ in range(3)]


def forgotten(keys: list[bytes | None]) -> list[tuple[object, ...]]:
    return [("p", key, KEYS[0], "digest", True) for key in keys]


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS, [None], [KEYS[0], None, KEYS[1]]])
def test_keys_are_as_they_were(keys: list[bytes | None]) -> None:
    made = arrow_table("forgotten", forgotten(keys))
    assert made["event_key"].type == pa.uuid()
    assert [key and key.bytes for key in made["event_key"].to_pylist()] == keys
    assert made["event_key"].null_count == keys.count(None)
    made.validate(full=True)


@pytest.mark.parametrize("keys", [[b"short"], [KEYS[0] + b"x"], [KEYS[0], b""]])
def test_a_key_of_another_length_is_refused(keys: list[bytes | None]) -> None:
    with pytest.raises(pa.ArrowInvalid):
        arrow_table("forgotten", forgotten(keys))
