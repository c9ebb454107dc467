"""A forgotten person leaves every table, whatever order and doubles the log has; nobody else loses anything."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.envelope import Actor
from contract.events import Event
from contract.forgetting import actor_digest, tombstone_of
from contract.topics import EVENTS, REJECTED, TOPICS
from eventlog.log import Record
from processor.ingest.runner import store_records
from processor.steps import decode
from processor.steps import forget as forget_step
from processor.steps.batch import Forgets, Held, microseconds
from processor.tables.digest import QUERIES, table_digests
from processor.tables.store import Store
from tests.processor.privacy.forgotten import DAY, by, forget
from tests.processor.samples import event, event_id, interaction, moment, pick, records

TABLES = [name for name in QUERIES if name not in ("meta", "offsets", "forgets", "forgotten")]


def refused(raw: bytes, at: float, offset: int = 900, project: str = "default") -> Record:
    body = {
        "project": project, "key_id": "k", "received_at": moment(at), "code": "invalid_event", "message": "No.",
        "event_id": None, "length": len(raw), "digest": "d", "raw": raw,
    }  # fmt: skip
    return Record(REJECTED, 0, offset, "k", msgspec.json.encode(body), 0)


def told_by_ann() -> Event:
    return interaction("t1", {"a": "Ann's reply.", "b": "Other."}, at=1, prompt="Where does Ann live?", name="ann asks",
                       via="secret")  # fmt: skip


def story() -> list[Event]:
    """Ann asks, votes, is answered by bob; the same in another project; a clock ahead; the same id said twice."""
    thumb = {"interaction_id": "t2", "candidate_id": "x"}
    later = {"at": 3 * DAY, "interaction_id": "t2", "candidate_id": "x"}
    return [
        by("ann", told_by_ann()),
        pick("t1", "ab", "b", "bob picks", at=2, actor="bob"),
        interaction("t2", {"x": "Yes.", "y": "No."}, at=2),
        event("thumb", "up", at=3, value="up", comment="Ann was here", **thumb),
        event("thumb", "bob too", at=3, value="down", actor="bob", **thumb),
        pick("t2", "xy", "x", "ann picks", at=4, edited_text="Ann corrects this."),
        # Her clock is three days ahead: sent, and sent again after she was forgotten.
        event("thumb", "ahead", received=5, value="up", **later),
        event("thumb", "ahead", received=2 * DAY, value="up", **later),
        # One event id, two contents, two people.
        event("edit", "twice", at=6, interaction_id="t2", candidate_id="x", text="Ann's text"),
        event("edit", "twice", at=7, interaction_id="t2", candidate_id="x", text="Bob's text", actor="bob"),
        event("thumb", "afterwards", at=2 * DAY, value="down", **thumb | {"candidate_id": "y"}),
        event("thumb", "up", at=3, value="up", comment="Ann elsewhere", project="other", **thumb),
        event("request.promote", "wish", at=3, adapter_id="ad-1", reason="Ann likes it", via="console"),
        forget("ann", DAY),
    ]


def folded(batches: Sequence[Sequence[Event | Record]]) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp())
    try:
        with Store.open(folder / "t.duckdb") as store:
            store.claim("test", {(topic, 0): 0 for topic in TOPICS})
            offset = 0
            for batch in batches:
                store_records(
                    store, [e if isinstance(e, Record) else records([e], offset + n)[0] for n, e in enumerate(batch)]
                )
                offset += len(batch)
            return {name: digest for name, digest in table_digests(store).items() if name != "offsets"}
    finally:
        shutil.rmtree(folder)


EXPECTED: dict[str, str] = {}


def erased(stored: Event, offset: int) -> Record:
    """Return the record as the log holds it once erased, or as it is where nothing of it alone says so."""
    record = records([stored], offset)[0]
    ann = Forgets([("default", actor_digest("default", "ann"), microseconds(moment(DAY)))])
    left = list(forget_step(decode([record]), Held(ann)).erased.values())
    return record._replace(value=left[0]) if left else record


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_with_any_doubles_leaves_the_same_tables(data: st.DataObject) -> None:
    """What has been erased from the log may be read again, before or after the fact."""
    if not EXPECTED:
        EXPECTED.update(folded([story()]))
    told = data.draw(st.permutations(story()))
    told += data.draw(st.lists(st.sampled_from(told), max_size=6))
    events = [erased(e, n) if data.draw(st.booleans()) else e for n, e in enumerate(told)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1), max_size=6)))
    found = folded([events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)])
    # A fact's row says where in the log it lies.
    assert {name: digest for name, digest in found.items() if name != "facts"} == {
        name: digest for name, digest in EXPECTED.items() if name != "facts"
    }


def everything(rows: Callable[..., list[Any]]) -> str:
    return "\n".join(str(row) for table in TABLES for row in rows(f"SELECT * FROM {table}"))


def test_nothing_of_the_person_is_left_and_nothing_of_others_goes(
    put: Callable[..., None], rows: Callable[..., list[Any]]
) -> None:
    put(*story()[:-1])
    elsewhere = rows("SELECT CAST(e AS TEXT) FROM events e WHERE project = 'other'")
    assert "Ann was here" in everything(rows)
    put(story()[-1])
    left = everything(rows)
    for words in ("Ann was here", "Ann corrects", "Ann's", "Where does Ann live", "Ann likes it"):
        assert words not in left
    assert rows("SELECT event_id FROM events WHERE project = 'default' AND actor_id = 'ann'") == [
        event_id("afterwards")
    ]
    assert rows("SELECT CAST(e AS TEXT) FROM events e WHERE project = 'other'") == elsewhere
    # Bob's pick is kept, and waits for somebody to describe the interaction; his text is the one that counts now.
    assert rows("SELECT described FROM interactions WHERE interaction_id = 't1'") == [False]
    assert rows("SELECT state FROM feedback WHERE actor_id = 'bob' AND interaction_id = 't1'") == ["vote"]
    assert rows("SELECT text FROM demonstrations") == ["Bob's text"]
    assert rows("SELECT count(*) FROM pairs WHERE interaction_id = 't1'") == [0]
    # The wish stays, nobody's.
    assert rows("SELECT body->>'$.actor.id', body->>'$.adapter_id' FROM facts WHERE type = 'request.promote'") == [
        ("-", "ad-1")
    ]


def test_what_comes_later_from_before_is_dropped_and_counted(
    put: Callable[..., None], rows: Callable[..., list[Any]], store: Store
) -> None:
    put(interaction("t1", {"a": "x", "b": "y"}), forget("ann", DAY))
    store.to_erase.clear()
    put(pick("t1", "ab", "a", at=5), pick("t1", "ab", "b", "bob", at=5, actor="bob"))
    assert rows("SELECT actor_id FROM feedback") == ["bob"]
    assert rows("SELECT count(*) FROM forgotten") == [1]
    assert rows("SELECT topic, stop - start FROM erasing WHERE stop - start = 1 AND start > 0") == [(EVENTS, 1)]
    assert store.to_erase.is_set()


@pytest.mark.parametrize(("raw", "at", "goes"), [
    (b'{"actor":{"id":"ann"},"type":"odd"}', 3, True), (b'{"actor":"ann"', 3, True), (b"actor=ann&value=up", 3, True),
    (b'{"actor":{"id":"anna"},"comment":"by ann"}', 3, False), (b'{"actor":{"id":"bob"}}', 3, False),
    (b'{"actor":{"id":"ann"}}', 2 * DAY, False),
    (b'{"actor":{"id":"ann"},"occurred_at":"2026-03-01T12:00:01Z"}', 2 * DAY, True), (b"", 3, False),
])  # fmt: skip
@pytest.mark.parametrize("first", ["refused", "forgotten"])
def test_refused_events_that_name_the_person_go(
    put: Callable[..., None], rows: Callable[..., list[Any]], raw: bytes, at: float, goes: bool, first: str
) -> None:
    both = [refused(raw, at), forget("ann", DAY)]
    for one in both if first == "refused" else both[::-1]:
        put(one)
    put(refused(b'{"actor":{"id":"ann"}}', 3, 950, project="other"))
    assert len(rows("SELECT 1 FROM rejected WHERE project = 'default'")) == (0 if goes else 1)
    assert len(rows("SELECT 1 FROM rejected WHERE project = 'other'")) == 1


def test_marks_of_forgotten_prompts_go_and_the_others_are_numbered_without_gaps(
    put: Callable[..., None], rows: Callable[..., list[Any]], store: Store
) -> None:
    asked = [by("ann", interaction(f"t{n}", {"a": "x"}, prompt=f"Question {n}?", via="secret")) for n in range(2)]
    asked += [by("bob", interaction(f"t{n}", {"a": "x"}, prompt=f"Question {n}?", at=n, via="secret")) for n in (2, 3)]
    asked.append(by("bob", interaction("t4", {"a": "x"}, prompt="question 1?", at=9, via="secret")))
    put(*asked)
    with store.transaction() as cursor:
        cursor.execute(
            "INSERT INTO embedded_prompts BY NAME SELECT project, prompt_hash, interaction_key, 'm' AS model, [1.0] AS "
            "vector, row_number() OVER (ORDER BY interaction_id) - 1 AS position FROM interactions "
            "WHERE interaction_id <> 't4'"
        )
        cursor.execute(
            "INSERT INTO duplicates SELECT project, interaction_key, (SELECT interaction_key FROM interactions WHERE "
            "interaction_id = 't0'), 0.9, 'embedding', 'm', 0.9 FROM interactions WHERE interaction_id = 't3'"
        )
    put(forget("ann", DAY))
    embedded = "SELECT i.interaction_id, e.position FROM embedded_prompts e JOIN interactions i USING (interaction_key)"
    assert rows(f"{embedded} ORDER BY e.position") == [("t4", 0), ("t2", 1), ("t3", 2)]
    assert rows("SELECT count(*) FROM duplicates") == [0]
    assert store.marks_version == 1


@pytest.mark.parametrize("kind", ["thumb", "choice", "pick", "edit", "retract", "annotation", "judgement"])
def test_a_tombstone_fits_into_the_smallest_event(kind: str) -> None:
    own = {
        "thumb": {"candidate_id": "c", "value": "up"}, "edit": {"candidate_id": "c", "text": "x"},
        "retract": {"target": event_id("x")}, "annotation": {"skipped": "x"},
    }.get(kind, {"shown": ["a", "b"], "outcome": "tie"} | ({"judge": ""} if kind == "judgement" else {}))  # fmt: skip
    small = event(kind, "x", interaction_id="i", project="p", **own)
    small = msgspec.structs.replace(small, key_id="k", via="x", actor=Actor("a"))
    record = records([small])[0]
    held = Held(Forgets([("p", actor_digest("p", "a"), microseconds(moment(DAY)))]))
    (left,) = forget_step(decode([record]), held).erased.values()
    assert len(left) == len(record.value)
    assert tombstone_of(left) is not None
