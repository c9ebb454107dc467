"""Makes the fixtures of a release: run it with that release's code, once, and keep what it writes for good.

    git archive RELEASE contract eventlog processor runtime | tar x -C /tmp/release
    cd /tmp/release && PYTHONPATH=. python REPOSITORY/tests/processor/tables/releases/make.py REPOSITORY/.../schema-N

Writes `log.jsonl`, records as that release appends them, one event of every type, and `tables.json`, what its processor
made of them: every value as DuckDB's text.
"""

from __future__ import annotations

import base64
import inspect
import json
import sys
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contract.events import STRUCTS, decode_event, stamp
from contract.topics import EVENTS, REJECTED, RUNS, TOPICS
from eventlog.log import Entry, Record, entry_for
from processor.history.replay import wanted_meta
from processor.ingest.runner import store_records
from processor.tables.store import Store

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = uuid.UUID("00000000-0000-4000-8000-000000000002")
ASKED = [{"role": "user", "content": "How do I return a parcel?"}]
REPLIES = [
    {"candidate_id": name, "content": f"Reply {name}.", "model": model, "finish_reason": "stop"}
    for name, model in (("a", "base"), ("b", "ad-1"), ("c", "base"))
]
SHOWN = {"shown": ["a", "b", "c"], "outcome": "chosen", "chosen": "b"}
RUN = {"run_id": "run-1", "request_id": str(uuid.uuid5(NAMES, "wish"))}
MODEL = {"adapter_id": "ad-1", "run_id": "run-1", "alias_version": 1, "metrics": {"loss": 0.5}}
# By name, which makes the id: who appends it, the type, and its fields.
EVENTS_MADE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "asked": ("gateway", "interaction", {"interaction_id": "i-1", "messages": ASKED, "candidates": REPLIES,
              "surface": "workbench", "labels": ["parcels/returns"], "conversation_id": "conv-1",
              "trial": {"challenger": "ad-1", "baseline": "base", "counted": True}}),
    "told": ("public", "thumb", {"interaction_id": "i-2", "candidate_id": "a", "value": "up", "reasons": ["clear"],
             "messages": ASKED, "candidates": REPLIES[:1], "comment": "Danke, 谢谢", "campaign": "camp-1"}),
    "down": ("secret", "thumb", {"interaction_id": "i-1", "candidate_id": "a", "value": "down"}),
    "picked": ("secret", "pick", {"interaction_id": "i-1", **SHOWN, "edited_text": "Reply b, mended.", "sent": True,
               "dwell_ms": 1200}),
    "chosen": ("public", "choice", {"interaction_id": "i-1", **SHOWN, "chosen": "c"}),
    "none": ("secret", "pick", {"interaction_id": "i-3", **SHOWN, "outcome": "none", "chosen": None}),
    "edited": ("secret", "edit", {"interaction_id": "i-1", "candidate_id": "c", "text": "Better."}),
    "undone": ("secret", "retract", {"interaction_id": "i-1", "target": str(uuid.uuid5(NAMES, "down"))}),
    "noted": ("console", "annotation", {"interaction_id": "i-1", "answers": {"tone": "kind"}, "rating": 4.0,
              "ranking": ["b", "a"]}),
    "judged": ("console", "judgement", {"interaction_id": "i-1", **SHOWN, "judge": "rule", "swapped_agrees": True}),
    "wish": ("console", "request.train", {"method": "dpo", "params": {"epochs": 1}}),
    "started": ("trainer", "run.started", {**RUN, "method": "dpo", "dataset_id": "ds-1", "parent": "base"}),
    "progress": ("trainer", "run.progress", {"run_id": "run-1", "step": 1, "total_steps": 2}),
    "finished": ("trainer", "run.finished", {**RUN, "adapter_id": "ad-1", "metrics": {"loss": 0.5}}),
    "failed": ("trainer", "run.failed", {"run_id": "run-2", "reason": "out of memory"}),
    "built": ("console", "dataset.built", {"dataset_id": "ds-1", "digest": "0" * 64, "counts": {"pairs": 2}}),
    "promote": ("console", "request.promote", {"adapter_id": "ad-1", "reason": "It is better."}),
    "back": ("console", "request.roll_back", {"adapter_id": "ad-1"}),
    "label": ("console", "definition.label", {"path": "parcels/returns", "title": "Returns"}),
    "source": ("console", "definition.source", {"name": "shop", "weight": 0.5}),
    "forget": ("console", "forget", {"actor_digest": "f" * 32, "before": START.isoformat()}),
    **{f"model {change}": ("trainer", f"model.{change}", {**MODEL, "reason": change}) for change in
       ("registered", "challenger", "held", "rejected", "promoted", "rolled_back")},
}  # fmt: skip


