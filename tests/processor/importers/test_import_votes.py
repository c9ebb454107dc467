"""Judgements of an import: who gave them, what they say together, and which file wins."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.events import decode_event, decode_stored, stamp
from contract.topics import EVENTS
from eventlog.log import Log
from processor.datasets import build_dataset, dataset_folder
from processor.importers import ImportReport, import_file
from processor.ingest.runner import store_records
from processor.queries.pairs import list_pairs
from processor.tables.store import Store
from runtime.settings import Settings
from tests.processor.samples import append, event, interaction, pick

Stored = Callable[[], Store]


@pytest.fixture
def stored(store: Store, log: Log) -> Stored:
    """Bring the tables up to the log's end and return them."""

    def catch_up() -> Store:
        reader = log.reader(store.offsets())
        while records := reader.poll(1000, 0.05):
            store_records(store, records)
        reader.close()
        return store

    return catch_up


@pytest.fixture
def take(tmp_path: Path, log: Log) -> Callable[..., ImportReport]:
    """Import rows, as a file of lines."""
    files = itertools.count()

    def import_rows(rows: list[dict[str, Any]], **options: Any) -> ImportReport:
        path = tmp_path / f"{next(files)}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
        return import_file(path, "trl", "default", log, **options)

    return import_rows


def judged(number: int, best: str, annotator: object = None) -> dict[str, Any]:
    other = {"A": "B", "B": "A"}[best]
    row = {"prompt": f"Question {number}?", "chosen": f"Reply {best}", "rejected": f"Reply {other}"}
    return row if annotator is None else {**row, "annotator": annotator}


def thumb(number: int, label: bool, annotator: object = None) -> dict[str, Any]:
    row = {"prompt": f"Question {number}?", "completion": "Reply A", "label": label}
    return row if annotator is None else {**row, "annotator": annotator}


def ask(store: Store, text: str) -> list[Any]:
    with store.read() as cursor:
        return cursor.execute(text).fetchall()


def trained(store: Store) -> list[Any]:
    """Return what trains: prompt, chosen reply, share."""
    with store.read() as cursor:
        found = list_pairs(cursor, "default", limit=500, trainable=True).items
    return sorted((row["prompt_text"], row["chosen"], round(row["chosen_share"], 3)) for row in found)


@pytest.mark.parametrize("names", [("ann", "ben", "eve"), (None, None, None), (1, 2, 3), ("安", "贝", "伊")])
@pytest.mark.parametrize("order", sorted(set(itertools.permutations("AAB"))), ids="".join)
def test_two_of_three_annotators_prevail(take: Any, stored: Stored, names: tuple[Any, ...], order: Any) -> None:
    take([judged(n, best, name) for n in range(11) for best, name in zip(order, names, strict=True)])
    assert trained(stored()) == sorted((f"Question {n}?", "Reply A", 0.667) for n in range(11))


def test_a_row_carries_who_judged(take: Any, log: Log, stored: Stored) -> None:
    report = take([judged(1, "A", "ann"), judged(1, "A", "李 雷"), judged(1, "A", "import"), judged(1, "A", 7)])
    assert (report.imported, report.repeated) == (4, 0)
    actors = [row[0] for row in ask(stored(), "SELECT actor_id FROM feedback ORDER BY 1")]
    assert actors[:2] == ["7", "ann"] and all(actor.startswith("annotator-") for actor in actors[2:])
    assert ask(stored(), "SELECT count(*), count(DISTINCT interaction_id) FROM interactions") == [(1, 1)]
    assert ask(stored(), "SELECT count(*) FROM conflicts") == [(0,)]


def test_a_tie_trains_nothing_and_is_kept(take: Any, stored: Stored) -> None:
    take([judged(1, "A", "ann"), judged(1, "B", "ben"), thumb(2, True, "ann"), thumb(2, False, "ben")])
    store = stored()
    assert ask(store, "SELECT chosen, trainable, why_not FROM pairs ORDER BY 1") == [
        ("Reply A", False, "tied"), ("Reply B", False, "tied"),
    ]  # fmt: skip
    assert ask(store, "SELECT DISTINCT trainable, why_not FROM unpaired") == [(False, "tied")]
    with store.read() as cursor:
        assert {row["chosen_share"] for row in list_pairs(cursor, "default").items} == {0.5}


def test_thumbs_on_one_reply_are_one_row(take: Any, stored: Stored, log: Log, settings: Settings) -> None:
    take([thumb(n, label, name) for n in range(3) for label, name in ((False, "a"), (True, "b"), (False, "c"))])
    store = stored()
    assert ask(store, "SELECT label, count(*) FROM unpaired WHERE trainable GROUP BY 1") == [(False, 3)]
    manifest = build_dataset(store, log, settings, "default", {"split": [1.0, 0.0, 0.0]})
    folder = dataset_folder(settings, "default", manifest["dataset_id"])
    table = pq.read_table(folder / "data" / "unpaired")
    assert table["label"].to_pylist() == [False] * 3
    assert [round(share, 3) for share in table["label_share"].to_pylist()] == [0.667] * 3


