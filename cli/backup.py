"""Back up a home while it runs, and restore it into an empty one.

A backup is one tar file: the embedded log and the control store as SQLite copies them consistently, then datasets,
runs, adapters, reports, `dev.toml` and the control key, and last `backup.json` with the SHA-256 of each file. Left out
is what can be made again: the tables (the processor replays the log), the base model, caches. The log is copied before
the files it speaks of, so that what came in between is more than it says, never less.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import apsw

from contract.errors import ThumbwheelError
from control_store.sealing import ControlKey
from runtime.settings import Settings, without_secrets

INDEX = "backup.json"
LOG, CONTROL, CONTROL_KEY = "log.db", "control.db", "control.key"
FOLDERS = ("datasets", "models", "reports", "runs")
# Under models/: what is made again, from the base model or by measuring it.
REMADE = ("base", "embedder", "guards")
VERSION = 1

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Backup:
    """What was written or restored: the file, how many files it holds, and what it does not hold."""

    path: str
    files: int
    bytes: int
    left_out: list[str]


def back_up(settings: Settings, target: Path, progress: Progress = lambda name: None) -> Backup:
    """Write a backup; an unfinished one never stands under its name. Raises ThumbwheelError."""
    if target.exists():
        raise ThumbwheelError("exists", f"{target} is there already.", "Name another file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = {}
    left_out: list[str] = []
    copies: dict[str, Path | None] = {}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
        made = Path(folder) / "made.tar"
        with made.open("xb") as raw, tarfile.open(fileobj=raw, mode="w") as archive:
            os.chmod(made, 0o600)  # It holds keys.
            for name, url in ((LOG, settings.log_url), (CONTROL, settings.control_url)):
                copied = _copy_database(url, Path(folder) / name)
                copies[name] = copied
                if copied is None:
                    left_out.append(f"{name.removesuffix('.db')}: {without_secrets(url)} is backed up where it lives")
                else:
                    digests[name] = _add(archive, name, copied)
                    progress(name)
            if (said := _left_out_key(settings)) is not None:
                left_out.append(said)
            else:
                digests[CONTROL_KEY] = _add(archive, CONTROL_KEY, _fitting_key(settings, copies[CONTROL], Path(folder)))
            if settings.archive:
                left_out.append(f"archive: {settings.archive} is backed up where it lives")
            for name, path in _files(settings.home):
                digests[name] = _add(archive, name, path)
                progress(name)
            index = {"version": VERSION, "created_at": time.time(), "files": digests, "left_out": left_out}
            _add_bytes(archive, INDEX, json.dumps(index, indent=1).encode())
        with made.open("rb") as written:
            os.fsync(written.fileno())
        size = made.stat().st_size
        os.rename(made, target)
    return Backup(str(target), len(digests), size, left_out)


def restore(settings: Settings, source: Path, progress: Progress = lambda name: None) -> Backup:
    """Restore into a home that holds nothing of this yet; checks every file before the first is put in place.

    Raises ThumbwheelError: `bad_backup` for a file that is none, or was changed, `not_empty` for a home in use.
    """
    places = _places(settings)
    databases = [place for name, place in places.items() if name != CONTROL_KEY]
    for place in [*databases, *(settings.home / name for name in FOLDERS)]:
        if place.is_file() or (place.is_dir() and any(entry.name not in REMADE for entry in place.iterdir())):
            raise ThumbwheelError("not_empty", f"{place} is there already.", "Restore into an empty THUMBWHEEL_HOME.")
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix=".restore-") as folder:
        found = _unpack(source, Path(folder))
        for name in found["files"]:
            target = places.get(name, settings.home / name)
            if name == CONTROL_KEY and target.exists():
                continue  # Somebody put it there; the start says if it is another store's.
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / name, target)
            progress(name)
    return Backup(str(source), len(found["files"]), source.stat().st_size, found["left_out"])


def _left_out_key(settings: Settings) -> str | None:
    """Say why the control key is not in the backup; None where it goes in."""
    if not settings.control_key and settings.control_key_path.is_file():
        return None
    place = "THUMBWHEEL_CONTROL_KEY" if settings.control_key else str(settings.control_key_path)
    return f"control key: {place} is kept where you set it; without it the restored signing keys cannot be read"


def _fitting_key(settings: Settings, copied: Path | None, folder: Path) -> Path:
    """Return the control key that the copied store is sealed for, whatever is rotated meanwhile."""
    wanted = None if copied is None else _fingerprint(copied)
    found = ControlKey.of(settings).matching(wanted) if wanted else None
    if found is not None:
        place = folder / CONTROL_KEY
        place.write_text(f"{found.hex()}\n", "ascii")
        return place
    store = _sqlite_path(settings.control_url)
    if wanted and store is not None and _fingerprint(store) != wanted:
        raise ThumbwheelError("not_copied", "The control key was rotated meanwhile.", "Try again.")
    return settings.control_key_path


def _fingerprint(store: Path) -> str | None:
    """Return the fingerprint of the control key that an SQLite store is sealed for; None where it names none."""
    opened = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        opened.set_busy_timeout(30_000)
        found = opened.execute("SELECT fingerprint FROM control_key").fetchall()
    except apsw.SQLError:
        return None  # Of a release before there was one.
    finally:
        opened.close()
    return str(found[0][0]) if found else None


def _places(settings: Settings) -> dict[str, Path]:
    """Return where the databases go; one that is no SQLite file stays in the home, under its name."""
    urls = {LOG: settings.log_url, CONTROL: settings.control_url}
    places = {name: path for name, url in urls.items() if (path := _sqlite_path(url)) is not None}
    return places | {CONTROL_KEY: settings.control_key_path}


def _sqlite_path(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def _copy_database(url: str, target: Path) -> Path | None:
    """Copy an SQLite database as it is at one moment, writers going on meanwhile; None for another kind."""
    path = _sqlite_path(url)
    if path is None:
        return None
    if not path.is_file():
        raise ThumbwheelError("nothing_there", f"There is no {path}.", "Is THUMBWHEEL_HOME right?")
    source = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    copied = apsw.Connection(str(target))
    try:
        source.set_busy_timeout(30_000)
        # All pages in one step: one read transaction, so writers neither disturb it nor start it anew.
        with copied.backup("main", source, "main") as step:
            step.step(-1)
    except apsw.Error as error:
        raise ThumbwheelError("not_copied", f"{path} could not be copied: {error}", "Try again.") from error
    finally:
        copied.close()
        source.close()
    return target


def _files(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name in the archive, path) of what cannot be made again."""
    for name in FOLDERS:
        for path in sorted((home / name).rglob("*")):
            inside = path.relative_to(home / name)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.is_file() and not path.is_symlink() and not hidden and inside.parts[0] not in REMADE:
                yield f"{name}/{inside.as_posix()}", path
    if (home / "dev.toml").is_file():
        yield "dev.toml", home / "dev.toml"


