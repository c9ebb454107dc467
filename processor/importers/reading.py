"""Files read row by row: JSON arrays and JSON lines, CSV. A bad row is a value, not the end."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ijson  # type: ignore[import-untyped]
import msgspec

Progress = Callable[[int, int], None]
PROGRESS_EVERY = 500


class RowError(ValueError):
    """A row that cannot be imported, and why."""


@dataclass(frozen=True)
class ReadRow:
    """One row: its number from 1 (the line, or the item of an array), and its value or its error."""

    number: int
    value: dict[str, Any] | None
    error: str | None = None
    raw: str = ""


def read_rows(path: Path, form: str, progress: Progress | None = None) -> Iterator[ReadRow]:
    """Yield the rows of a file; `form` is the import format. `progress` gets bytes read and bytes in all."""
    total = path.stat().st_size
    with path.open("rb") as file:
        rows = _csv(path) if form == "csv" else _array(file) if _is_array(file) else _lines(file)
        for position, row in enumerate(rows):
            if progress is not None and position % PROGRESS_EVERY == 0 and form != "csv":
                progress(min(file.tell(), total), total)
            yield row
    if progress is not None:
        progress(total, total)


def _is_array(file: IO[bytes]) -> bool:
    start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(3 if file.seek(0) == 0 and file.read(3) == b"\xef\xbb\xbf" else 0)
    return start.startswith(b"[")


def _array(file: IO[bytes]) -> Iterator[ReadRow]:
    number = 0
    try:
        for number, value in enumerate(ijson.items(file, "item", use_float=True), 1):
            yield _row(number, value)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        yield ReadRow(number + 1, None, f"the file breaks here, the rest cannot be read: {error}")


def _lines(file: IO[bytes]) -> Iterator[ReadRow]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield ReadRow(number, None, f"not JSON: {error}", line.decode("utf-8", "replace").rstrip("\n"))
            continue
        yield _row(number, value)


def _csv(path: Path) -> Iterator[ReadRow]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        while True:
            try:
                value = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnicodeDecodeError) as error:
                yield ReadRow(reader.line_num, None, f"the file breaks here, the rest cannot be read: {error}")
                return
            if None in value or None in value.values():
                yield ReadRow(reader.line_num, None, "the row has more or fewer cells than the header", repr(value))
            else:
                yield ReadRow(reader.line_num, dict(value))


def _row(number: int, value: Any) -> ReadRow:
    if isinstance(value, dict):
        return ReadRow(number, value)
    return ReadRow(number, None, "not a JSON object", repr(value)[:2000])
