"""A block of the tables' file that is not whole: who says so, and that nothing more is written into the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import duckdb
import pytest

from processor.tables.examining import ROWS, examine, examine_file
from processor.tables.faults import StoreDamaged, StoreError, damaged, unusable
from processor.tables.store import Store
from tests.console import greek
from tests.console.bench import PASSWORD, open_bench, prepare, tables
from tests.waiting import eventually

BLOCK = 262_144
HEADERS = 3 * 4096


@pytest.fixture(scope="module")
def whole_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("whole")
    prepare(home)
    with open_bench(home) as bench:
        greek.tell(bench)
    return home


@pytest.fixture
def home(whole_home: Path, tmp_path: Path) -> Path:
    copytree(whole_home, tmp_path, dirs_exist_ok=True)
    return tmp_path


def damage(path: Path, table: str) -> None:
    """Flip bytes in the block that holds a table's rows."""
    with Store.open(path) as store, store.read() as cursor:
        found = cursor.execute(
            f"SELECT max(block_id) FROM pragma_storage_info('{table}') WHERE persistent AND block_id >= 0"
        ).fetchone()
    assert found is not None
    flip(path, int(found[0]))


def flip(path: Path, block: int) -> None:
    with path.open("r+b") as file:
        for at in range(HEADERS + block * BLOCK + 64, HEADERS + (block + 1) * BLOCK, 1024):
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 0x5A]))


@pytest.fixture
def events_damaged(home: Path) -> Iterator[Path]:
    damage(tables(home), "events")
    yield home


def test_a_page_that_meets_a_damaged_block_says_so_and_the_console_is_not_ready(
    events_damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_bench(events_damaged) as bench:
        client = bench.app.test_client()
        assert client.post("/login", data={"name": "ada", "password": PASSWORD}).status_code == 303
        page = client.get("/interactions/pick-4")
        assert page.status_code == 503
        assert "thumbwheel.duckdb is damaged: Corrupt database file" in page.text
        assert "Move it aside: the next start makes it again from the log." in page.text
        client.set_cookie("thumbwheel_lang", "zh_Hans")
        page = client.get("/interactions/pick-4")
        assert "thumbwheel.duckdb 已损坏：数据块校验和不符" in page.text and "请将它移走" in page.text
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.get_json()["error"]["code"] == "store_damaged"
        assert ready.get_json()["error"]["hint"] == "Move it aside: the next start makes it again from the log."
        assert client.get("/healthz").status_code == 200
    told = [record for record in caplog.records if "is damaged: Corrupt database file" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.ERROR], "the log names it, once"


def test_nothing_more_is_written_into_a_damaged_file(events_damaged: Path) -> None:
    path = tables(events_damaged)
    with Store.open(path) as store:
        with pytest.raises(StoreDamaged):
            examine(store.read)
        before = path.read_bytes()
        with pytest.raises(StoreDamaged), store.transaction() as cursor:
            cursor.execute("DELETE FROM meta")
    assert path.read_bytes() == before


def test_a_damaged_block_is_found_before_anybody_asks_for_it(events_damaged: Path) -> None:
    from processor.tables.examining import Examiner

    with Store.open(tables(events_damaged)) as store:
        store.check()
        examiner = Examiner(store)
        examiner.start()

        def found() -> bool:
            try:
                store.check()
            except StoreDamaged:
                return True
            return False

        eventually(found, 20)
        examiner.stop()


@pytest.mark.parametrize(
    "table", ["candidates", "conflicts", "demonstrations", "events", "facts", "feedback", "interactions", "pairs",
              "rejected", "unpaired"],
)  # fmt: skip
def test_every_table_is_looked_through(home: Path, table: str) -> None:
    damage(tables(home), table)
    with pytest.raises(StoreError, match="is damaged: Corrupt database file"):
        examine_file(tables(home))


def test_a_whole_file_is_read_to_its_last_row(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tables(home)) as store, store.read() as cursor:
        names = [name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        rows = sum(cursor.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in names)
    assert rows > 100
    assert examine_file(tables(home)) == rows
    monkeypatch.setattr("processor.tables.examining.ROWS", 7)
    assert examine_file(tables(home)) == rows
    assert ROWS > 7


def test_a_damaged_directory_of_the_file_is_no_lock_of_another_process(home: Path) -> None:
    path = tables(home)
    # DuckDB says "block", which holds "lock".
    flip(path, 0)
    with pytest.raises(StoreError) as caught:
        Store.open(path)
    assert (caught.value.code, caught.value.hint[:13]) == ("store_damaged", "Move it aside")
    assert unusable(path, duckdb.IOException('Could not set lock on file "x"')).code == "store_locked"
    assert damaged(path, duckdb.Error("a\nb")).message.endswith("is damaged: a")


def test_a_full_disk_under_the_tables_makes_the_console_not_ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_bench(home) as bench:
        client = bench.app.test_client()
        assert client.get("/readyz").status_code == 200

        def full(folder: Path, doubtful: bool = False) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("processor.tables.store.check_room", full)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["error"]["code"]) == (503, "store_disk_full")
        assert "No event is lost" in ready.get_json()["error"]["hint"]
        monkeypatch.undo()
        assert client.get("/readyz").status_code == 200
