"""Old records move to the archive and leave the log; a replay reads both and gives the same tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cli
from contract.errors import ThumbwheelError
from contract.topics import EVENTS, RUNS
from eventlog.log import Log, Record
from eventlog.opening import open_log
from processor.history.archive import Archive, ArchivedLog
from processor.history.archiving import DAY_MS, ArchiveReport, archive_log
from processor.history.replay import rebuild
from processor.tables.digest import table_digests
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.privacy.forgotten import DAY, by, forget
from tests.processor.samples import append, event, interaction, pick

WORDS = "Where does Ann live?"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path / "home", archive=str(tmp_path / "archive"), archive_days=0.0)


@pytest.fixture
def embedded(settings: Settings) -> Iterator[Log]:
    opened = open_log(settings.log_url, 2)
    yield opened
    opened.close()


@pytest.fixture
def archive(settings: Settings) -> Archive:
    return Archive(settings.archive)


def talk(log: Log, first: int, last: int) -> None:
    """Somebody asks and bob picks, in every partition; ann asks every third time."""
    for number in range(first, last):
        told = interaction(f"t{number}", {"a": "x", "b": "y"}, prompt=WORDS if number % 3 == 0 else "Bob asks",
                           via="secret")  # fmt: skip
        append(log, by("ann", told) if number % 3 == 0 else told, pick(f"t{number}", "ab", "a", actor="bob"))
    append(log, event("run.started", f"r{first}", run_id=f"run-{first}", method="dpo", via="trainer"))


def tables(log: Log, folder: Path) -> dict[str, str]:
    """Return the digests of what a replay makes of everything, but for where facts lie and what was read up to."""
    with Store.open(rebuild(log, folder / "replayed.duckdb", {})) as store:
        return table_digests(store)


def moved(settings: Settings, log: Log, archive: Archive) -> ArchiveReport:
    return archive_log(settings, log, archive, now_ms=2**62)


def held(archive: Archive) -> list[Record]:
    return [record for segment in archive.manifest().segments for record in archive.read(segment)]


def in_log(log: Log) -> int:
    places = [(topic, p) for topic in (EVENTS, RUNS) for p in range(log.partitions(topic))]
    return sum(log.end_offset(*place) - log.start_offset(*place) for place in places)


@pytest.mark.slow
def test_a_replay_of_archive_and_log_gives_the_same_tables(
    settings: Settings, log: Log, archive: Archive, tmp_path: Path
) -> None:
    talk(log, 0, 12)
    before = tables(log, tmp_path)
    report = moved(settings, log, archive)
    assert report.moved == {EVENTS: 24, RUNS: 1} and len(held(archive)) == 25
    assert in_log(log) == 0
    whole = ArchivedLog(log, archive)
    assert tables(whole, tmp_path) == before
    with pytest.raises(ThumbwheelError, match="neither in the archive"):
        ArchivedLog(log, Archive(str(tmp_path / "empty"))).reader({(EVENTS, 0): 0})
    talk(whole, 12, 20)
    assert in_log(log) == 17
    mixed = tables(whole, tmp_path)
    assert mixed["events"] != before["events"]
    assert moved(settings, log, archive).moved == {EVENTS: 16, RUNS: 1}
    assert tables(whole, tmp_path) == mixed
    assert moved(settings, log, archive) == ArchiveReport()


def test_a_forgotten_person_leaves_the_archive_and_the_log(
    settings: Settings, log: Log, archive: Archive, tmp_path: Path
) -> None:
    talk(log, 0, 6)
    moved(settings, log, archive)
    talk(log, 6, 12)
    append(log, forget("ann", DAY))
    whole = ArchivedLog(log, archive)
    before = tables(whole, tmp_path)
    assert WORDS.encode() in b"".join(record.value for record in held(archive))
    files = {path.name for path in Path(settings.archive).rglob("*.parquet")}
    report = moved(settings, log, archive)
    assert report.rewritten > 0 and in_log(log) == 0
    for record in held(archive):
        assert WORDS.encode() not in record.value and b'"ann"' not in record.value
    kept = {path.name for path in Path(settings.archive).rglob("*.parquet")}
    assert kept == {segment.name.rsplit("/", 1)[1] for segment in archive.manifest().segments} and not files <= kept
    assert tables(whole, tmp_path) == before


def test_only_what_is_old_enough_moves(settings: Settings, embedded: Log, archive: Archive) -> None:
    log = embedded
    talk(log, 0, 3)
    records = in_log(log)
    week = replace(settings, archive_days=7.0)
    assert archive_log(week, log, archive).moved == {EVENTS: 0, RUNS: 0}
    assert in_log(log) == records
    reader = log.reader({(RUNS, 0): 0})
    (run,) = reader.poll(10, 10.0)
    reader.close()
    assert archive_log(week, log, archive, run.timestamp_ms + 7 * DAY_MS).moved[RUNS] == 0
    assert archive_log(week, log, archive, run.timestamp_ms + 7 * DAY_MS + 1).moved[RUNS] == 1


def test_a_damaged_file_is_named_and_nothing_is_cut(settings: Settings, embedded: Log, archive: Archive) -> None:
    log = embedded
    talk(log, 0, 3)
    moved(settings, log, archive)
    talk(log, 3, 6)
    append(log, forget("ann", DAY))
    records = in_log(log)
    path = next(Path(settings.archive).rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ThumbwheelError, match=r"parquet in .* cannot be used") as damaged:
        moved(settings, log, archive)
    assert damaged.value.code == "archive_damaged" and damaged.value.hint
    assert in_log(log) == records


def test_an_archive_in_object_storage(settings: Settings, embedded: Log, tmp_path: Path) -> None:
    """fsspec's own memory file system stands for one: files come to be whole, there is no renaming."""
    log = embedded
    archive = Archive("memory://thumbwheel-archive")
    talk(log, 0, 6)
    before = tables(log, tmp_path)
    moved(settings, log, archive)
    assert tables(ArchivedLog(log, archive), tmp_path) == before
    for wrong in ("nosuch://x", "s4://bucket"):
        with pytest.raises(ThumbwheelError, match="cannot be used"):
            Archive(wrong)


def test_the_command_moves_and_replay_finds_everything(
    settings: Settings, embedded: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(embedded, 0, 6)
    monkeypatch.setenv("THUMBWHEEL_HOME", str(settings.home))
    unset = CliRunner().invoke(cli, ["archive"])
    assert unset.exit_code == 1 and "THUMBWHEEL_ARCHIVE is not set" in unset.output
    monkeypatch.setenv("THUMBWHEEL_ARCHIVE", settings.archive)
    assert CliRunner().invoke(cli, ["replay"]).exit_code == 0
    assert json.loads(CliRunner().invoke(cli, ["archive", "--json"]).output)["segments"] == 0
    monkeypatch.setenv("THUMBWHEEL_ARCHIVE_DAYS", "0")
    assert json.loads(CliRunner().invoke(cli, ["archive", "--json"]).output)["moved"][EVENTS] == 12
    assert in_log(embedded) == 0
    again = json.loads(CliRunner().invoke(cli, ["replay", "--json"]).output)
    assert again["differing"] == [] and again["records"] == 13
