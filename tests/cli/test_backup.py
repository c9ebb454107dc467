"""A backup of a home in use is one consistent moment of it; what is no backup changes nothing."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli import backup
from cli.backup import back_up, restore
from contract.errors import ThumbwheelError
from contract.signing import signing_key
from contract.topics import EVENTS
from control_store.control import Control
from control_store.rotating import rotate_control_key
from control_store.sealing import ControlKey
from eventlog.log import Entry, Log
from eventlog.opening import open_log
from runtime.settings import Settings

ADAPTER = "models/demo/adapters/ad-1/adapter_model.safetensors"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path / "home")


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    opened = open_log(settings.log_url)
    opened.append([Entry(EVENTS, "k", b"first")])
    yield opened
    opened.close()


@pytest.fixture
def filled(settings: Settings, log: Log) -> Settings:
    """A home with a log, keys, an adapter, a dataset, and what can be made again."""
    control = Control.of(settings)
    control.create_key("default", "secret")
    control.close()
    for name in (ADAPTER, "datasets/demo/ds-1/manifest.json", "models/base/weights", "models/guards/x.json", "dev.toml",
                 "processor/thumbwheel.duckdb", "datasets/demo/.building-1/half"):  # fmt: skip
        (settings.home / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.home / name).write_text(f"this is {name}")
    return settings


def values(settings: Settings) -> list[bytes]:
    opened = open_log(settings.log_url)
    reader = opened.reader({(EVENTS, 0): 0})
    found: list[bytes] = []
    while records := reader.poll(10_000, 0.0):
        found += [record.value for record in records]
    reader.close()
    opened.close()
    return found


def other(tmp_path: Path) -> Settings:
    return replace(Settings(), home=tmp_path / "other")


def test_a_backup_brings_back_what_cannot_be_made_again(filled: Settings, tmp_path: Path) -> None:
    made = back_up(filled, tmp_path / "b.tar")
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    fresh = other(tmp_path)
    assert restore(fresh, tmp_path / "b.tar").files == made.files == 6
    assert (fresh.home / ADAPTER).read_text() == f"this is {ADAPTER}"
    assert stat.S_IMODE((fresh.home / "dev.toml").stat().st_mode) == 0o600
    there = {path.relative_to(fresh.home).as_posix() for path in fresh.home.rglob("*") if path.is_file()}
    assert there == {
        "log/events.db",
        "control.db",
        "control.key",
        "dev.toml",
        ADAPTER,
        "datasets/demo/ds-1/manifest.json",
    }
    assert values(fresh) == [b"first"]
    control = Control.of(fresh)
    (key,) = control.list_keys()
    assert control.signing_key("default", key.key_id), "what it signed is still verified"
    control.close()


def test_writers_go_on_meanwhile_and_the_copy_is_one_moment_of_the_log(
    filled: Settings, log: Log, tmp_path: Path
) -> None:
    stop = threading.Event()
    confirmed: list[bytes] = []

    def write() -> None:
        while not stop.is_set():
            value = b"%d" % len(confirmed)
            assert log.append([Entry(EVENTS, "k", value)])[0] is not None
            confirmed.append(value)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(confirmed) < 50:
            stop.wait(0.01)
        before = list(confirmed)
        back_up(filled, tmp_path / "b.tar")
        during = len(confirmed)
    finally:
        stop.set()
        writer.join()
    restore(other(tmp_path), tmp_path / "b.tar")
    kept = values(other(tmp_path))
    assert kept[1 : len(before) + 1] == before
    assert kept[1:] == confirmed[: len(kept) - 1]
    assert len(kept) <= during + 2


def test_a_home_in_use_and_a_name_in_use_are_refused(filled: Settings, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "b.tar")
    with pytest.raises(ThumbwheelError, match="is there already"):
        back_up(filled, tmp_path / "b.tar")
    with pytest.raises(ThumbwheelError, match="is there already"):
        restore(filled, tmp_path / "b.tar")
    assert values(filled) == [b"first"]
    with pytest.raises(ThumbwheelError, match="There is no"):
        back_up(other(tmp_path), tmp_path / "c.tar")
    assert not (tmp_path / "c.tar").exists()


def test_a_log_that_lives_elsewhere_is_said_to_be_left_out(filled: Settings, tmp_path: Path) -> None:
    on_kafka = replace(filled, log="kafka://k1:9092?sasl_plain_password=secret")
    made = back_up(on_kafka, tmp_path / "b.tar")
    assert made.left_out == ["log: kafka://k1:9092 is backed up where it lives"]
    assert restore(replace(other(tmp_path), log="kafka://k1:9092"), tmp_path / "b.tar").left_out == made.left_out


Change = Callable[[dict[str, bytes]], None]


def rewritten(source: Path, target: Path, change: Change) -> Path:
    """Write the archive again with its files changed."""
    with tarfile.open(source) as archive:
        files = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    change(files)
    with tarfile.open(target, "w") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return target


def add_listed(name: str) -> Change:
    def change(files: dict[str, bytes]) -> None:
        files[name] = b""
        index = json.loads(files["backup.json"])
        index["files"][name] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        files["backup.json"] = json.dumps(index).encode()

    return change


@pytest.mark.parametrize("change", [
    lambda files: files.update({ADAPTER: b"changed"}), lambda files: files.pop(ADAPTER),
    lambda files: files.update({"models/demo/more": b""}), lambda files: files.pop("backup.json"),
    lambda files: files.update({"backup.json": b"[]"}), lambda files: files.update({"backup.json": b'{"version": 9}'}),
    lambda files: files.update({"../outside": b""}), add_listed("processor/thumbwheel.duckdb"),
    add_listed("models/../../outside"), add_listed("/tmp/thumbwheel-outside"),
])  # fmt: skip
def test_a_changed_backup_is_refused_and_nothing_is_put_in_place(
    filled: Settings, tmp_path: Path, change: Change
) -> None:
    back_up(filled, tmp_path / "b.tar")
    changed = rewritten(tmp_path / "b.tar", tmp_path / "changed.tar", change)
    with pytest.raises(ThumbwheelError) as refused:
        restore(other(tmp_path), changed)
    assert refused.value.code == "bad_backup" and refused.value.hint
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("body", [b"", b"no tar at all" * 100])
def test_what_is_no_archive_is_refused(filled: Settings, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(body)
    with pytest.raises(ThumbwheelError, match="no backup"):
        restore(other(tmp_path), tmp_path / "x.tar")
    with pytest.raises(ThumbwheelError, match="no backup"):
        restore(other(tmp_path), tmp_path / "nowhere.tar")


def test_a_control_key_that_is_a_setting_is_named_and_not_in_the_backup(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    named = replace(settings, control_key="5a" * 32)
    control = Control.of(named)
    made = control.create_key("default", "secret")
    control.close()
    done = back_up(named, tmp_path / "b.tar")
    assert [what for what in done.left_out if "THUMBWHEEL_CONTROL_KEY" in what]
    assert b"control.key" not in (tmp_path / "b.tar").read_bytes()
    fresh = other(tmp_path)
    assert restore(fresh, tmp_path / "b.tar").left_out == done.left_out
    with pytest.raises(ThumbwheelError) as caught:
        Control.of(fresh)
    assert caught.value.code == "control_key_missing"
    assert Control.of(replace(fresh, control_key="5a" * 32)).signing_key("default", made.key_id)


def test_a_control_key_whose_rotation_was_cut_off_is_backed_up_as_the_store_needs_it(
    filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Control.of(filled)
    made = control.create_key("default", "secret")

    class Killed(BaseException):
        pass

    def end(*given: object) -> bytes:
        raise Killed

    # The store is sealed for the new key, which is not in the old one's place yet.
    settle = ControlKey.matching
    looks = iter([settle])
    monkeypatch.setattr(ControlKey, "matching", lambda *given: next(looks, end)(*given))
    with pytest.raises(Killed):
        rotate_control_key(control.engine)
    monkeypatch.undo()
    assert len(list(filled.home.glob("control.key.*"))) == 1
    back_up(filled, tmp_path / "b.tar")
    restore(other(tmp_path), tmp_path / "b.tar")
    assert Control.of(other(tmp_path)).signing_key("default", made.key_id) == signing_key(made.key)


def test_a_control_key_that_is_rotated_during_the_backup_is_said(
    filled: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backup._copy_database

    def copy_then_rotate(url: str, target: Path) -> Path | None:
        copied = copy(url, target)
        if target.name == backup.CONTROL:
            rotate_control_key(Control.of(filled).engine)
        return copied

    monkeypatch.setattr(backup, "_copy_database", copy_then_rotate)
    with pytest.raises(ThumbwheelError, match="rotated meanwhile") as caught:
        back_up(filled, tmp_path / "b.tar")
    assert caught.value.hint == "Try again." and not (tmp_path / "b.tar").exists()
