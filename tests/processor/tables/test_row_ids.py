"""Rows are looked up by row ids found before only where a checkpoint in between leaves these as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from processor.parts.contents import WITH_STABLE_ROW_IDS
from processor.rows import OF_INTERACTIONS
from processor.tables.store import Store

ROWS = 100_000


def fill(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Add rows that differ in every column that has to."""
    columns = cursor.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table])
    values = {
        "UUID": "md5(i::TEXT)::UUID", "TEXT": "i::TEXT", "VARCHAR": "i::TEXT", "TIMESTAMP": "make_timestamp(i)",
        "BOOLEAN": "true", "INTEGER": "0", "BIGINT": "i", "VARCHAR[]": "[]", "BLOB": "''::BLOB",
    }  # fmt: skip
    chosen = ", ".join(f'{values[kind]} AS "{name}"' for name, kind in columns.fetchall())
    cursor.execute(f"INSERT INTO {table} BY NAME SELECT {chosen} FROM range({ROWS}) t(i)")


def row_ids(store: Store, table: str) -> dict[str, int]:
    key = "event_key" if table == "facts" else "interaction_key"
    with store.read() as cursor:
        return dict(cursor.execute(f"SELECT {key}, rowid FROM {table}").fetchall())


def kept_row_ids(path: Path, table: str) -> bool:
    """Say whether the rows that stay keep their row ids when a checkpoint takes away the space of deleted ones."""
    with Store.open(path) as store, store.transaction() as cursor:
        fill(cursor, table)
    with Store.open(path) as store:
        with store.transaction() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE rowid < {ROWS // 2} OR rowid % 3 = 0")
        before = row_ids(store, table)
        store._connection.execute("CHECKPOINT")
        assert len(before) == ROWS // 3
        return row_ids(store, table) == before


@pytest.mark.parametrize("table", [*WITH_STABLE_ROW_IDS, "facts"])
def test_row_ids_stay_in_tables_that_are_read_by_them(tmp_path: Path, table: str) -> None:
    assert kept_row_ids(tmp_path / "tables.duckdb", table)


def test_row_ids_change_in_others(tmp_path: Path) -> None:
    """Why they are not read so; and what is compared above, can differ."""
    other = next(table for table in OF_INTERACTIONS if table not in WITH_STABLE_ROW_IDS)
    assert not kept_row_ids(tmp_path / "tables.duckdb", other)


def test_the_first_rows_in_an_order_are_not_looked_up_by_row_ids(tmp_path: Path) -> None:
    with Store.open(tmp_path / "tables.duckdb") as store:
        with store.transaction() as cursor:
            fill(cursor, "pairs")
        with store.read() as cursor:
            plan = cursor.execute("EXPLAIN SELECT * FROM pairs WHERE project > '5' ORDER BY chosen LIMIT 20").fetchall()
    assert "pairs" in plan[0][1] and "rowid" not in plan[0][1]
