"""Files read row by row: JSON arrays and JSON lines, CSV. A bad row is a value, not the end.

A row is found by its ends (a line, the brackets of an array's item, the quotes of a CSV record) and then read alone, so
that what is wrong with it costs no other. Memory is bounded by a row. What is wrong with the whole file is one row,
with a hint and the number of rows that nobody read for it.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contract.checks import MAX_DEPTH
from processor.importers import clues
from processor.importers.arrays import TOO_DEEP, depth, split_rows
from processor.importers.lines import Records, cells, split_lines

Progress = Callable[[int, int], None]
PROGRESS_EVERY = 500
CHUNK = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_KEPT = 2000
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


class RowError(ValueError):
    """A row that cannot be imported, and why."""


@dataclass(frozen=True)
class ReadRow:
    """One row: its number from 1 (the line, or the item of an array), and its value or its error.

    With `hint`, the error is that of the whole file, and `unread` rows were not read because of it.
    """

    number: int
    value: dict[str, Any] | None
    error: str | None = None
    raw: str = ""
    hint: str = ""
    unread: int = 0


@dataclass
class _Source:
    """A file read in chunks, from its beginning, without a byte order mark."""

    read: Callable[[int], bytes]
    head: bytes = b""
    done: int = 0

    def __post_init__(self) -> None:
        self.head = self.read(clues.HEAD_BYTES)
        self._next = self.head.removeprefix(_BOM)

    def chunk(self) -> bytes:
        """Return the next bytes, none at the end."""
        given, self._next = self._next or self.read(CHUNK), b""
        self.done += len(given)
        return given

    @property
    def array(self) -> bool:
        """Say whether it begins as a JSON array."""
        return self.head.removeprefix(_BOM).lstrip().startswith(b"[")

    @property
    def line_end(self) -> bytes:
        """Return what ends a line: some spreadsheets write carriage returns alone."""
        return b"\r" if b"\r" in self.head and b"\n" not in self.head else b"\n"


def read_rows(
    path: Path, form: str, progress: Progress | None = None, mapping: Mapping[str, str] | None = None
) -> Iterator[ReadRow]:
    """Yield the rows of a file; `form` is the import format. `progress` gets bytes read and bytes in all."""
    total = path.stat().st_size
    with path.open("rb") as file:
        source = _Source(file.read)
        for position, row in enumerate(_rows(source, form, mapping or {})):
            if progress is not None and position % PROGRESS_EVERY == 0:
                progress(min(source.done, total), total)
            yield row
    if progress is not None:
        progress(total, total)


def _rows(source: _Source, form: str, mapping: Mapping[str, str]) -> Iterator[ReadRow]:
    clue = clues.about_bytes(source.head)
    if clue is not None:
        return iter([_whole(clue, source, _rows_in(source, form, clue.encoding) if clue.encoding else 0)])
    if form == "csv":
        return _csv(source, mapping)
    if source.array:
        return _array(source)
    clue = clues.about_lines(source.head.removeprefix(_BOM))
    if clue is not None:
        return iter([_whole(clue, source, sum(1 for _ in split_rows(source.chunk)))])
    return _lines(source)


def _whole(clue: clues.Clue, source: _Source, rows: int) -> ReadRow:
    """Return the row that stands for a file none of whose `rows` can be read: it is one of them."""
    return ReadRow(1, None, clue.why, source.head[:_KEPT].decode("utf-8", "replace"), clue.hint, max(0, rows - 1))


def _rows_in(source: _Source, form: str, encoding: str) -> int:
    """Count the rows of a file in another encoding."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    decoded = _Source(lambda _: decoder.decode(source.chunk()).encode("utf-8", "replace"))
    if decoded.array:
        return sum(1 for _ in split_rows(decoded.chunk))
    filled = sum(1 for line in split_lines(decoded.chunk) if line.raw.strip())
    return filled - 1 if form == "csv" else filled


def _array(source: _Source) -> Iterator[ReadRow]:
    for number, piece in enumerate(split_rows(source.chunk), 1):
        yield _parsed(number, piece.raw, piece.error)


def _lines(source: _Source) -> Iterator[ReadRow]:
    for line in split_lines(source.chunk):
        if line.raw.strip():
            yield _parsed(line.number, line.raw.rstrip(b"\r\n"), line.error)


def _parsed(number: int, raw: bytes, error: str | None) -> ReadRow:
    """Return a row of JSON."""
    value = None
    if error is None:
        error = _fault(raw)
    if error is None:
        try:
            value = msgspec.json.decode(raw)
        except UnicodeDecodeError as fault:
            error = f"not UTF-8: {fault}"
        except (msgspec.MsgspecError, RecursionError, ValueError) as fault:
            error = f"not JSON: {fault}"
    if error is None and not isinstance(value, dict):
        error = "not a JSON object"
    if error is None:
        return ReadRow(number, value)
    return ReadRow(number, None, error, raw.decode("utf-8", "replace"))


def _fault(raw: bytes) -> str | None:
    """Return why bytes must not be given to the JSON decoder, or what it would not say in so many words."""
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and depth(raw) > MAX_DEPTH:
        return TOO_DEEP
    if _ESCAPED_SURROGATE.search(raw) and (half := _half_a_character(raw)):
        return f"a text holds half a character ({half})"
    return None


def _half_a_character(raw: bytes) -> str | None:
    """Return the first escape of a UTF-16 surrogate without its other half."""
    high: tuple[int, str] | None = None
    for found in _ESCAPE.finditer(raw):
        unit = int(found[1], 16) if found[1] else 0
        if high is not None:
            if high[0] == found.start() and 0xDC00 <= unit < 0xE000:
                high = None
                continue
            return high[1]
        if 0xD800 <= unit < 0xDC00:
            high = found.end(), found[0].decode()
        elif 0xDC00 <= unit < 0xE000:
            return found[0].decode()
    return high[1] if high else None


def _csv(source: _Source, mapping: Mapping[str, str]) -> Iterator[ReadRow]:
    records = Records(split_lines(source.chunk, source.line_end))
    header: list[str] | None = None
    for record in records:
        found: list[str] = []
        error = record.error
        if error is None:
            try:
                found = cells(record.raw)
            except UnicodeDecodeError as fault:
                error = f"not UTF-8: {fault}"
            except csv.Error as fault:
                error = f"not CSV: {fault}"
        if header is None:
            clue = clues.about_header(found, mapping) if error is None else clues.Clue(error, "Mend the header.")
            if clue is not None:
                yield _whole(clue, source, 1 + sum(1 + record.swallowed for record in records))
                return
            header, records.columns = found, len(found)
            continue
        if error is None and len(found) != len(header):
            error = "the row has more or fewer cells than the header"
        raw = "" if error is None else record.raw.decode("utf-8", "replace")
        value = dict(zip(header, found, strict=True)) if error is None else None
        yield ReadRow(record.number, value, error, raw, unread=record.swallowed)
