"""Files of other people as they are: a bad row costs itself, whatever the format, and what was not read is counted."""

from __future__ import annotations

import csv
import io
import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.log import Log
from eventlog.opening import open_log
from processor.importers import import_file
from processor.importers.arrays import MAX_ROW_BYTES, split_rows
from processor.importers.load import ImportReport
from processor.importers.reading import ReadRow, read_rows


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = open_log(f"sqlite:///{tmp_path}/log/events.db")
    yield opened
    opened.close()


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Where is parcel {number}?", "completion": f"At {number}.", **more}


def rows(path: Path, content: bytes, form: str = "trl") -> list[ReadRow]:
    path.write_bytes(content)
    return list(read_rows(path, form))


def values(found: list[ReadRow]) -> list[Any]:
    return [one.value for one in found if one.value is not None]


FIRST, LAST = json.dumps(row(1)).encode(), json.dumps(row(2)).encode()
BAD = {
    "not a number": (b'{"prompt": "q", "completion": "a", "score": NaN}', "not JSON"),
    "infinite": (b'{"prompt": "q", "completion": "a", "score": 1e999}', "not JSON"),
    "over 64 bits": (b'{"prompt": "q", "completion": "a", "id": 123456789012345678901234567890}', "more than 64 bits"),
    "a high half": (rb'{"prompt": "q", "completion": "\ud83d"}', "half a character"),
    "a low half": (rb'{"prompt": "q", "completion": "\udc4d"}', "half a character"),
    "a high half before Chinese": ('{"prompt": "q", "completion": "\\ud83d你"}'.encode(), "half a character"),
    "a high half before another escape": (rb'{"prompt": "q", "completion": "\ud83d\u4f60"}', "half a character"),
    "an escaped backslash before a half": (rb'{"prompt": "q", "completion": "\\\ud83d"}', "half a character"),
    "a trailing comma": (b'{"prompt": "q", "completion": "a",}', "not JSON"),
    "a number with a nought": (b'{"prompt": "q", "completion": "a", "n": 01}', "not JSON"),
    "one Latin-1 byte": (b'{"prompt": "q", "completion": "caf\xe9"}', "not UTF-8"),
    "no object": (b'"a text"', "not a JSON object"),
    "nested too deeply": (b'{"prompt": "q", "x": ' + b"[" * 300 + b"]" * 300 + b"}", "deep"),
    "too large": (b'{"prompt": "q", "completion": "' + b"a" * MAX_ROW_BYTES + b'"}', "larger than"),
    "a wrong bracket": (b'{"prompt": "q", "completion": ["a"}', "not JSON"),
}


