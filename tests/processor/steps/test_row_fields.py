"""The classes of rows name the columns that the tables have, in every list that follows from them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pytest

from processor import rows as row_classes
from processor.rows import OF_INTERACTIONS, ROWS, FactRow, ForgottenRow, RejectedRow
from processor.steps import decode
from processor.tables.arrow import COLUMNS, REPLACED_BY
from processor.tables.selecting import rows_from, selected
from processor.tables.store import Store
from tests.processor.privacy.test_forget import refused, story
from tests.processor.samples import records

STEPS = Path(__file__).parents[3] / "processor" / "steps"
# The database gives it.
NOTE = {"erasing": {"note"}}
KINDS = {
    "VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "BLOB": pa.binary(),
    "UUID": pa.uuid(), "TIMESTAMP": pa.timestamp("us"), "VARCHAR[]": pa.list_(pa.string()),
}  # fmt: skip


@pytest.mark.parametrize("table", ROWS)
def test_fields_are_the_columns_of_the_table_with_their_types(store: Store, table: str) -> None:
    with store.read() as cursor:
        columns = cursor.execute(
            "SELECT column_name, is_nullable, data_type FROM duckdb_columns() "
            "WHERE database_name = 'tables' AND table_name = ?",
            [table],
        ).fetchall()
    columns = [column for column in columns if column[0] not in NOTE.get(table, ())]
    hints = get_type_hints(ROWS[table], include_extras=True)
    assert {name: may for name, may, _ in columns} == {
        name: type(None) in get_args(hint) for name, hint in hints.items()
    }  # fmt: skip
    assert {name: KINDS[kind] for name, _, kind in columns} == COLUMNS[table]


def test_rows_are_replaced_by_a_column_they_have() -> None:
    for table in {*OF_INTERACTIONS, "facts"}:
        assert REPLACED_BY[table] in ROWS[table]._fields


def test_rows_read_from_the_tables_are_those_the_steps_made(
    put: Callable[..., None], store: Store, rows: Callable[..., list[Any]]
) -> None:
    put(*story()[:-1], refused(b"{}", at=1.0))
    told = [*records(story()[:-1]), refused(b"{}", at=1.0)]
    made = decode(told)
    with store.read() as cursor:
        facts = rows_from(FactRow, cursor.execute(f"SELECT {selected(FactRow, 'f')} FROM facts f").fetchall())
        query = f"SELECT {selected(RejectedRow, 'r')} FROM rejected r"
        rejected = rows_from(RejectedRow, cursor.execute(query).fetchall())
    assert facts == list(made.facts.values()) and len(facts) == 1
    assert [row._replace(offset=0) for row in rejected] == [row._replace(offset=0) for row in made.rejected]
    put(story()[-1])
    with store.read() as cursor:
        query = f"SELECT {selected(ForgottenRow, 'f')} FROM forgotten f"
        forgotten = rows_from(ForgottenRow, cursor.execute(query).fetchall())
    assert forgotten and {type(row.event_key) for row in forgotten} == {bytes}


def test_each_class_names_who_makes_its_rows() -> None:
    defined = {
        f"steps.{module.stem}.{node.name}"
        for module in STEPS.glob("*.py")
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    } | {f"steps.{module.stem}" for module in STEPS.glob("*.py")}  # fmt: skip
    for table, row in ROWS.items():
        named = [word.strip("`.;,") for word in (row.__doc__ or "").split() if word.startswith("`steps.")]
        assert named or table == "erasing", table
        assert set(named) <= defined
        module = (STEPS / f"{named[0].split('.')[1]}.py").read_text("utf-8") if named else row.__name__
        assert row.__name__ in module
    assert row_classes.ROWS is ROWS
