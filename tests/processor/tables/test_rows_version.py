"""The rows of a fixed log are those of `ROWS_VERSION`; what makes no other rows makes no replay."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from contract import ids
from contract.topics import TOPICS
from eventlog.log import Log, Record
from eventlog.opening import open_log
from processor.history import replay
from processor.history.replay import open_store, store_path
from processor.ingest.runner import store_records
from processor.tables import rows_version
from processor.tables.digest import table_digests
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, interaction, pick

LOG = Path(__file__).parent / "golden_rows" / "log.jsonl"
WRITTEN_MS = 1_772_366_400_000
# What names the process that made the rows.
APART = {"meta", "offsets"}
# Before there was a number it was a digest of source files.
BEFORE = ("977ac113788a4f92", "1-8c2a373ff58bf299")


def golden_records() -> Iterable[Record]:
    ends = dict.fromkeys(TOPICS, 0)
    for text in LOG.read_text("utf-8").splitlines():
        line = json.loads(text)
        value = base64.b64decode(line["base64"]) if "base64" in line else line["value"].encode()
        yield Record(line["topic"], 0, ends[line["topic"]], line["key"], value, WRITTEN_MS)
        ends[line["topic"]] += 1


def golden_store(folder: Path) -> Store:
    store = Store.open(folder / "golden.duckdb")
    store.claim("processor-0", {(topic, 0): 0 for topic in TOPICS})
    return store


def digest_of_rows(folder: Path, batch: int = 1000) -> str:
    records = list(golden_records())
    with golden_store(folder) as store:
        for start in range(0, len(records), batch):
            store_records(store, records[start : start + batch])
        found = {name: digest for name, digest in table_digests(store).items() if name not in APART}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def test_the_rows_of_the_golden_log_are_those_of_this_version(tmp_path: Path) -> None:
    found = digest_of_rows(tmp_path)
    assert found == rows_version.GOLDEN_ROWS, (
        f"Other rows: raise ROWS_VERSION in processor/tables/rows_version.py and set GOLDEN_ROWS to {found!r}, "
        "so that databases are replayed; or find what changed, if nothing should have."
    )


def test_they_do_not_depend_on_how_the_log_is_read(tmp_path: Path) -> None:
    assert digest_of_rows(tmp_path, batch=3) == rows_version.GOLDEN_ROWS


def test_a_key_that_is_hashed_otherwise_changes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_SHA1_OF_NAMESPACE", hashlib.sha1(uuid.uuid4().bytes))
    assert digest_of_rows(tmp_path) != rows_version.GOLDEN_ROWS


def test_every_table_of_rows_has_some(tmp_path: Path) -> None:
    with golden_store(tmp_path) as store:
        store_records(store, list(golden_records()))
        with store.read() as cursor:
            empty = [
                name for name in table_digests(store)
                if name not in {*APART, "forgotten"} and not cursor.execute(f"SELECT 1 FROM {name}").fetchone()
            ]  # fmt: skip
    assert empty == []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path)


def filled(settings: Settings) -> Log:
    """Return a log with a pick, whose tables are made."""
    log = open_log(settings.log_url)
    append(log, interaction("i-1", {"a": "One.", "b": "Two."}), pick("i-1", ("a", "b"), "a"))
    replay.replay(settings)
    return log


@pytest.mark.parametrize("before", BEFORE)
def test_tables_of_a_release_before_are_replayed_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    log = filled(settings)
    with Store.open(store_path(settings)) as store:
        store.set_meta({"code_version": before})
    made = []
    whole = replay.rebuild
    monkeypatch.setattr(replay, "rebuild", lambda *given: made.append(1) or whole(*given))
    for _ in range(2):
        with open_store(settings, log) as store:
            assert store.meta()["code_version"] == rows_version.rows_version()
    assert made == [1]
    log.close()


@pytest.mark.parametrize("change", [{"ROWS_VERSION": 1}, {"GOLDEN_ROWS": "f" * 16}])
def test_another_version_or_other_golden_rows_replay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    log = filled(settings)
    made = []
    whole = replay.rebuild
    monkeypatch.setattr(replay, "rebuild", lambda *given: made.append(1) or whole(*given))
    for name, value in change.items():
        monkeypatch.setattr(rows_version, name, value)
    open_store(settings, log).close()
    assert made == [1]
    log.close()


def test_the_version_names_its_golden_rows() -> None:
    assert re.fullmatch(r"\d+-[0-9a-f]{16}", rows_version.rows_version())
