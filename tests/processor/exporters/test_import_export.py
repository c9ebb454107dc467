"""Files of other tools, in and out again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.errors import ThumbwheelError
from contract.topics import EVENTS
from eventlog.log import Log
from processor.datasets import build_dataset, dataset_folder
from processor.exporters import export_dataset
from processor.history.replay import open_store
from processor.importers import import_file
from processor.ingest.runner import Runner
from processor.tables.store import Store
from runtime.settings import Settings

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}]


@pytest.fixture
def stored(settings: Settings, log: Log) -> Iterator[Callable[[], Store]]:
    """Bring the tables up to the log's end and return them."""
    opened: list[Store] = []

    def catch_up() -> Store:
        if not opened:
            opened.append(open_store(settings, log))
        runner = Runner(opened[0], log)
        runner.start()
        while opened[0].offsets()[EVENTS, 0] < log.end_offset(EVENTS, 0):
            assert runner.error is None
        runner.stop()
        return opened[0]

    yield catch_up
    for store in opened:
        store.close()


def query(store: Store, text: str) -> list[Any]:
    with store.read() as cursor:
        return cursor.execute(text).fetchall()


def write(path: Path, rows: list[Any], lines: bool = True) -> Path:
    text = "\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows)
    path.write_text(text, "utf-8")
    return path


SHAPES: list[tuple[str, dict[str, Any], str]] = [
    ("sharegpt", {"conversations": [{"from": "system", "value": "Be brief."},
                                    {"from": "human", "value": "Where is it?"}],
                  "chosen": {"from": "gpt", "value": "Here."},
                  "rejected": {"from": "gpt", "value": "Gone."}}, "choice"),
    ("sharegpt", {"messages": [*CHAT, {"role": "assistant", "content": "Here."}], "label": False}, "thumb"),
    ("sharegpt", {"system": "Be brief.", "conversations": [{"from": "human", "value": "Where is it?"},
                  {"from": "gpt", "value": "Here."}]}, "edit"),
    ("alpaca", {"system": "Be brief.", "instruction": "Where", "input": "is it?", "output": "Here."}, "edit"),
    ("alpaca", {"instruction": "Where is it?", "chosen": "Here.", "rejected": "Gone."}, "choice"),
    ("trl", {"prompt": CHAT, "chosen": [{"role": "assistant", "content": "Here."}],
             "rejected": [{"role": "assistant", "content": "Gone."}]}, "choice"),
    ("trl", {"prompt": "Where is it?", "chosen": "Here.", "rejected": "Gone."}, "choice"),
    ("trl", {"chosen": [*CHAT, {"role": "assistant", "content": "Here."}],
             "rejected": [*CHAT, {"role": "assistant", "content": "Gone."}]}, "choice"),
    ("trl", {"prompt": "Where is it?", "completion": "Here.", "label": True}, "thumb"),
    ("trl", {"prompt": "Where is it?", "completion": "Here."}, "edit"),
    ("openai", {"messages": [*CHAT, {"role": "assistant", "content": "Here."}]}, "edit"),
    ("openai", {"input": {"messages": CHAT}, "preferred_output": [{"role": "assistant", "content": "Here."}],
                "non_preferred_output": [{"role": "assistant", "content": "Gone."}]}, "choice"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "kind"), SHAPES)
def test_each_shape_is_understood(tmp_path: Path, log: Log, form: str, row: dict[str, Any], kind: str) -> None:
    report = import_file(write(tmp_path / "f.jsonl", [row]), form, "default", log)
    assert (report.errors, report.kinds) == ([], {kind: 1})


def test_imported_rows_train(tmp_path: Path, log: Log, stored: Callable[[], Store]) -> None:
    for number, (form, row, _) in enumerate(SHAPES):
        import_file(write(tmp_path / f"{number}.jsonl", [row]), form, "default", log)
    store = stored()
    kinds = query(store, "SELECT DISTINCT kind, chosen, rejected, trainable, chosen_model FROM pairs")
    assert kinds == [("import", "Here.", "Gone.", True, None)]
    assert query(store, "SELECT DISTINCT kind, text, trainable FROM demonstrations") == [("import", "Here.", True)]
    assert query(store, "SELECT DISTINCT actor_kind, via FROM feedback") == [("expert", "import")]
    assert query(store, "SELECT label FROM unpaired ORDER BY 1") == [(False,), (True,)]


def test_importing_twice_changes_nothing(tmp_path: Path, log: Log, stored: Callable[[], Store]) -> None:
    path = write(tmp_path / "f.jsonl", [SHAPES[5][1]] * 2)
    assert import_file(path, "trl", "default", log).repeated == 1
    again = import_file(path, "trl", "default", log)
    assert (again.imported, again.unchanged, again.repeated, again.whole) == (0, 1, 1, True)
    store = stored()
    assert query(store, "SELECT count(*) FROM events") == [(2,)]
    assert query(store, "SELECT count(*) FROM conflicts") == [(0,)]


