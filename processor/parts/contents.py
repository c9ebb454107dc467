"""A part's contents: one Parquet file a table in a zip, written from one store and taken into another."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from contract.errors import ThumbwheelError
from contract.topics import EVENTS, REJECTED
from processor.parts.folder import Part, Reached
from processor.rows import OF_INTERACTIONS
from processor.steps.batch import Decoded
from processor.tables.arrow import uuid_array
from processor.tables.store import Store, insert

# Those with a primary key.
WITH_STABLE_ROW_IDS = ("events", "interactions", "over_limit")
_CHANGED = """
CREATE TEMP TABLE part_keys AS SELECT DISTINCT interaction_key FROM unpublished
WHERE "partition" = $partition AND upto <= $upto
"""
# Of a person forgotten whose interaction is gone the partition is not known: every base has those.
_WHOLE = """
CREATE TEMP TABLE part_keys AS
SELECT interaction_key FROM interactions WHERE "partition" = $partition
UNION SELECT interaction_key FROM events WHERE "partition" = $partition
UNION SELECT interaction_key FROM forgotten WHERE interaction_key NOT IN (SELECT interaction_key FROM interactions)
"""
_ROWS = "SELECT * FROM {table} WHERE interaction_key IN (FROM part_keys)"
# Of changes, few rows among many: which rows, then all of their columns, as in `processor.ingest.known`.
_FEW_ROWS = """
SELECT * FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE interaction_key IN (FROM part_keys))
"""
_HELD = """
SELECT e.next_offset, r.next_offset FROM offsets e JOIN offsets r USING ("partition")
WHERE e.topic = ? AND r.topic = ? AND "partition" = ?
"""
_REJECTED = """
SELECT * FROM rejected WHERE "partition" = {partition:d}
    AND (topic = '{events}' AND "offset" >= {start.events:d} OR topic = '{rejected}' AND "offset" >= {start.rejected:d})
"""
_DROP_REJECTED = """
DELETE FROM rejected WHERE "partition" = $partition
    AND (topic = $events AND "offset" >= $events_from OR topic = $rejected AND "offset" >= $rejected_from)
