"""A file is written whole: readers see the old one or the new one, whoever dies in between."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import files
from runtime.files import UNFINISHED, sweep_unfinished, write_whole

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("durable", [False, True])
def test_it_is_there_with_its_mode_and_nothing_else_is(tmp_path: Path, durable: bool) -> None:
    file = tmp_path / "kept.json"
    file.write_bytes(b"old")
    write_whole(file, b"new", durable=durable, mode=0o600)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kept.json"
    write_whole(file, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new", durable=True)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_durable_write_waits_for_the_file_before_its_name_and_for_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    sync, replace = os.fsync, os.replace

    def record_sync(handle: int) -> None:
        told.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", record_sync)
    monkeypatch.setattr(files.os, "replace", lambda *paths: (told.append("name"), replace(*paths)))
    write_whole(tmp_path / "a", b"x", durable=True)
    assert told == ["file", "name", "folder"]
    told.clear()
    write_whole(tmp_path / "a", b"y")
    assert told == ["name"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from runtime import files; "
        "files.os.replace = lambda *_: os._exit(9); files.write_whole(Path(sys.argv[1]), b'half')"
    )
    file = tmp_path / "kept"
    file.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", program, str(file)], cwd=REPOSITORY, check=False)
    assert done.returncode == 9
    assert file.read_bytes() == b"old"
    assert [one.name.startswith(UNFINISHED) for one in tmp_path.iterdir() if one != file] == [True]
    sweep_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [file]