def test_errors_name_the_line_and_the_rows_are_kept(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "f.jsonl"
    good = json.dumps({"prompt": "q", "completion": "a"})
    path.write_text(f'{good}\n\n{{"prompt": \n{json.dumps({"prompt": "q", "completion": ""})}\n[1]\n', "utf-8")
    report = import_file(path, "trl", "default", log)
    assert (report.rows, report.imported, report.quarantined) == (4, 1, 3)
    assert [error.split(":")[0] for error in report.errors] == ["row 3", "row 4", "row 5"]
    kept = [json.loads(line) for line in Path(str(report.quarantine)).read_text().splitlines()]
    assert [line["row"] for line in kept] == [3, 4, 5]
    assert kept[1]["value"] == {"prompt": "q", "completion": ""}


def test_array_that_breaks_keeps_what_came_before(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "f.json"
    path.write_text('[{"prompt": "q", "completion": "a"}, {"prompt": ', "utf-8")
    report = import_file(path, "trl", "default", log)
    assert report.imported == 1
    assert report.errors[0].startswith("row 2: the file breaks here")


@pytest.mark.parametrize(
    ("form", "row", "why"),
    [
        ("sharegpt", {"conversations": [{"from": "function_call", "value": "x"}]}, "role 'function_call'"),
        ("sharegpt", {"conversations": [{"from": "human", "value": "x"}]}, "does not end with a reply"),
        ("trl", {"prompt": "q", "chosen": "a", "rejected": " a "}, "the same text"),
        ("trl", {"chosen": "a", "rejected": "b"}, "not a list of messages"),
        ("openai", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not plain text"),
        ("alpaca", {"instruction": "q"}, "output is not text"),
        ("trl", {"prompt": "q", "completion": "a", "label": "maybe"}, "neither true nor false"),
        ("trl", {"prompt": "q", "completion": "a" * 300_000}, "larger than 256 KiB"),
    ],
)
def test_rows_that_cannot_be_held_say_why(tmp_path: Path, log: Log, form: str, row: Any, why: str) -> None:
    report = import_file(write(tmp_path / "f.jsonl", [row]), form, "default", log)
    assert report.imported == 0
    assert why in report.errors[0]


def test_csv_with_a_mapping(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "f.csv"
    path.write_text('\ufeffquestion,good,bad,note\n"Where, please?","Here\nor there",Gone,x\nb,c\n', "utf-8")
    mapping = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    report = import_file(path, "csv", "default", log, mapping=mapping)
    assert (report.imported, report.kinds) == (1, {"choice": 1})
    assert report.errors == ["row 4: the row has more or fewer cells than the header"]
    wrong = import_file(path, "csv", "default", log, mapping={"prompt": "nowhere"})
    assert "no column 'nowhere'" in wrong.errors[0]


def test_dry_run_counts_and_writes_nothing(tmp_path: Path, log: Log) -> None:
    path = write(tmp_path / "f.jsonl", [{"prompt": "q", "completion": "a"}, {"prompt": "q"}])
    report = import_file(path, "trl", "default", log, dry_run=True)
    assert (report.imported, report.quarantined, report.quarantine) == (1, 1, None)
    assert log.end_offset(EVENTS, 0) == 0
    assert [entry.name for entry in tmp_path.glob("f*")] == ["f.jsonl"]


def test_unknown_format_and_missing_file_are_named(tmp_path: Path, log: Log) -> None:
    with pytest.raises(ThumbwheelError, match="Unknown format"):
        import_file(tmp_path, "xml", "default", log)
    with pytest.raises(ThumbwheelError, match="There is no file"):
        import_file(tmp_path / "none.json", "trl", "default", log)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("dpo_en_demo", "sharegpt"),
        ("dpo_zh_demo", "sharegpt"),
        ("kto_en_demo", "sharegpt"),
        ("alpaca_zh_demo", "alpaca"),
    ],
)
def test_real_files_import_and_become_a_dataset(
    name: str, form: str, log: Log, settings: Settings, stored: Callable[[], Store], tmp_path: Path
) -> None:
    path = DATA / f"{name}.json"
    if not path.exists():
        pytest.skip(f"needs {path}")
    seen: list[int] = []
    report = import_file(
        path, form, "default", log, progress=lambda done, total: seen.append(done), quarantine=tmp_path / "q.jsonl"
    )
    assert report.rows == report.imported + report.quarantined + report.repeated + report.unchanged
    assert report.imported > 0.9 * report.rows
    assert seen[-1] == path.stat().st_size
    manifest = build_dataset(stored(), log, settings, "default", {})
    rows = sum(n for splits in manifest["counts"].values() for n in splits.values())
    assert rows + sum(manifest["dropped"].values()) == report.imported


@pytest.mark.parametrize("form", ["trl", "sharegpt", "openai"])
def test_export_imports_again_as_the_same_rows(
    form: str, log: Log, settings: Settings, stored: Callable[[], Store], tmp_path: Path
) -> None:
    given = [
        {"prompt": [*CHAT[:1], {"role": "user", "content": f"Where is number {n}?"}], "completion": f"{w} {n}", **extra}
        for n in range(3)
        for w, extra in (("Here", {"label": True}), ("There", {}))
    ]
    given += [{"prompt": f"Which {n}?", "chosen": f"This {n}", "rejected": f"That {n}"} for n in range(3)]
    import_file(write(tmp_path / "in.jsonl", given), "trl", "first", log)
    whole = {"split": [1.0, 0.0, 0.0]}
    store = stored()
    first = build_dataset(store, log, settings, "first", whole)
    report = export_dataset(dataset_folder(settings, "first", first["dataset_id"]), form, tmp_path / "out")
    assert report.rows == 9
    assert report.refused == ({"a verdict on one reply has no place in this format": 3} if form == "openai" else {})
    for name in report.files:
        if name != "dataset_info.json":
            again = import_file(tmp_path / "out" / name, form, "second", log)
            assert again.errors == []
    second = build_dataset(stored(), log, settings, "second", whole)
    for config in second["counts"]:
        columns = ["prompt", *(["chosen", "rejected"] if config == "preference" else ["completion"])]
        read = [
            pq.read_table(dataset_folder(settings, p, d["dataset_id"]) / "data" / config, columns=columns).to_pylist()
            for p, d in (("first", first), ("second", second))
        ]
        assert sorted(map(str, read[0])) == sorted(map(str, read[1]))
    assert len(second["counts"]) == (2 if form == "openai" else 3)