@pytest.mark.parametrize("joined", ["array", "array on one line", "pretty array", "lines"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_costs_itself(tmp_path: Path, log: Log, name: str, joined: str) -> None:
    bad, why = BAD[name]
    if joined == "lines":
        content = b"\n".join([FIRST, bad, LAST])
    elif joined == "pretty array":
        content = b"[\n  " + b",\n  ".join([json.dumps(row(1), indent=4).encode(), bad, LAST]) + b"\n]\n"
    else:
        content = b"[" + (b",\n" if joined == "array" else b",").join([FIRST, bad, LAST]) + b"]"
    (tmp_path / "f.data").write_bytes(content)
    report = import_file(tmp_path / "f.data", "trl", "default", log)
    assert (report.rows, report.imported, report.quarantined, report.whole) == (3, 2, 1, False)
    assert why in report.errors[0]
    if joined != "pretty array":
        assert report.errors[0].startswith("row 2: ")
    kept = [json.loads(line) for line in Path(str(report.quarantine)).read_text("utf-8").splitlines()]
    assert len(kept) == 1 and kept[0]["error"] == report.errors[0].partition(": ")[2]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"prompt": "q, "completion": "a"}', b'{"prompt": "q", "completion": "a', b'{"prompt": {"completion": "a"}',
        b'{"prompt": "q", "completion": "a"}}', b'{"prompt": "q", "completion": "a"', b'{"prompt": "q" "',
    ],
)  # fmt: skip
@pytest.mark.parametrize("between", [b",", b",\n", b",\n  "])
def test_a_row_without_an_end_leaves_the_next_ones(tmp_path: Path, broken: bytes, between: bytes) -> None:
    good = [json.dumps(row(number)).encode() for number in range(6)]
    found = rows(tmp_path / "f.json", b"[" + between.join([*good[:3], broken, *good[3:]]) + b"]")
    assert [value for value in values(found) if value["prompt"] != "q"] == [row(number) for number in range(6)]
    assert sum(one.error is not None for one in found) == 1


def test_an_array_that_is_cut_between_rows_says_so(tmp_path: Path) -> None:
    for end in (b"", b",", b",\n"):
        found = rows(tmp_path / "f.json", b"[" + FIRST + end)
        assert [one.error for one in found] == [None, "the file breaks here: its array does not end"]
    assert [one.error for one in rows(tmp_path / "f.json", b"[" + FIRST + b",]")] == [None]


def test_names_that_come_again_inside_a_row_are_no_beginnings(tmp_path: Path) -> None:
    given = [{"id": n, "turns": [{"id": 1}, {"id": 2}], "text": '},{"id": 3'} for n in range(20)]
    assert values(rows(tmp_path / "f.json", json.dumps(given).encode())) == given
    assert values(rows(tmp_path / "f.json", json.dumps(given, indent=2).encode())) == given


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65536])
def test_rows_do_not_depend_on_how_the_file_is_read(size: int) -> None:
    given = [{"prompt": 'a "quoted\\" one [{', "n": [[n], {"x": "\\\\"}], "z": "你好\u2028"} for n in range(30)]
    for text in (json.dumps(given), json.dumps(given, ensure_ascii=False, indent=1)):
        file = io.BytesIO(text.encode())
        assert [json.loads(piece.raw) for piece in split_rows(lambda: file.read(size))] == [[*given]][0]  # noqa: B023


def test_memory_is_bounded_by_a_row(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    endless = (b"[" * 20_000_000, b'[{"a": "' + b"x" * 40_000_000, b"[" + b"{}," * 100_000, b'{"a":' * 5_000_000)
    for content in endless:
        path.write_bytes(content)
        tracemalloc.start()
        for _ in read_rows(path, "trl"):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 16 * MAX_ROW_BYTES


HEADER = b"prompt,completion\n"
CSV_BAD = {
    "a quote that stays open": b'"never ends,a\n',
    "a quote inside a cell": b'"q"x,a\n',
    "two rows with quotes inside": b'"q"x,a\n"r"y,b\n',
    "one Latin-1 byte": b"caf\xe9,a\n",
    "too many cells": b"q,a,b\n",
    "a cell over the limit": b"q," + b"a" * (MAX_ROW_BYTES + 1) + b"\n",
}


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("name", CSV_BAD)
def test_a_bad_record_of_csv_costs_itself(tmp_path: Path, name: str, quoted: bool) -> None:
    first, rest = (
        b"q1,a1\n",
        b"".join(b'"q%d","a%d"\n' % (n, n) if quoted else b"q%d,a%d\n" % (n, n) for n in range(2, 9)),
    )
    found = rows(tmp_path / "f.csv", HEADER + first + CSV_BAD[name] + rest, "csv")
    assert values(found) == [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(1, 9)]
    assert len(found) == 8 + (2 if name.startswith("two") else 1)


def test_csv_is_read_as_the_standard_module_reads_it(tmp_path: Path) -> None:
    chance = random.Random(20_261_129)
    for _ in range(200):
        given = [["".join(chance.choices('ab ,"\n;你', k=chance.randrange(6))) or "x" for _ in "123"] for _ in range(9)]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator=chance.choice(["\n", "\r\n"])).writerows([["prompt", "b", "c"], *given])
        found = rows(tmp_path / "f.csv", text.getvalue().encode(), "csv")
        assert [list((one.value or {}).values()) for one in found] == given


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    found = rows(tmp_path / "f.csv", HEADER + b"q," + b"a" * 200_000 + b"\n", "csv")
    assert len(values(found)[0]["completion"]) == 200_000


def test_lines_that_a_record_swallowed_are_counted(tmp_path: Path, log: Log) -> None:
    (tmp_path / "f.csv").write_bytes(HEADER + b"q1,a1\n" + b'"never ends\n' + b"no row at all\n" * 40)
    report = import_file(tmp_path / "f.csv", "csv", "default", log)
    assert (report.imported, report.quarantined, report.unread) == (1, 1, 40)
    assert "the file breaks here" in report.errors[0]


