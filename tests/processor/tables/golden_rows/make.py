"""Makes the golden log, once: records whose rows say whether the code that makes rows still makes the same ones.

    python -m tests.processor.tables.golden_rows.make

Beside one event of every type it holds what rows are derived from: repeated, changed and retracted votes of several
people, ties, edits, an implied interaction, two descriptions of one, Chinese text, a late interaction, and one with
more votes than count; and what annotators and their lead leave behind.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from contract.events import Event
from eventlog.log import Entry, entry_for
from tests.processor.samples import event, interaction, pick
from tests.processor.steps.test_order_and_doubles import annotated
from tests.processor.tables.releases.make import entries

FILE = Path(__file__).parent / "log.jsonl"
FOUR = {"a": "Within two weeks.", "b": "两周之内可以退货。", "c": "Ask the shop.", "d": "Within two weeks. "}
MODELS = {"a": "base", "b": "ad-1", "c": "base", "d": "ad-1"}
CUT = {"x": {"content": "It was cut", "finish_reason": "length"}, "y": "A whole reply.", "z": "Another whole reply."}


def derived() -> list[Event]:
    """Return the events that rows are derived from."""
    said = [{"role": "user", "content": "怎么退货？"}]
    return [
        pick("g-1", FOUR, "b", name="late", actor="bob", at=1, verified=True),
        interaction("g-1", FOUR, prompt="怎么退货？", models=MODELS, conversation_id="talk", at=2),
        interaction("g-1", {"a": "Something else."}, via="secret", name="other", at=3),
        pick("g-1", FOUR, "a", name="second", actor="eve", at=4),
        pick("g-1", FOUR, "c", name="changed", actor="eve", at=5, edited_text="Ask the shop, please, it helps."),
        pick("g-1", FOUR, None, name="none", actor="sam", at=6, edited_text="我来帮您退货。"),
        pick("g-2", "xyz", "y", name="choice", kind="choice", actor="kim", at=7),
        interaction("g-2", CUT, prompt="How do I return a parcel?  ", at=8, labels=["parcels", "returns/late"]),
        pick("g-2", "xyz", None, name="tie", outcome="tie", actor="lee", at=9),
        event("thumb", "up", interaction_id="g-2", candidate_id="z", value="up", actor="kim", at=10),
        event("thumb", "down", interaction_id="g-2", candidate_id="z", value="down", actor="lee", at=11),
        event("retract", "back", interaction_id="g-2", target=pick("g-2", "xyz", "y", name="choice").event_id,
              actor="kim", at=12),
        event("thumb", "orphan", interaction_id="g-3", candidate_id="q", value="up", at=13),
        event("thumb", "inline", interaction_id="g-4", candidate_id="q", value="up", at=14, via="public",
              messages=said, candidates=[{"candidate_id": "q", "content": "好的。"}]),
        event("edit", "mended", interaction_id="g-1", candidate_id="a", text="Within fourteen days.", at=15),
    ]  # fmt: skip


def crowd() -> list[Event]:
    """Return more votes than count on one reply: of many people, of one who changes her mind, one said in two ways."""
    on = {"interaction_id": "g-5", "candidate_id": "q", "via": "public"}
    votes = [event("thumb", f"c{n}", value="up", actor=f"p{n}", at=n + 20, **on) for n in range(503)]
    votes += [event("thumb", f"k{n}", value="down", actor="p1", at=n + 600, **on) for n in range(9)]
    votes.append(event("thumb", "c2", value="down", actor="p2", at=700, **on))
    return [*votes, event("thumb", "known", value="down", actor="kim", at=701, verified=True, **on)]


def line(entry: Entry) -> str:
    """Return one record as a line of the file."""
    try:
        value = {"value": entry.value.decode()}
    except UnicodeDecodeError:
        value = {"base64": base64.b64encode(entry.value).decode()}
    return json.dumps({"topic": entry.topic, "key": entry.key, **value}, ensure_ascii=False)


if __name__ == "__main__":
    items = event("task.items", "in", task_id="task-1", items=[{"interaction_id": "g-1", "unit": "a"}], at=1)
    made = [*entries(), *(entry_for(one) for one in (*derived(), *crowd(), *annotated("g-1"), items))]
    FILE.write_text("".join(line(entry) + "\n" for entry in made), "utf-8")