def test_a_dataset_says_the_share(take: Any, stored: Stored, log: Log, settings: Settings) -> None:
    take([judged(1, best, name) for best, name in zip("AAAB", "abcd", strict=True)])
    take([judged(2, "A", name) for name in "abc"] + [judged(3, "B")])
    manifest = build_dataset(stored(), log, settings, "default", {"split": [1.0, 0.0, 0.0]})
    folder = dataset_folder(settings, "default", manifest["dataset_id"])
    rows = pq.read_table(folder / "data" / "preference").to_pylist()
    assert {row["prompt"][0]["content"]: row["chosen_share"] for row in rows} == {
        "Question 1?": 0.75, "Question 2?": 1.0, "Question 3?": 1.0,
    }  # fmt: skip
    assert manifest["dropped"] == {"agreeing": 4, "outvoted": 1}


def test_people_who_pick_alike_make_one_row_and_an_edit_is_its_own(put: Any, rows: Any) -> None:
    shown = ("a", "b", "c")
    put(
        interaction("i-1", {"a": "One.", "b": "Two.", "c": "Three."}),
        pick("i-1", shown, "a", "p1", actor="ann"), pick("i-1", shown, "a", "p2", actor="ben", at=1),
        pick("i-1", shown, "b", "p3", actor="eve", at=2),
        event("edit", "e1", interaction_id="i-1", candidate_id="b", text="Two and a half.", actor="ann", at=3),
        event("edit", "e2", interaction_id="i-1", candidate_id="b", text="Two and a bit.", actor="eve", at=4),
        pick("i-1", shown, "b", "p4", actor="robot", actor_kind="ai", at=5),
    )  # fmt: skip
    found = rows("SELECT chosen, rejected, actor_id FROM pairs WHERE trainable ORDER BY ALL")
    assert found == [
        ("One.", "Three.", "ann"), ("One.", "Two.", "ann"), ("Two and a bit.", "Two.", "eve"),
        ("Two and a half.", "Two.", "ann"), ("Two.", "Three.", "eve"),
    ]  # fmt: skip
    assert rows("SELECT count(*) FROM pairs WHERE why_not = 'ai_feedback'") == [2]


def test_importing_again_is_unchanged_and_appends_nothing(take: Any, log: Log) -> None:
    given = [judged(n, "A", name) for n in range(3) for name in ("ann", None)]
    given += [judged(9, "A"), judged(9, "A"), judged(9, "B"), thumb(1, True), {"prompt": "q", "completion": "a"}]
    first = take(given)
    assert (first.imported, first.unchanged, first.repeated) == (len(given), 0, 0)
    end = log.end_offset(EVENTS, 0)
    again = take(given)
    assert (again.imported, again.unchanged, again.repeated, again.kinds) == (0, len(given), 0, {})
    assert again.whole and log.end_offset(EVENTS, 0) == end
    assert take(given, dry_run=True).unchanged == len(given)
    assert take([*given, judged(77, "A")]).imported == 1


def test_another_project_is_another_import(take: Any, log: Log, tmp_path: Path) -> None:
    take([judged(1, "A", "ann")])
    (tmp_path / "f.jsonl").write_text(json.dumps(judged(1, "A", "ann")))
    assert import_file(tmp_path / "f.jsonl", "trl", "other", log).imported == 1


@pytest.mark.parametrize("name", ["ann", None])
def test_a_corrected_file_wins_with_replace_only(take: Any, stored: Stored, name: str | None) -> None:
    take([judged(n, "A", name) for n in range(8)])
    corrected = [judged(n, "B", name) for n in range(8)]
    held = take(corrected)
    if name:
        assert (held.imported, held.quarantined) == (0, 8)
        assert "ann judges the same replies otherwise in an earlier import" in held.errors[0]
        assert len(held.hints) == 1 and "--replace" in held.hints[0]
        assert trained(stored()) == [(f"Question {n}?", "Reply A", 1.0) for n in range(8)]
    else:
        assert held.imported == 8
        assert trained(stored()) == []
    report = take(corrected, replace=True)
    assert (report.imported, report.replaced) == ((8, 8) if name else (0, 0))
    assert trained(stored()) == [(f"Question {n}?", "Reply B", 1.0) for n in range(8)]
    assert take(corrected, replace=True).unchanged == take(corrected).unchanged == 8
    assert take([judged(n, "A", name) for n in range(8)], replace=True).imported == 8
    assert trained(stored()) == [(f"Question {n}?", "Reply A", 1.0) for n in range(8)]


