"""A run's record: what `run.json` of a run folder holds, in and out, and the facts that a record stands for.

The record is written before the job starts and after it ended, so that after a crash of the service every run is
either taken in, started again or marked failed, once. The job itself is the backend's: `trainer/backends/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.facts import RunFailed, RunFinished, RunProgress, RunStarted
from contract.ids import derived_id, uuid7
from runtime.files import write_whole
from trainer.loop.registry import ACTOR, KEY_ID

RunFact = RunStarted | RunProgress | RunFinished | RunFailed
# How often a run is started in all when the trainer dies under it; a run that takes the trainer along must end.
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Record:
    """What `run.json` holds. `state` is running, finished or failed; times are RFC 3339; `attempt` counts starts.

    `began` is the last of them that began from nothing; those after it went on from checkpoints.
    """

    run_id: str
    project: str
    method: str
    state: str = "running"
    dataset_id: str | None = None
    parent: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    challenge: bool = True
    trial_labels: Sequence[str] = ()
    started_at: str = ""
    ended_at: str | None = None
    adapter_id: str | None = None
    reason: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    began: int = 1
    tuning: str = "lora"


def checked_labels(found: Any) -> list[str]:
    """Return the labels a wish restricts a blind test to; raises ThumbwheelError for what is no list of labels."""
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in found):
        raise ThumbwheelError(
            "bad_setting", f"trial_labels={found!r:.200} is no list of labels.", 'Write ["refund", "billing/invoice"].',
            "trial_labels",
        )  # fmt: skip
    return list(found)


def new_run_id() -> str:
    """Return an id that sorts by time."""
    return f"run-{uuid7().hex[:20]}"


def now() -> str:
    """Return the time as RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_record(folder: Path, record: Record) -> None:
    """Write `run.json` atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "run.json", json.dumps(asdict(record), ensure_ascii=False, indent=1).encode(), durable=True)


def read_records(folder: Path) -> list[Record]:
    """Return the records of a project's runs, oldest first; a folder without a readable record is no run."""
    records = []
    for file in sorted(folder.glob("*/run.json")):
        try:
            records.append(Record(**json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(records, key=lambda record: record.started_at)


def ended(record: Record, state: str, **changes: Any) -> Record:
    """Return the record of a run that has ended."""
    return replace(record, state=state, ended_at=now(), **changes)


def facts(record: Record) -> list[RunFact]:
    """Return the facts a record stands for, stamped, always under the same event ids."""
    made: list[RunFact] = [
        RunStarted(
            **_envelope(record, "started", record.started_at), method=record.method, tuning=record.tuning,
            dataset_id=record.dataset_id,
            parent=record.parent, config=dict(record.config), request_id=record.request_id,
        )
    ]  # fmt: skip
    if record.state == "finished":
        made.append(
            RunFinished(
                **_envelope(record, "finished", record.ended_at), adapter_id=record.adapter_id,
                metrics=dict(record.metrics), request_id=record.request_id,
            )
        )  # fmt: skip
    if record.state == "failed":
        made.append(
            RunFailed(
                **_envelope(record, "failed", record.ended_at), reason=record.reason or "unknown",
                request_id=record.request_id,
            )
        )  # fmt: skip
    return [stamp(fact, project=record.project, key_id=KEY_ID, via="trainer") for fact in made]


def progress_fact(record: Record, line: Mapping[str, Any]) -> RunProgress:
    """Return the fact of one line of `metrics.jsonl`; a resumed run repeats lines under the ids they had."""
    step, total = int(line["step"]), int(line["total"])
    metrics = {name: value for name, value in line.items() if name not in ("step", "total")}
    name = f"progress-{step}" if record.began == 1 else f"progress-{record.began}-{step}"
    fact = RunProgress(**_envelope(record, name, now()), step=step, total_steps=total, metrics=metrics)
    return stamp(fact, project=record.project, key_id=KEY_ID, via="trainer")


def _envelope(record: Record, what: str, at: str | None) -> dict[str, Any]:
    return {
        "event_id": str(derived_id("run", record.project, record.run_id, what)),
        "occurred_at": datetime.fromisoformat(at or record.started_at), "actor": ACTOR, "run_id": record.run_id,
    }  # fmt: skip
