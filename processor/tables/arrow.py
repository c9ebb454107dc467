"""In: rows as the steps make them. Out: the same as Arrow tables, whose columns follow from the rows' fields."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from processor import rows

_UUID = pa.uuid()
_KEY = pa.binary(16)
_KINDS: dict[Any, Any] = {
    str: pa.string(), bool: pa.bool_(), int: pa.int32(), bytes: pa.binary(), rows.Utf8: pa.string(),
    rows.Uuid: _UUID, rows.Time: pa.timestamp("us"), rows.Long: pa.int64(), rows.Texts: pa.list_(pa.string()),
}  # fmt: skip


def _kind(hint: Any) -> Any:
    """Return the Arrow type of a field; whether it may be absent makes no difference."""
    return _KINDS[get_args(hint)[0] if get_origin(hint) in (Union, UnionType) else hint]


COLUMNS: dict[str, dict[str, Any]] = {
    table: {name: _kind(hint) for name, hint in get_type_hints(row, include_extras=True).items()}
    for table, row in rows.ROWS.items()
}

# The column by which rows of a table are replaced.
REPLACED_BY = {table: "interaction_key" for table in COLUMNS} | {
    "events": "event_key", "facts": "event_key", "task_items": "event_key", "over_limit": "digest",
}  # fmt: skip


def arrow_table(table: str, found: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return a table's rows as Arrow."""
    columns = COLUMNS[table]
    arrays = [_array(values, kind) for values, kind in zip(zip(*found, strict=True), columns.values(), strict=True)]
    return pa.table(arrays, names=list(columns))


def uuid_array(keys: Sequence[bytes | None]) -> Any:
    """Return an Arrow array that DuckDB reads as UUID, from 16-byte values.

    Where none is absent they are joined first, which takes a quarter of the time.
    """
    try:
        joined = b"".join(keys)  # type: ignore[arg-type]
    except TypeError:
        joined = b""
    if len(joined) == _KEY.byte_width * len(keys):
        stored = pa.Array.from_buffers(_KEY, len(keys), [None, pa.py_buffer(joined)])
    else:
        stored = pa.array(keys, _KEY)
    return pa.ExtensionArray.from_storage(_UUID, stored)


def _array(values: Sequence[Any], kind: Any) -> Any:
    return uuid_array(values) if kind is _UUID else pa.array(values, kind)