PRETTY = json.dumps({"data": [row(1), row(2)]}, indent=2).encode()
CHINESE = [{"prompt": f"第{number}个问题怎么办？", "completion": "请先重新启动应用。"} for number in range(4)]
WHOLE = {
    "pretty object": ("trl", PRETTY, "one object a line", 0),
    "pretty objects": ("trl", b"\n".join(json.dumps(row(n), indent=1).encode() for n in range(5)), "object a line", 4),
    "GB18030 lines": (
        "trl", "\n".join(json.dumps(r, ensure_ascii=False) for r in CHINESE).encode("gb18030"), "iconv -f GB18030", 3),
    "GB18030 array": ("trl", json.dumps(CHINESE, ensure_ascii=False).encode("gb18030"), "iconv -f GB18030", 3),
    "UTF-16 array": ("trl", json.dumps(CHINESE, ensure_ascii=False).encode("utf-16"), "iconv -f UTF-16", 3),
    "UTF-16 lines without a mark": ("trl", FIRST.decode().encode("utf-16-le") * 3, "iconv -f UTF-16-LE", 0),
    "Latin-1 lines": ("trl", '{"prompt": "où?", "completion": "là"}\n'.encode("latin-1") * 9, "WINDOWS-1252", 8),
    "UTF-16 table": ("csv", (HEADER + b"q,a\n" * 3).decode().encode("utf-16"), "iconv -f UTF-16", 2),
    "semicolons": ("csv", b"prompt;completion\n" + b"q;a\n" * 3, "commas", 3),
    "tabs": ("csv", b"prompt\tcompletion\nq\ta\n", "commas", 1),
    "a name twice": ("csv", b"prompt,completion,completion\nq,a,b\n", "Rename", 1),
    "a space in the header": ("csv", b"prompt, completion\nq,a\n", "", 0),
    "a space before prompt": ("csv", b" prompt,completion\nq,a\nr,b\n", "--mapping prompt=", 2),
    "no prompt": ("csv", b"question,completion\nq,a\n", "--mapping prompt=COLUMN", 1),
    "gzip": ("trl", b"\x1f\x8b\x08\x00" + b"\x00" * 20, "Unpack", 0),
    "Parquet": ("trl", b"PAR1" + bytes(range(200)), "convert", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_wrong_with_a_whole_file_is_said_once(tmp_path: Path, log: Log, name: str) -> None:
    form, content, hint, unread = WHOLE[name]
    (tmp_path / "f").write_bytes(content)
    report: ImportReport = import_file(tmp_path / "f", form, "default", log)
    if not hint:
        assert (report.quarantined, report.errors) == (1, ["row 2: a reply is empty"])
        return
    assert (report.rows, report.imported, report.quarantined, report.unread) == (1, 0, 1, unread)
    assert len(report.hints) == 1 and hint in report.hints[0]
    assert not report.whole


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[]", b"\xef\xbb\xbf[ ]"])
def test_a_file_without_rows_is_not_taken(tmp_path: Path, log: Log, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    report = import_file(tmp_path / "f", "trl", "default", log)
    assert (report.rows, report.hints, report.whole) == (0, ["The file holds no rows."], False)


@pytest.mark.parametrize(
    "content",
    [
        '{"prompt": "r\xe9sum\xe9s?", "completion": "a"}\n'.encode("latin-1") + FIRST,
        '{"prompt": "你好吗", "completion": "a"}'.encode() + b'\n{"prompt": "\xe9"}\n' + FIRST,
        '[{"prompt": "你好吗", "completion": "a"}, '.encode() + b'{"prompt": "\xe9t\xe9"}, ' + FIRST + b"]",
        b'{"prompt": \n' + FIRST + b"\n" + LAST,
        b'{"prompt": "caf\xe9?"}\n' * 6 + (FIRST + b"\n") * 9,
    ],
)  # fmt: skip
def test_one_bad_row_is_no_other_encoding_and_no_other_form(tmp_path: Path, content: bytes) -> None:
    assert len(values(rows(tmp_path / "f", content))) >= 1
    assert all(not one.hint for one in rows(tmp_path / "f", content))
