"""What earlier releases wrote: their records replay to the rows they made, and their databases open and migrate."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from contract.errors import EventError
from contract.events import STRUCTS, decode_stored, encode
from contract.topics import TOPICS
from eventlog.log import Entry, Log, Record
from eventlog.opening import open_log
from processor.history.replay import open_store, rebuild, store_path, wanted_meta
from processor.ingest.runner import store_records
from processor.steps.consensus import AGREEING, OUTVOTED, TIED
from processor.tables import store as storing
from processor.tables.digest import QUERIES, table_digests
from processor.tables.store import Store
from runtime.settings import Settings

# Made once by each release's own code (releases/make.py), and never again.
RELEASES = sorted((Path(__file__).parent / "releases").glob("schema-*"))
# A migration that somebody's database has seen is never changed: what is new gets a number of its own.
MIGRATIONS = {
    1: "78a1148ecf0fe76694ef19c9557fe5378511036290b4cc56aa6b734a83016c76",
    2: "10b5062adbf0ddc958e79d757502bb3ea559910eb8bf851ce557094c1b3d04f7",
    3: "8a924df09ea211c47743a28628d91153637daf3253eac4f67f44f6d312fd1ad3",
    4: "626528236c3031c9a0aec4a545fdac1badd40c01b071ea3238b2338319c93375",
    5: "d2f6085bc6c54a9ee641ba4c31ae2a987d8babce1af585a7becb48dd15a26a59",
    6: "b9fe79b5d0c060c40e2928c16d6bd44a6a3f50d1cc6c197693059824c2cfb83a",
}
# When its records were appended, which poison is said to be received at.
WRITTEN_MS = 1_772_366_400_000
# The first whose annotations make pairs, which agree or disagree with those of picks.
ANNOTATED = 6
# What names the process that made the rows.
APART = {"meta", "offsets"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


@pytest.fixture(params=RELEASES, ids=lambda folder: str(folder.name))
def release(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def log(settings: Settings, release: Path) -> Iterator[Log]:
    opened = open_log(settings.log_url)
    opened.append(entries(release))
    yield opened
    opened.close()


def entries(release: Path) -> list[Entry]:
    lines = [json.loads(line) for line in (release / "log.jsonl").read_text("utf-8").splitlines()]
    return [
        Entry(line["topic"], line["key"], base64.b64decode(line["base64"]) if "base64" in line else
              line["value"].encode()) for line in lines
    ]  # fmt: skip


def tables(release: Path) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = json.loads((release / "tables.json").read_text("utf-8"))
    return found


def schema_of(release: Path) -> int:
    return int(release.name.removeprefix("schema-"))


def old_database(path: Path, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the database as that release left it: its migrations only, and its rows."""
    with monkeypatch.context() as then:
        migrations = [one for one in storing._migrations() if one[0] <= schema_of(release)]
        then.setattr(storing, "_migrations", lambda: migrations)
        with Store.open(path) as store, store.transaction() as cursor:
            for name, table in tables(release).items():
                cursor.execute(f"DELETE FROM {name}")
                for row in table["rows"]:
                    cursor.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)


def rows(store: Store, name: str, columns: list[str]) -> list[list[Any]]:
    """Return a table's rows as DuckDB's text, only these columns, in order."""
    texts = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
    with store.read() as cursor:
        return ordered(list(row) for row in cursor.execute(f"SELECT {texts} FROM {name}").fetchall())


def ordered(found: Iterable[list[Any]]) -> list[list[Any]]:
    return sorted(found, key=lambda row: [(value is not None, value or "") for value in row])


def test_its_records_are_read_and_written_the_same(release: Path) -> None:
    kinds = set()
    for entry in entries(release):
        try:
            event = decode_stored(entry.value)
        except EventError:
            continue
        assert encode(event) == entry.value
        kinds.add(event.type)
    assert kinds <= set(STRUCTS) and len(kinds) >= 25, "one of every type it knew"


def test_its_records_replay_to_the_rows_it_made(store: Store, release: Path) -> None:
    records: list[Record] = []
    ends = dict.fromkeys(TOPICS, 0)
    for entry in entries(release):
        records.append(Record(entry.topic, 0, ends[entry.topic], entry.key, entry.value, WRITTEN_MS))
        ends[entry.topic] += 1
    store_records(store, records)
    for name, table in tables(release).items():
        if name in QUERIES and name not in APART:
            found, wanted = rows(store, name, table["columns"]), ordered(table["rows"])
            if schema_of(release) < ANNOTATED:
                found, wanted = (each_alone(of_votes(one, name), table["columns"]) for one in (found, wanted))
            assert found == wanted, name


def of_votes(found: list[list[Any]], table: str) -> list[list[Any]]:
    """Return rows without the pairs that annotations make."""
    return [row for row in found if not (table == "pairs" and "annotation" in row)]


def each_alone(found: list[list[Any]], columns: list[str]) -> list[list[Any]]:
    """Return rows as they were made while every vote made its own: whom others outvote, or agree with, trained, too."""
    if "why_not" not in columns:
        return found
    trainable, why_not = columns.index("trainable"), columns.index("why_not")
    for row in found:
        if row[why_not] in (OUTVOTED, AGREEING, TIED):
            row[trainable], row[why_not] = "true", None
    return ordered(found)


def test_its_database_opens_keeps_every_row_and_becomes_what_a_replay_makes(
    settings: Settings, log: Log, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store_path(settings)
    old_database(path, release, monkeypatch)
    with Store.open(path) as store:
        assert store.meta()["schema_version"] == str(max(MIGRATIONS))
        for name, table in tables(release).items():
            if name != "meta":
                assert rows(store, name, table["columns"]) == ordered(table["rows"]), name
    with open_store(settings, log) as store:
        assert store.meta()["code_version"] == wanted_meta(settings)["code_version"]
        live = table_digests(store)
    with Store.open(rebuild(log, settings.home / "fresh.duckdb", wanted_meta(settings))) as fresh:
        assert table_digests(fresh) == live


def test_no_migration_was_changed_and_each_schema_has_its_fixtures() -> None:
    folder = resources.files("processor.tables").joinpath("sql")
    found = {int(one.name[:4]): hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}
    assert found == MIGRATIONS, "add a new one with its digest; leave the others as they are"
    assert [schema_of(one) for one in RELEASES] == sorted(found)[:-1], "make the fixtures of the schema before"
