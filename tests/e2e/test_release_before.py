"""A home of the release before opens and goes on: log, tables after one replay, dataset, keys, people, campaigns."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from contract.dataset_folder import read_manifest, shards
from contract.topics import EVENTS
from control_store import migrating
from control_store.campaigns import Campaigns
from control_store.control import Control
from control_store.engine import open_engine
from eventlog.log import Log
from eventlog.opening import open_log
from processor.datasets import build_dataset
from processor.history import replay
from processor.ingest.runner import store_records
from processor.tables.digest import table_digests
from processor.tables.rows_version import rows_version
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, interaction, pick
from trainer.rows import open_dataset

# Made by that release's own code (releases/make_home.py), and never again.
HOME = Path(__file__).parent / "releases" / "home-0.1.tar.xz"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with tarfile.open(HOME) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    return replace(Settings(), home=tmp_path / "home")


@pytest.fixture
def expected(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((settings.home / "expected.json").read_text())
    return found


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    opened = open_log(settings.log_url)
    yield opened
    opened.close()


@pytest.fixture
def store(settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    replay.open_store(settings, log).close()
    with monkeypatch.context() as now:
        now.setattr(replay, "rebuild", lambda *_, **__: pytest.fail("its tables were replayed again"))
        opened = replay.open_store(settings, log)
    yield opened
    opened.close()


def test_its_tables_are_the_same_after_one_replay(store: Store, expected: dict[str, Any]) -> None:
    found = table_digests(store)
    # It had not read its own fact of the dataset yet, and knew no limit; its pairs had no strength.
    assert {name for name, digest in expected["tables"].items() if found[name] != digest} == {
        "meta", "facts", "offsets", "pairs",
    }  # fmt: skip
    with store.read() as cursor:
        assert cursor.execute("FROM over_limit").fetchall() == []
        without = cursor.execute("SELECT count(strength), count(*) > 0 FROM pairs").fetchall()
    assert without == [(0, True)]
    newer = {"code_version": rows_version(), "schema_version": store.meta()["schema_version"]}
    assert store.meta() == expected["meta"] | newer


def test_its_tables_are_what_a_replay_makes(store: Store, log: Log, settings: Settings, tmp_path: Path) -> None:
    live = table_digests(store)
    fresh = replay.rebuild(log, tmp_path / "fresh.duckdb", replay.wanted_meta(settings))
    with Store.open(fresh) as made:
        found = table_digests(made)
    assert {name for name in live if live[name] != found[name]} == set()


def test_it_goes_on(store: Store, log: Log, settings: Settings) -> None:
    at = store.offsets()[EVENTS, 0]
    append(log, interaction("i-new", {"a": "One.", "b": "Two."}), pick("i-new", ("a", "b"), "a"))
    reader = log.reader(store.claim("processor-0", {(EVENTS, 0): 0}))
    records = reader.poll(100, 1.0)
    reader.close()
    assert records[0].offset == at
    store_records(store, records)
    with store.read() as cursor:
        row = cursor.execute("SELECT count(*) FROM pairs WHERE interaction_id = 'i-new'").fetchone()
    assert row == (1,)


def test_its_dataset_is_read_and_its_successor_built(
    store: Store, log: Log, settings: Settings, expected: dict[str, Any]
) -> None:
    folder = settings.home / "datasets" / "default" / expected["dataset_id"]
    assert read_manifest(folder)["counts"] == expected["rows"]
    opened = open_dataset(folder)
    train = [file for file in shards(folder, "preference", "train")]
    assert len(opened.pairs("train")) == sum(pq.read_metadata(file).num_rows for file in train) > 0
    again = build_dataset(store, log, settings, "default", {})
    assert again["counts"] == expected["rows"]


def test_its_keys_people_and_campaigns_are_there(settings: Settings, expected: dict[str, Any]) -> None:
    for _ in range(2):
        control = Control.of(settings)
        key = control.find_key(expected["key"])
        assert key is not None and (key.key_id, key.project, key.kind) == (expected["key_id"], "default", "secret")
        assert control.check_user("lin", "a password that is long") is not None
        campaigns = Campaigns(control.engine).listed("default")
        assert [one.campaign_id for one in campaigns] == [expected["campaign"]]
    with control.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [
            migrating.HEAD
        ]


def test_a_store_of_a_later_release_is_left_as_it_is(settings: Settings, expected: dict[str, Any]) -> None:
    Control.of(settings)
    engine = open_engine(settings.control_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(sa.text("ALTER TABLE keys ADD COLUMN later TEXT"))
    control = Control.of(settings)
    assert control.find_key(expected["key"]) is not None
    migrating.migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "9999"
