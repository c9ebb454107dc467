"""The WAL may grow with the file, within bounds, and what DuckDB was told is what the file calls for."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.topics import EVENTS
from processor.tables import checkpoints
from processor.tables.checkpoints import FILE_SHARE, LEAST, MEMORY_SHARE, MOST, STEP, checkpoint_at
from processor.tables.store import Store

MIB = 2**20
GB = 10**9


@pytest.mark.parametrize(
    ("file_bytes", "memory", "wanted"),
    [
        (0, None, LEAST),
        (GB // 2, None, LEAST),
        (GB, None, 192 * 10**6),
        (2 * GB, None, 448 * 10**6),
        (100 * GB, None, MOST),
        (100 * GB, 256 * MIB, LEAST),
        (100 * GB, 2**31, 2**31 // MEMORY_SHARE),
        (100 * GB, 2**40, MOST),
    ],
)
def test_the_larger_the_file_the_rarer(file_bytes: int, memory: int | None, wanted: int) -> None:
    assert checkpoint_at(file_bytes, memory) == wanted


def setting(store: Store) -> int:
    """Return the threshold in effect, in bytes, as DuckDB shows it: with one digit after the point."""
    with store.read() as cursor:
        row = cursor.execute("SELECT current_setting('checkpoint_threshold')").fetchone()
    assert row is not None
    number, unit = str(row[0]).split()
    return int(float(number) * {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit])


def test_the_setting_follows_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tables.duckdb"
    with Store.open(path) as store:
        assert setting(store) == pytest.approx(LEAST, rel=0.01)
    monkeypatch.setattr(checkpoints, "LEAST", 1000)
    monkeypatch.setattr(checkpoints, "STEP", 1024)
    with Store.open(path) as store:
        at_open = setting(store)
        assert at_open == pytest.approx(path.stat().st_size // FILE_SHARE, abs=1200)
        with store.transaction() as cursor:
            cursor.execute("CREATE TABLE much AS SELECT random() AS number FROM range(500_000)")
        with store.transaction() as cursor:
            cursor.execute("DROP TABLE much")
        assert path.stat().st_size > 2 * MIB
        assert setting(store) > 2 * at_open
        assert setting(store) == pytest.approx(path.stat().st_size // FILE_SHARE, rel=0.3)
        # A new file, and a new connection to it.
        store.rewrite()
        assert setting(store) == pytest.approx(path.stat().st_size // FILE_SHARE, abs=1200)


def test_steps_keep_the_setting_from_changing_at_each_commit() -> None:
    wanted = {checkpoint_at(size, None) for size in range(0, 3 * GB, 10**6)}
    assert len(wanted) <= 2 + (MOST - LEAST) // STEP


@pytest.mark.parametrize("how", ["new", "closed", "killed"])
def test_the_wal_stays_bounded_whatever_the_file_has_been_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(checkpoints, "LEAST", 2 * MIB)
    monkeypatch.setattr(checkpoints, "FILE_SHARE", 10**9)
    path, wal = tmp_path / "tables.duckdb", tmp_path / "tables.duckdb.wal"
    if how != "new":
        store = Store.open(path)
        store.claim("before", {(EVENTS, 0): 0})
        if how == "killed":
            copy = path.read_bytes(), wal.read_bytes()
            store.close()
            path.write_bytes(copy[0])
            wal.write_bytes(copy[1])
        else:
            store.close()
    largest = 0
    with Store.open(path) as store:
        store.claim("test", {(EVENTS, 0): 0})
        for number in range(20):
            with store.transaction() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS much (id UUID PRIMARY KEY, text TEXT)")
                cursor.execute("INSERT INTO much SELECT uuid(), repeat('x', 900) FROM range(1000)")
                store.advance(cursor, {(EVENTS, 0): number})
            largest = max(largest, wal.stat().st_size if wal.exists() else 0)
    assert 0 < largest < 4 * MIB