def _add(archive: tarfile.TarFile, name: str, path: Path) -> str:
    """Add a file as it is now; one that grows meanwhile is cut where it ended when it was opened."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        info = archive.gettarinfo(arcname=name, fileobj=file)
        info.mode = 0o600
        archive.addfile(info, _Hashing(file, digest))
    return digest.hexdigest()


def _add_bytes(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    info.mode = 0o600
    archive.addfile(info, io.BytesIO(body))


class _Hashing(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file = file
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        chunk = self._file.read(size)
        self._digest.update(chunk)
        return chunk


def _unpack(source: Path, folder: Path) -> dict[str, Any]:
    """Unpack into a folder and return the index, once every file is what the index says."""
    try:
        with tarfile.open(source, "r:") as archive:
            archive.extractall(folder, filter="data")
        found: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
        version, files = found["version"], dict(found["files"])
        found["left_out"] = list(found["left_out"])
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise _bad(source, str(error) or type(error).__name__) from error
    if version != VERSION:
        raise ThumbwheelError("newer_backup", f"{source} was written by another release.", "Use that release.")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {INDEX}
    if there != files.keys():
        raise _bad(source, f"it lacks {sorted(files.keys() - there)[:3]} or holds {sorted(there - files.keys())[:3]}")
    allowed = {LOG, CONTROL, CONTROL_KEY, "dev.toml"}
    for name, wanted in files.items():
        if name not in allowed and name.split("/")[0] not in FOLDERS:
            raise _bad(source, f"{name} has no place in a home")
        if _digest(folder / name) != wanted:
            raise _bad(source, f"{name} was changed")
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bad(source: Path, why: str) -> ThumbwheelError:
    return ThumbwheelError("bad_backup", f"{source} is no backup, or a damaged one: {why}.", "Use another one.")
