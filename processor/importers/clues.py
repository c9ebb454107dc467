"""In: the beginning of a file. Out: the one thing that is wrong with all of it, and what to do; or None."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from processor.importers.arrays import open_brackets

HEAD_BYTES = 64 * 1024
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip file", b"PAR1": "a Parquet file", b"\x28\xb5\x2f\xfd": "zstd"}
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
# The common ideographs: text that is read in a wrong encoding holds few of them.
_CHINESE = re.compile("[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]")
_FOREIGN = re.compile("[^\x00-\x7f]")


class Clue(NamedTuple):
    """Why no row of a file can be read, and what to do; `encoding` as Python names it, where that is the reason."""

    why: str
    hint: str
    encoding: str = ""


def about_bytes(head: bytes) -> Clue | None:
    """Say whether a file is packed, or in another encoding than UTF-8."""
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            return Clue(f"the file is {name}", "Unpack or convert it to JSON lines first.")
    encoding = _encoding(head)
    if not encoding:
        return None
    return Clue(
        f"the file is not UTF-8, it looks like {encoding.upper()}",
        f"Convert it: iconv -f {encoding.upper()} -t UTF-8 FILE > NEW", encoding,
    )  # fmt: skip


def _encoding(head: bytes) -> str:
    """Return the encoding of text that is not UTF-8 throughout; nothing where single lines are wrong."""
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    if head and head.count(0) * 4 >= len(head):
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    lines = [line for line in head.split(b"\n")[: -1 if head.count(b"\n") else None] if not line.isascii()]
    wrong = [line for line in lines if not _decodes(line, "utf-8")]
    if not wrong or len(wrong) * 2 < len(lines):
        return ""
    raw = b"\n".join(wrong)
    read_as_utf8 = _FOREIGN.findall(raw.decode("utf-8", "replace"))
    if read_as_utf8.count("\ufffd") * 2 < len(read_as_utf8):
        return ""
    foreign = _FOREIGN.findall(raw.decode("gb18030", "replace"))
    high = sum(byte > 0x7F for byte in raw)
    # Chinese takes two high bytes a character; an accent before a letter reads as one, too, with a low one.
    if high * 2 >= len(foreign) * 3 and sum(map(_is_chinese, foreign)) * 10 >= len(foreign) * 9:
        return "gb18030"
    # Such a byte costs its row; where most rows have one it is an encoding.
    return "windows-1252" if len(wrong) >= 5 and len(wrong) * 2 > head.count(b"\n") else ""


def _is_chinese(character: str) -> bool:
    return _CHINESE.match(character) is not None


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def about_lines(head: bytes) -> Clue | None:
    """Say whether what should be an object a line is one object over many lines."""
    lines = [line for line in head.split(b"\n") if line.strip()]
    if len(lines) < 2 or not lines[0].lstrip().startswith(b"{") or not open_brackets(lines[0]):
        return None
    if any(_is_object(line) for line in lines[1:6]):
        return None
    if open_brackets(head[: head.rfind(b"\n")]) is None:
        return None
    return Clue(
        "an object of JSON goes over many lines",
        "Write one object a line (jq -c . FILE > NEW), or put the rows into an array: [{...}, {...}].",
    )


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def about_header(header: Sequence[str], mapping: Mapping[str, str]) -> Clue | None:
    """Say what is wrong with the header of a CSV file. `mapping` names the columns of fields."""
    if len(header) == 1 and (found := re.search(r"[;\t|]", header[0])):
        mark = {"\t": "tabs"}.get(found[0], found[0])
        return Clue(f"the cells are separated by {mark}, not by commas", "Save the file with commas between the cells.")
    for name in header:
        if header.count(name) > 1:
            return Clue(f"the header names column {name!r} twice", "Rename one of them.")
    for field, column in mapping.items() if "prompt" in mapping else [*mapping.items(), ("prompt", "prompt")]:
        if column in header:
            continue
        near = next((name for name in header if name.strip().casefold() == column.strip().casefold()), None)
        if near is not None:
            return Clue(
                f"the header has {near!r} where {column!r} is looked for",
                f"Rename the column, or add --mapping {field}={near!r}.",
            )
        return Clue(
            f"there is no column {column!r} for {field}",
            f"The header has {', '.join(header)[:300]}; name the right one with --mapping {field}=COLUMN.",
        )
    return None
