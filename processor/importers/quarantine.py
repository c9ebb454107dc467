"""In: rows that were refused. Out: a file of them, beside the imported one where that can be written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import IO, Any

from contract.errors import ThumbwheelError


class Quarantine:
    """The file refused rows are kept in; made when the first one comes, never on a dry run."""

    def __init__(self, path: Path, given: Path | None, dry_run: bool) -> None:
        name = f"{path.name}.quarantine.jsonl"
        self._places = [given] if given else [path.with_name(name), Path(tempfile.gettempdir()) / name]
        self._file: IO[str] | None = None
        self._dry_run = dry_run
        self.name: str | None = None

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, value: dict[str, Any]) -> None:
        """Keep one refused row."""
        if self._dry_run:
            return
        if self._file is None:
            self._file = self._open()
        self._file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")

    def _open(self) -> IO[str]:
        for place in self._places:
            try:
                file = place.open("w", encoding="utf-8", errors="replace")
            except OSError:
                continue
            self.name = str(place)
            return file
        raise ThumbwheelError(
            "quarantine", f"No quarantine file can be written ({self._places[0]}).", "Import from a folder of yours."
        )
