"""The folder of parts: any address fsspec knows. A part's name says all that is needed to choose one.

00003/0-5120.0-17.2.9f2c41d8.12.processor-0.part
partition/events from-to . rejected from-to . forgets . version . generation . owner
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from contract.errors import SettingsError, ThumbwheelError

_NAME = re.compile(r"(\d{5})/(\d+)-(\d+)\.(\d+)-(\d+)\.(\d+)\.([0-9a-f]{8})\.(\d+)\.([A-Za-z0-9_-]+)\.part\Z")
# Parts are written and read through folders of such names beside the tables.
SCRATCH = "part-"


class Reached(NamedTuple):
    """Next offsets of one partition of the events topic and of the same partition of the rejected topic."""

    events: int
    rejected: int


class Part(NamedTuple):
    """One file. `forgets` counts the `forget` facts its writer had carried out; `version` is that of its rows."""

    partition: int
    start: Reached
    stop: Reached
    forgets: int
    version: str
    generation: int
    owner: str
    size: int = 0

    @property
    def base(self) -> bool:
        """Say whether it holds the whole partition."""
        return self.start == (0, 0)

    @property
    def name(self) -> str:
        """Return its path below the folder."""
        return (
            f"{self.partition:05d}/{self.start.events}-{self.stop.events}.{self.start.rejected}-{self.stop.rejected}"
            f".{self.forgets}.{self.version}.{self.generation}.{self.owner}.part"
        )

    def follows(self, held: Reached | None) -> bool:
        """Say whether taking it in moves a store that holds the partition up to `held` on, without a gap."""
        if held is None:
            return self.base
        begins = self.start.events <= held.events and self.start.rejected <= held.rejected
        ends = self.stop.events >= held.events and self.stop.rejected >= held.rejected
        return begins and ends and self.stop != held


def next_part(parts: Iterable[Part], held: Reached | None, version: str, forgets: int) -> Part | None:
    """Return the part to take in next, or None: what changed, as far as it goes, else a base that goes further.

    A part of another release, or of one who had not yet carried out what this store has forgotten, is not taken.
    """
    fit = [part for part in parts if part.version == version and part.forgets >= forgets and part.follows(held)]
    changes = [part for part in fit if not part.base]
    return max(changes or fit, key=lambda part: (part.stop, part.name), default=None)


class PartsFolder:
    """The parts at an address; raises ThumbwheelError where it cannot be used."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise SettingsError(
                "parts_address", f"THUMBWHEEL_PARTS={url!r} cannot be used: {error}",
                "Name a folder all processors reach, or an address fsspec knows, with its package installed.",
                "THUMBWHEEL_PARTS",
            ) from error  # fmt: skip

    def parts(self) -> dict[int, list[Part]]:
        """Return the parts of each partition; files of other names do not count."""
        try:
            self._files.invalidate_cache()
            found = self._files.find(self._root, detail=True)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        parts: dict[int, list[Part]] = {}
        for path, about in found.items():
            if match := _NAME.search(path):
                numbers = [int(match[n]) for n in range(1, 7)]
                part = Part(
                    numbers[0], Reached(numbers[1], numbers[3]), Reached(numbers[2], numbers[4]), numbers[5],
                    match[7], int(match[8]), match[9], int(about.get("size") or 0),
                )  # fmt: skip
                parts.setdefault(part.partition, []).append(part)
        return parts

    def put(self, part: Part, file: Path) -> None:
        """Store a file under the part's name; it is there whole or not at all."""
        path = self._path(part)
        try:
            if isinstance(self._files, LocalFileSystem):
                self._put_local(file, f"{path}.new")
                self._files.mv(f"{path}.new", path)
            else:
                # An object appears once it is whole.
                self._files.put_file(str(file), path)
        except OSError as error:
            raise self._unusable(error) from error

    def _put_local(self, file: Path, path: str) -> None:
        """Write a file that those may read who may read the folder of parts: processors may run as several users."""
        folder = path.rpartition("/")[0]
        self._files.makedirs(folder, exist_ok=True)
        mode = stat.S_IMODE(os.stat(self._root).st_mode)
        with suppress(PermissionError):  # Another processor made it, with this mode.
            os.chmod(folder, mode)
        self._files.put_file(str(file), path)
        os.chmod(path, mode & 0o666)

    def fetch(self, part: Part, file: Path) -> bool:
        """Copy a part into a file; False when it has been removed, which a newer base makes good."""
        try:
            self._files.get_file(self._path(part), str(file))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unusable(error) from error
        return True

    def remove(self, parts: Iterable[Part]) -> None:
        """Remove parts; one that is gone already is no error."""
        self._remove(self._path(part) for part in parts)

    def remove_unfinished(self, owner: str) -> None:
        """Remove what this owner was writing when it was killed."""
        try:
            self._remove(path for path in self._files.find(self._root) if path.endswith(f".{owner}.part.new"))
        except FileNotFoundError:
            return

    def _remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                self._files.rm_file(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unusable(error) from error

    def _path(self, part: Part) -> str:
        return f"{self._root.rstrip('/')}/{part.name}"

    def _unusable(self, error: OSError) -> ThumbwheelError:
        return ThumbwheelError(
            "parts_unusable", f"The parts in {self.url} cannot be read or written: {error}",
            "Check that the folder is there and that this processor may write it.", status=503,
        )  # fmt: skip