"""
_ADD_REJECTED = """
INSERT INTO rejected BY NAME SELECT * FROM read_parquet($file)
WHERE topic = $events AND "offset" >= $events_from OR topic = $rejected AND "offset" >= $rejected_from
"""
# The keys of what is replaced: what the part speaks of, and with a base all that this store holds of the partition.
_REPLACED = """
CREATE TEMP TABLE part_keys AS SELECT interaction_key FROM read_parquet($file)
UNION SELECT interaction_key FROM interactions WHERE $base AND "partition" = $partition
UNION SELECT interaction_key FROM events WHERE $base AND "partition" = $partition
"""
_MOVE = """
INSERT INTO offsets VALUES ($topic, $partition, $reached, 0, $owner)
ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset, owner = excluded.owner
"""
_PUBLISHED = """
INSERT INTO published VALUES ($partition, $events, $rejected)
ON CONFLICT DO UPDATE SET events = excluded.events, rejected = excluded.rejected
"""


def held(cursor: duckdb.DuckDBPyConnection, partition: int) -> Reached | None:
    """Return up to where the store holds a partition; None when it never did."""
    row = cursor.execute(_HELD, [EVENTS, REJECTED, partition]).fetchone()
    return Reached(*row) if row else None


def published(cursor: duckdb.DuckDBPyConnection, partition: int) -> Reached | None:
    """Return up to where the folder holds a partition; None when it is to be published whole."""
    row = cursor.execute('SELECT events, rejected FROM published WHERE "partition" = ?', [partition]).fetchone()
    return Reached(*row) if row else None


def forgets(cursor: duckdb.DuckDBPyConnection) -> int:
    """Return how many `forget` facts the tables have carried out."""
    row = cursor.execute("SELECT count(*) FROM facts WHERE type = 'forget'").fetchone()
    return int(row[0]) if row else 0


def write_part(cursor: duckdb.DuckDBPyConnection, part: Part, file: Path) -> None:
    """Write a part from the state that the cursor sees; `file` lies in a folder of its own."""
    keys = {"partition": part.partition}
    cursor.execute(_WHOLE, keys) if part.base else cursor.execute(_CHANGED, keys | {"upto": part.stop.events})
    queries = {table: _ROWS.format(table=table) for table in OF_INTERACTIONS}
    if not part.base:
        queries |= {table: _FEW_ROWS.format(table=table) for table in WITH_STABLE_ROW_IDS}
    queries["keys"] = "FROM part_keys"
    queries["rejected"] = _REJECTED.format(
        partition=part.partition, start=part.start, events=EVENTS, rejected=REJECTED
    )  # fmt: skip
    with zipfile.ZipFile(file, "w") as archive:
        for table, query in queries.items():
            member = file.with_name(f"{table}.parquet")
            cursor.execute(f"COPY ({query}) TO '{_quoted(member)}' (FORMAT parquet, COMPRESSION zstd)")
            archive.write(member, member.name)
            member.unlink()
    cursor.execute("DROP TABLE part_keys")


def note_published(cursor: duckdb.DuckDBPyConnection, part: Part) -> None:
    """Note that the folder holds the partition up to there."""
    cursor.execute('DELETE FROM unpublished WHERE "partition" = ? AND upto <= ?', [part.partition, part.stop.events])
    cursor.execute(
        _PUBLISHED, {"partition": part.partition, "events": part.stop.events, "rejected": part.stop.rejected}
    )


def note_changes(cursor: duckdb.DuckDBPyConnection, decoded: Decoded, whole: bool) -> None:
    """Note which interactions other processors are to hear of; `whole` partitions, once somebody was forgotten."""
    upto = {partition: offset for (topic, partition), offset in decoded.positions.items() if topic == EVENTS}
    changed = [
        (copies[0].partition if copies else decoded.buried[key], key) for key, copies in decoded.arrived.items()
    ]  # fmt: skip
    if changed:
        partitions, keys = zip(*changed, strict=True)
        columns = {"partition": pa.array(partitions, pa.int32()), "interaction_key": uuid_array(keys)}
        insert(cursor, "unpublished", pa.table({**columns, "upto": pa.array([upto[p] for p in partitions])}))
    if whole:
        cursor.execute("DELETE FROM published")


def take_in(store: Store, part: Part, file: Path) -> bool:
    """Replace the rows a part speaks of, in one transaction; False when it no longer follows what is held.

    Raises ThumbwheelError for a file that was cut off or changed.
    """
    with _members(file) as members, store.marking, store.transaction() as cursor:
        before = held(cursor, part.partition)
        if not part.follows(before) or part.forgets < forgets(cursor):
            return False
        about = {"partition": part.partition, "base": part.base}
        cursor.execute(_REPLACED, about | {"file": str(members / "keys.parquet")})
        for table in OF_INTERACTIONS:
            cursor.execute(f"DELETE FROM {table} WHERE interaction_key IN (FROM part_keys)")
            cursor.execute(
                f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?)", [str(members / f"{table}.parquet")]
            )
        cursor.execute("DROP TABLE part_keys")
        _take_rejected(cursor, part, Reached(0, 0) if part.base or before is None else before, members)
        for topic, reached in ((EVENTS, part.stop.events), (REJECTED, part.stop.rejected)):
            cursor.execute(
                _MOVE, {"topic": topic, "partition": part.partition, "reached": reached, "owner": part.owner}
            )
        note_published(cursor, part)
    return True


def _take_rejected(cursor: duckdb.DuckDBPyConnection, part: Part, begin: Reached, members: Path) -> None:
    places = {
        "events": EVENTS, "rejected": REJECTED, "events_from": begin.events, "rejected_from": begin.rejected,
    }  # fmt: skip
    cursor.execute(_DROP_REJECTED, places | {"partition": part.partition})
    cursor.execute(_ADD_REJECTED, places | {"file": str(members / "rejected.parquet")})


@contextmanager
def _members(file: Path) -> Iterator[Path]:
    folder = file.with_name("members")
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        yield folder
    except (zipfile.BadZipFile, EOFError, FileNotFoundError, duckdb.IOException, duckdb.InvalidInputException) as error:
        raise ThumbwheelError(
            "part_damaged", f"{file.name} cannot be used: {error}", "Its owner publishes the partition again."
        ) from error


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
