"""In: the bytes of a JSON array, chunk by chunk. Out: its rows as bytes, each found by its brackets and read alone.

A row is held whole only up to MAX_ROW_BYTES. Where brackets or quotes of a row do not match, the next row is looked for
by how rows of this file begin (`{` and the first row's first name): such bytes stand in no well-formed text, since a
quote inside one is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from contract.checks import MAX_DEPTH

# An event has 256 KiB at most; a row of escapes, or with columns nobody imports, is larger than what it makes.
MAX_ROW_BYTES = 1024 * 1024
KEPT_OF_TOO_LARGE = 2000
# Where the beginning of a row may be cut by the end of what is held.
_OVERLAP = 512
_TOKEN = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"|["{}\[\]]')
_BETWEEN = re.compile(rb"[\s,]*+")
_SCALAR = re.compile(rb'[^,\[\]{}"\n]++|.', re.DOTALL)
_FIRST_NAME = re.compile(rb'\{\s*+("[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+")')
_CLOSES = {0x7D: 0x7B, 0x5D: 0x5B}
# A row that opens more than this is no row that only nests deeply.
_MOST_OPEN = 300_000
QUOTE = 0x22
TOO_DEEP = f"the row nests more than {MAX_DEPTH} levels deep"
BREAKS = "the file breaks here, the rest cannot be read: the row does not end"


class Piece(NamedTuple):
    """The bytes of one row; or the beginning of them, and why the row cannot be read."""

    raw: bytes
    error: str | None = None


class _End(NamedTuple):
    """How far the row at the window's beginning reaches, and what is wrong with it; `found`: its end was."""

    at: int
    error: str | None = None
    found: bool = True


def split_rows(read: Callable[[], bytes]) -> Iterator[Piece]:
    """Yield the rows of arrays, or of objects one after another; `read` gives the next bytes, none at the end."""
    window = _Window(read)
    while window.to_row():
        if window.held[:1] == b"]":
            window.drop(1)
            window.closed = True
        elif window.closed and window.held[:1] == b"[":
            window.drop(1)
            window.closed = False
        else:
            yield window.row()
    if not window.closed:
        yield Piece(b"", "the file breaks here: its array does not end")


def depth(raw: bytes) -> int:
    """Return how deeply a text of JSON nests."""
    now = deepest = 0
    for token in _TOKEN.finditer(raw):
        byte = raw[token.start()]
        if byte in b"{[":
            now += 1
            deepest = max(deepest, now)
        elif byte in b"}]":
            now -= 1
    return deepest


def open_brackets(raw: bytes) -> int | None:
    """Return how many brackets a text leaves open; None where brackets do not match or a text does not end."""
    opened = bytearray()
    for token in _TOKEN.finditer(raw):
        byte = raw[token.start()]
        if byte in b"{[":
            opened.append(byte)
        elif byte in b"}]":
            if not opened or opened.pop() != _CLOSES[byte]:
                return None
        elif token.end() - token.start() == 1:
            return None
    return len(opened)


class _Window:
    """What is held of the file: from the beginning of a row on."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._start: re.Pattern[bytes] | None = None
        # The beginning of a row that is not held whole.
        self._head: bytes | None = None
        self.held = bytearray()
        self.closed = True

    def drop(self, count: int) -> None:
        """Forget so many bytes at the beginning."""
        del self.held[:count]

    def fill(self) -> bool:
        """Read on; False at the end of the file."""
        more = self._read()
        self.held += more
        return bool(more)

    def to_row(self) -> bool:
        """Drop what stands before the next row, or bracket of the array; False at the end of the file."""
        while True:
            self.drop(_BETWEEN.match(self.held).end())  # type: ignore[union-attr]
            if self.held:
                return True
            if not self.fill():
                return False

    def row(self) -> Piece:
        """Take the row that begins here."""
        self._head = None
        if self.held[0] not in b'{["':
            return self._scalar()
        end = self._end()
        if not end.found:
            return self._broken(end.error or BREAKS)
        raw = bytes(self.held[: end.at]) if end.error is None else self._beginning(end.at)
        self.drop(end.at)
        self._learn(raw)
        return Piece(raw, end.error)

    def _beginning(self, stop: int) -> bytes:
        return self._head or bytes(self.held[: min(stop, KEPT_OF_TOO_LARGE)])

    def _learn(self, raw: bytes) -> None:
        """Note how the rows of this file begin."""
        if self._start is None and (name := _FIRST_NAME.match(raw)):
            self._start = re.compile(rb"(?:,\s*+|\n\s*+)(\{\s*+" + re.escape(name[1]) + rb"\s*+:)")

    def _scalar(self) -> Piece:
        """Take what is no object, array or text: a number, a word, a stray bracket."""
        while True:
            found = _SCALAR.match(self.held)
            assert found is not None
            if found.end() < len(self.held) or len(self.held) > MAX_ROW_BYTES or not self.fill():
                break
        raw = bytes(found[0])
        self.drop(found.end())
        return Piece(raw[:KEPT_OF_TOO_LARGE])

    def _end(self) -> _End:
        """Find the end of the row: where its brackets are closed."""
        opened = bytearray()
        at, error = 0, None
        while True:
            found = _TOKEN.search(self.held, at)
            if found is None or (found.end() - found.start() == 1 and self.held[found.start()] == QUOTE):
                at = len(self.held) if found is None else found.start()
                if b"\n" in self.held[at:]:
                    return _End(at, error or "not JSON: a text does not end on its line", False)
                if len(self.held) > MAX_ROW_BYTES:
                    if self._start is not None and self._start.search(self.held, 1):
                        return _End(at, error or "not JSON: the row does not end", False)
                    error, at = error or f"the row is larger than {MAX_ROW_BYTES // 1024} KiB", self._shrink(at)
                if not self.fill():
                    return _End(at, error or BREAKS, False)
                continue
            at = found.end()
            byte = self.held[found.start()]
            if byte in b"{[":
                opened.append(byte)
                if len(opened) > MAX_DEPTH:
                    error = error or TOO_DEEP
                    if len(opened) > _MOST_OPEN:
                        return _End(at, error, False)
            elif byte in b"}]" and (not opened or opened.pop() != _CLOSES[byte]):
                return _End(at, error or "not JSON: its brackets do not match", False)
            if not opened:
                return _End(at, error)

    def _shrink(self, at: int) -> int:
        """Forget what was read of the row, which is over its size; return where to read on."""
        if self._head is None:
            self._head = bytes(self.held[:KEPT_OF_TOO_LARGE])
        if at < len(self.held):
            inside = self.held[at + 1 :]
            escaped = (len(inside) - len(inside.rstrip(b"\\"))) % 2
            self.held[:] = b'"' + b"\\" * escaped
            return 0
        self.drop(max(0, at - _OVERLAP))
        return len(self.held)

    def _broken(self, error: str) -> Piece:
        """Give up on a row, and go on where the next one seems to begin."""
        raw = self._beginning(len(self.held))
        self._learn(raw)
        start = self._start or re.compile(rb"\n\s*+(\{)")
        found = start.search(self.held, 1)
        if found is not None and self._head is None:
            raw = raw[: found.start()]
        while found is None:
            self.drop(max(0, len(self.held) - _OVERLAP))
            if not self.fill():
                self.held.clear()
                self.closed = True
                return Piece(raw, BREAKS)
            found = start.search(self.held, 1)
        self.drop(found.start(1))
        return Piece(raw, "not JSON: the row does not end" if error == BREAKS else error)
