"""The order of the log, doubled records and the size of batches change nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.events import Event
from contract.topics import TOPICS
from processor.ingest.runner import store_records
from processor.tables.digest import table_digests
from processor.tables.store import Store
from tests.processor.samples import event, event_id, interaction, pick, records

ASK = [{"role": "user", "content": "Where is it?"}]


def story() -> list[Event]:
    """Everything that can meet in one interaction, and two quiet neighbours."""
    two = {"a": "In the post.", "b": "On its way."}
    inline = {"messages": ASK, "candidates": [{"candidate_id": "a", "content": "In the mail."}]}
    thumb = {"interaction_id": "t1", "candidate_id": "a"}
    return [
        interaction("t1", two, at=3),
        interaction("t1", two | {"c": "Lost."}, via="secret", at=1, name="the product's own"),
        event("thumb", "v1", at=2, value="up", via="public", **thumb, **inline),
        event("thumb", "v1", at=2, received=4, value="up", via="public", **thumb, **inline),
        event("thumb", "v1", at=2, received=5, value="down", via="public", **thumb),
        event("thumb", "v2", at=6, value="down", **thumb),
        pick("t1", "ab", "b", "p1", at=5, edited_text="It is on its way to you."),
        pick("t1", "ab", "a", "p2", at=7),
        pick("t1", "ab", "b", "p3", at=7, actor="bob"),
        event("retract", "r1", at=8, interaction_id="t1", target=event_id("p2")),
        event("edit", "e1", at=9, interaction_id="t1", candidate_id="b", text="It left us on Monday."),
        *annotated("t1"),
        interaction("t2", {"x": "Yes.", "y": "No."}, at=2),
        pick("t2", "xy", "x", at=3, kind="choice", conversation_id="talk"),
        pick("t3", "xy", "y", at=3, kind="choice"),
    ]


def annotated(interaction_id: str) -> list[Event]:
    """Answers of two people and a changed mind, a ranking, a skip, decisions, a note."""
    on = {"interaction_id": interaction_id, "task_id": "task-1"}
    return [
        event("annotation", "n1", at=10, answers={"tone": 1, "fact": True}, unit="a", **on),
        event("annotation", "n2", at=11, answers={"tone": 2}, unit="a", **on),
        event("annotation", "n3", at=11, answers={"tone": 2, "fact": False}, unit="a", actor="bob", **on),
        event("annotation", "n4", at=12, ranking=["b", ["a"]], actor="bob", correction="It left.", **on),
        event("annotation", "n5", at=13, skipped="unclear", unit="b", actor="bob", **on),
        event("annotation", "n6", at=14, answers={"tone": 3}, unit="b", actor="bob", **on),
        event("annotation", "n7", at=14, answers={"tone": 3}, unit="elsewhere", actor="bob", **on),
        event("retract", "r2", at=15, interaction_id=interaction_id, target=event_id("n3"), actor="bob"),
        event("review", "w1", at=16, verdict="reject", reasons=["tone"], unit="a", actor="lead", via="console", **on),
        event("adjudication", "j1", at=17, answers={"tone": 2}, unit="a", actor="lead", via="console", **on),
        event("note", "o1", at=18, text="See the guideline.", actor="lead", via="console", **on),
    ]  # fmt: skip


def digests(batches: Sequence[Sequence[Event]]) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp())
    try:
        with Store.open(folder / "t.duckdb") as store:
            store.claim("test", {(topic, 0): 0 for topic in TOPICS})
            offset = 0
            for batch in batches:
                store_records(store, records(batch, offset))
                offset += len(batch)
            found = table_digests(store)
    finally:
        shutil.rmtree(folder)
    del found["offsets"]
    return found


EXPECTED: dict[str, str] = {}


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_with_any_doubles_in_any_batches_gives_the_same_tables(data: st.DataObject) -> None:
    if not EXPECTED:
        EXPECTED.update(digests([story()]))
    events = data.draw(st.permutations(story()))
    doubles = data.draw(st.lists(st.sampled_from(events), max_size=6))
    events = [*events, *doubles]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1), max_size=6)))
    batches = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    assert digests(batches) == EXPECTED