def test_replacing_leaves_what_other_annotators_said(take: Any, stored: Stored) -> None:
    take([judged(1, "A", "ann"), judged(1, "A", "ben"), judged(2, "A", "ben"), judged(1, "B")])
    take([judged(1, "B", "ann")], replace=True)
    assert trained(stored()) == [("Question 2?", "Reply A", 1.0)]
    assert ask(stored(), "SELECT count(*) FROM feedback WHERE state = 'retracted' AND actor_id = 'import'") == [(1,)]
    take([judged(1, "B", "ben")], replace=True)
    assert trained(stored()) == [("Question 1?", "Reply B", 1.0), ("Question 2?", "Reply A", 1.0)]


def test_what_a_correction_took_back_does_not_come_back_unasked(take: Any, stored: Stored) -> None:
    take([judged(1, "A")])
    take([judged(1, "B")], replace=True)
    report = take([judged(1, "A")])
    assert (report.imported, report.quarantined, len(report.hints)) == (0, 1, 1)
    assert trained(stored()) == [("Question 1?", "Reply B", 1.0)]


def test_an_annotator_who_says_both_is_refused_in_the_later_row(take: Any, stored: Stored) -> None:
    report = take([judged(1, "A", "ann"), judged(1, "B", "ann"), judged(2, "B", "ann")])
    assert report.errors == ["row 2: ann judges the same replies otherwise in an earlier row"]
    assert trained(stored()) == [("Question 1?", "Reply A", 1.0), ("Question 2?", "Reply B", 1.0)]


def test_columns_of_a_row_stay_with_its_judgement(take: Any, log: Log) -> None:
    take([{**judged(1, "A", name), "minutes": n} for n, name in enumerate(("ann", "ben"))])
    reader = log.reader({(EVENTS, 0): 0})
    events = [decode_stored(record.value) for record in reader.poll(10, 0.1)]
    reader.close()
    assert [(e.actor.id, e.extra) for e in events] == [
        ("import", {}), ("ann", {"minutes": 0}), ("ben", {"minutes": 1}),
    ]  # fmt: skip


def test_what_the_release_before_imported_is_known(take: Any, log: Log, stored: Stored) -> None:
    """The ids are those it made; it lost one of two judgements that named nobody."""
    choice = {"interaction_id": "cbc63e98-8e0b-5429-97b6-d9ee728e6dd8", "actor": {"id": "import", "kind": "expert"}}
    replies = [f"{choice['interaction_id']}.{place}" for place in (0, 1)]
    shared = {"occurred_at": "1970-01-01T00:00:00Z", "source": "import", **choice}
    bodies = [
        {"type": "interaction", "event_id": "8cfde360-2f5f-5d0b-9c9d-406f020946e6", **shared,
         "messages": [{"role": "user", "content": "Question 1?"}],
         "candidates": [{"candidate_id": replies[0], "content": "Reply A"},
                        {"candidate_id": replies[1], "content": "Reply B"}]},
        {"type": "choice", "event_id": "e69db4da-931a-5e08-ba9f-fe8208f8ff2b", "shown": replies, "chosen": replies[0],
         "outcome": "chosen", **shared},
        {"type": "choice", "event_id": "9f391e63-8b1d-5c81-9c77-398256cae8b3", "shown": replies, "chosen": replies[1],
         "outcome": "chosen", **shared},
    ]  # fmt: skip
    append(log, *(stamp(decode_event(body), project="default", key_id="import", via="import") for body in bodies))
    assert take([judged(1, "A"), judged(1, "B")]).unchanged == 2
    assert ask(stored(), "SELECT state, count(*) FROM feedback GROUP BY 1") == [("vote", 2)]
    assert trained(stored()) == []
    take([judged(1, "A", "ann")])
    assert trained(stored()) == [("Question 1?", "Reply A", 0.667)]


def test_one_word_in_two_spellings_is_one_question(take: Any, stored: Stored) -> None:
    row = {"prompt": "Où est le café ?", "chosen": "Là-bas, à côté.", "rejected": "Nulle part, désolé."}
    apart = {name: unicodedata.normalize("NFD", text) for name, text in row.items()}
    assert apart != row
    assert (take([row]).imported, take([apart]).unchanged) == (1, 1)
    take([{**apart, "annotator": "ann"}])
    assert ask(stored(), "SELECT count(*) FROM interactions") == [(1,)]
    assert trained(stored()) == [(row["prompt"], row["chosen"], 1.0)]
    report = take([{"prompt": "Dis-moi", "chosen": row["chosen"], "rejected": apart["chosen"]}])
    assert "the same text" in report.errors[0]
    kept = take([{"prompt": apart["prompt"] + " Dis.", "completion": apart["chosen"]}])
    assert kept.imported == 1
    assert ask(stored(), "SELECT text FROM demonstrations") == [(apart["chosen"],)]
