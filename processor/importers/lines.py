"""In: a file. Out: its lines, and the records of a CSV file, as bytes; none is held beyond MAX_ROW_BYTES.

A record whose quotes are wrong takes its line with it. Lines it would swallow are rows again when they read as such.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from processor.importers.arrays import BREAKS, KEPT_OF_TOO_LARGE, MAX_ROW_BYTES

TOO_LARGE = f"the row is larger than {MAX_ROW_BYTES // 1024} KiB"
# How much of what a broken record would swallow is tried.
_PROBED_LINES = 20
_PROBED_RECORDS = 5


class Line(NamedTuple):
    """One line with its end, or one record of several; `number` is that of its last line, from 1."""

    number: int
    raw: bytes
    error: str | None = None
    # Lines that belong to it, or that nobody read because of it.
    swallowed: int = 0


def split_lines(read: Callable[[], bytes], end: bytes = b"\n") -> Iterator[Line]:
    """Yield the lines of a file; `read` gives the next bytes, none at the end."""
    held, number, head = bytearray(), 0, b""
    while more := read():
        start = len(held)
        held += more
        if end not in more:
            if len(held) > MAX_ROW_BYTES:
                head = head or bytes(held[:KEPT_OF_TOO_LARGE])
                held.clear()
            continue
        stop = held.rfind(end, start) + 1
        for raw in bytes(held[:stop]).split(end)[:-1]:
            number += 1
            yield _line(number, raw + end, head)
            head = b""
        del held[:stop]
    if held or head:
        yield _line(number + 1, bytes(held), head)


def _line(number: int, raw: bytes, head: bytes) -> Line:
    if head or len(raw) > MAX_ROW_BYTES:
        return Line(number, head or raw[:KEPT_OF_TOO_LARGE], TOO_LARGE)
    return Line(number, raw)


class Records:
    """The records of a CSV file, one after another; `columns` is set when the header has been read."""

    def __init__(self, lines: Iterator[Line]) -> None:
        csv.field_size_limit(MAX_ROW_BYTES)
        self._lines = lines
        self._given_back: deque[Line] = deque()
        self.columns = 0

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        while not (first := self._next()).raw.strip(b"\r\n"):
            pass
        if first.error is not None:
            return first
        lines, size = [first], len(first.raw)
        inside, stray = _scan(first.raw, False)
        while inside and size <= MAX_ROW_BYTES:
            try:
                following = self._next()
            except StopIteration:
                break
            lines.append(following)
            size += len(following.raw)
            inside, astray = _scan(following.raw, inside)
            stray = stray or astray
        if inside or stray or size > MAX_ROW_BYTES:
            return self._broken(lines, inside, stray)
        return Line(lines[-1].number, b"".join(line.raw for line in lines))

    def _next(self) -> Line:
        return self._given_back.popleft() if self._given_back else next(self._lines)

    def _broken(self, lines: list[Line], inside: bool, stray: bool) -> Line:
        """Return a record whose quotes are wrong, or that is too large."""
        first = lines[0]
        if self._are_rows(lines[1:]):
            self._given_back.extendleft(reversed(lines[1:]))
            why = "a quote stands inside a cell" if stray else "a quoted cell does not end"
            return Line(first.number, first.raw[:KEPT_OF_TOO_LARGE], why)
        raw = b"".join(line.raw for line in lines)[:KEPT_OF_TOO_LARGE]
        last, more = lines[-1], 0
        while inside:
            try:
                last = self._next()
            except StopIteration:
                return Line(last.number, raw, BREAKS, len(lines) - 1 + more)
            more += 1
            inside, _ = _scan(last.raw, inside)
        return Line(last.number, raw, "a quote stands inside a cell" if stray else TOO_LARGE)

    def _are_rows(self, lines: list[Line]) -> bool:
        """Say whether lines read as rows of as many cells as the header has, taken as records or each alone."""
        alone = [_count(line.raw) == self.columns for line in lines[:_PROBED_LINES]]
        if alone and sum(alone) * 2 >= len(alone):
            return True
        counts: list[int] = []
        inside, held = False, b""
        for line in lines:
            held += line.raw
            inside, stray = _scan(line.raw, inside)
            if stray or len(counts) == _PROBED_RECORDS:
                break
            if not inside:
                counts.append(_count(held))
                held = b""
        return bool(counts) and all(count == self.columns for count in counts)


def _scan(line: bytes, inside: bool) -> tuple[bool, bool]:
    """Read one line of a record; return whether a quoted cell goes on after it, and whether a quote stood inside one.

    `inside`: a quoted cell goes on from the line before.
    """
    at, stray = 0, False
    while True:
        if not inside:
            if line[at : at + 1] == b'"':
                inside, at = True, at + 1
                continue
            at = line.find(b",", at) + 1
            if at == 0:
                return False, stray
            continue
        end = line.find(b'"', at)
        if end < 0:
            return True, stray
        following = line[end + 1 : end + 2]
        if following in (b"", b"\n", b"\r"):
            return False, stray
        inside = following != b","
        stray = stray or following not in (b",", b'"')
        at = end + (1 if inside and following != b'"' else 2)


def _count(record: bytes) -> int:
    try:
        return len(cells(record))
    except (csv.Error, UnicodeDecodeError):
        return 0


def cells(record: bytes) -> list[str]:
    """Return the cells of one record. Raises csv.Error, UnicodeDecodeError."""
    return next(csv.reader(io.StringIO(record.decode("utf-8"), newline=""), strict=True), [])