def entries() -> list[Entry]:
    """Return the records: every event, a copy that came later, another text under one id, poison, and a refused one."""
    made: list[Entry] = []
    optional = {"sent_at": START} if "sent_at" in inspect.signature(stamp).parameters else {}
    for number, (name, (via, kind, fields)) in enumerate(EVENTS_MADE.items()):
        known = STRUCTS[kind].__struct_fields__
        body = {
            "type": kind, "event_id": str(uuid.uuid5(NAMES, name)), "actor": {"id": f"person-{number % 3}"},
            "occurred_at": (START + timedelta(seconds=number)).isoformat(), "a_newer_field": {"kept": True},
            **{field: value for field, value in fields.items() if field in known},
        }  # fmt: skip
        for seconds in (1, 9) if name == "picked" else (1,):
            received = START + timedelta(seconds=number + seconds)
            made.append(entry_for(stamp(
                decode_event(body), project="default", key_id=f"key-{via}", via=via, received_at=received, **optional,
            )))  # fmt: skip
    changed = made[2].value.replace(b'"down"', b'"up"')
    made += [Entry(EVENTS, "i-1", changed), Entry(EVENTS, "i-1", b'{"type":"unheard.of"}'), Entry(EVENTS, "k", b"\xff")]
    refused = {
        "project": "default", "key_id": "key-public", "received_at": START.isoformat(), "code": "unknown_type",
        "message": "Unknown event type 'x'.", "length": 4, "digest": "d", "raw": base64.b64encode(b"{bad").decode(),
    }  # fmt: skip
    return [*made, Entry(REJECTED, "d", json.dumps(refused).encode())]


def main(folder: Path) -> None:
    """Write both files."""
    assert {kind for _, kind, _ in EVENTS_MADE.values()} == set(STRUCTS), "an event of every type"
    folder.mkdir(parents=True)
    records: list[Record] = []
    ends = dict.fromkeys(TOPICS, 0)
    with (folder / "log.jsonl").open("w", encoding="utf-8") as file:
        for entry in entries():
            try:
                value = {"value": entry.value.decode()}
            except UnicodeDecodeError:
                value = {"base64": base64.b64encode(entry.value).decode()}
            file.write(json.dumps({"topic": entry.topic, "key": entry.key, **value}, ensure_ascii=False) + "\n")
            records.append(Record(entry.topic, 0, ends[entry.topic], entry.key, entry.value, 1_772_366_400_000))
            ends[entry.topic] += 1
    with tempfile.TemporaryDirectory() as home, Store.open(Path(home) / "thumbwheel.duckdb") as store:
        store.claim("processor-0", {(topic, 0): 0 for topic in (EVENTS, REJECTED, RUNS)})
        store_records(store, records)
        store.set_meta(wanted_meta(None))  # type: ignore[arg-type]
        tables: dict[str, Any] = {}
        with store.read() as cursor:
            for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
                columns = [row[0] for row in cursor.execute(f"DESCRIBE {name}").fetchall()]
                texts = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
                rows = cursor.execute(f"SELECT {texts} FROM {name} ORDER BY ALL").fetchall()
                tables[name] = {"columns": columns, "rows": rows}
    (folder / "tables.json").write_text(json.dumps(tables, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
