"""In: the class of a table's rows, or keys. Out: what a query selects to give such rows, and rows from its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import duckdb
import pyarrow as pa

from processor import rows
from processor.tables.arrow import uuid_array

RowT = TypeVar("RowT", bound=NamedTuple)


def selected(row: type[NamedTuple], table: str) -> str:
    """Return the select list for rows of this class, `table` being the table's name or alias in the query."""
    times = _fields_of(row, rows.Time)
    columns = [f'{table}."{name}"' for name in row._fields]
    return ", ".join(
        f"epoch_us({column})" if name in times else column for name, column in zip(row._fields, columns, strict=True)
    )


def rows_from(row: type[RowT], found: Iterable[Sequence[Any]]) -> list[RowT]:
    """Return what a query with `selected` found as the steps have it: UUIDs as 16 bytes."""
    keys = {row._fields.index(name) for name in _fields_of(row, rows.Uuid)}
    return [
        row._make(value.bytes if at in keys and value is not None else value for at, value in enumerate(values))
        for values in found
    ]


def among(cursor: duckdb.DuckDBPyConnection, keys: Sequence[bytes], query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query that reads these 16-byte keys as `touched`."""
    cursor.register("touched", pa.table({"key": uuid_array(keys)}))
    found = cursor.execute(query).fetchall()
    cursor.unregister("touched")
    return found


@lru_cache
def _fields_of(row: type[NamedTuple], kind: Any) -> frozenset[str]:
    hints = get_type_hints(row, include_extras=True)
    return frozenset(name for name, hint in hints.items() if hint == kind or kind in get_args(hint))
