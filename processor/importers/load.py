"""Import one file: each row becomes an interaction and one expert's feedback, appended to the log."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from contract.checks import MAX_EVENT_BYTES
from contract.errors import EventError, ThumbwheelError
from contract.events import Event, decode_event, encode, stamp
from contract.ids import derived_id
from eventlog.log import Log, append_all
from processor.importers.reading import Progress, ReadRow, RowError, read_rows
from processor.importers.shapes import READERS, Said
from processor.steps.normalise import same_text

FORMATS = tuple(READERS)
CHUNK = 500
# When a row happened is not known, and must not depend on when it is imported: the same row is the same event.
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
MAX_ERRORS = 20


@dataclass
class ImportReport:
    """Counts of rows. `errors` are the first ones, "row N: why"; `kinds` says what the imported rows became."""

    rows: int = 0
    imported: int = 0
    repeated: int = 0
    quarantined: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    quarantine: str | None = None
    dry_run: bool = False


def import_file(
    path: Path, format: str, project: str, log: Log, *, mapping: Mapping[str, str] | None = None,
    dry_run: bool = False, progress: Progress | None = None, labels: Sequence[str] = (), source: str = "import",
    quarantine: Path | None = None,
) -> ImportReport:  # fmt: skip
    """Append a file's rows to the log. `mapping` names CSV columns; `dry_run` only counts.

    Raises ThumbwheelError for an unknown format or an unreadable file, LogUnavailable when the log does not
    confirm: import the file again then, nothing doubles.
    """
    if format not in READERS:
        raise ThumbwheelError("unknown_format", f"Unknown format {format!r}.", f"Use one of: {', '.join(FORMATS)}.")
    if not path.is_file():
        raise ThumbwheelError("no_file", f"There is no file {path}.", "Check the path.")
    report = ImportReport(dry_run=dry_run)
    seen: set[bytes] = set()
    pending: list[Event] = []
    with _Quarantine(path, quarantine, dry_run) as refused:
        for row in read_rows(path, format, progress):
            report.rows += 1
            try:
                events = _events(row, READERS[format], mapping or {}, project, labels, source)
            except (RowError, EventError) as error:
                _refuse(report, refused, row, str(error))
                continue
            mark = hashlib.blake2b(events[-1].event_id.encode(), digest_size=16).digest()
            if mark in seen:
                report.repeated += 1
                continue
            seen.add(mark)
            report.imported += 1
            report.kinds[events[-1].type] = report.kinds.get(events[-1].type, 0) + 1
            pending.extend(events)
            if len(pending) >= CHUNK:
                _append(log, pending, dry_run)
        _append(log, pending, dry_run)
        report.quarantine = refused.name
    return report


def _append(log: Log, pending: list[Event], dry_run: bool) -> None:
    if pending and not dry_run:
        append_all(log, pending)
    pending.clear()


def _refuse(report: ImportReport, refused: _Quarantine, row: ReadRow, why: str) -> None:
    report.quarantined += 1
    line = f"row {row.number}: {why}"
    if len(report.errors) < MAX_ERRORS:
        report.errors.append(line)
    refused.write({"row": row.number, "error": why, "value": row.value if row.value is not None else row.raw})


class _Quarantine:
    """The file refused rows are kept in: beside the imported one where that can be written; made when needed."""

    def __init__(self, path: Path, given: Path | None, dry_run: bool) -> None:
        name = f"{path.name}.quarantine.jsonl"
        self._places = [given] if given else [path.with_name(name), Path(tempfile.gettempdir()) / name]
        self._file: IO[str] | None = None
        self._dry_run = dry_run
        self.name: str | None = None

    def __enter__(self) -> _Quarantine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, value: dict[str, Any]) -> None:
        if self._dry_run:
            return
        if self._file is None:
            self._file = self._open()
        self._file.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")

    def _open(self) -> IO[str]:
        for place in self._places:
            try:
                file = place.open("w", encoding="utf-8", errors="replace")
            except OSError:
                continue
            self.name = str(place)
            return file
        raise ThumbwheelError(
            "quarantine", f"No quarantine file can be written ({self._places[0]}).", "Import from a folder of yours."
        )


def _events(
    row: ReadRow, read: Any, mapping: Mapping[str, str], project: str, labels: Sequence[str], source: str
) -> list[Event]:
    """Return the interaction and the feedback a row stands for; raise RowError or EventError."""
    if row.value is None:
        raise RowError(row.error or "unreadable")
    said: Said = read(row.value, mapping)
    _check(said)
    replies = [said.reply] if said.rejected is None else sorted([said.reply, said.rejected])
    # Which reply stands first follows from the texts, so that position tells nothing about the choice.
    identity = json.dumps([said.messages, replies], ensure_ascii=True, sort_keys=True)
    interaction_id = str(derived_id(project, "import", identity))
    ids = {reply: f"{interaction_id}.{position}" for position, reply in enumerate(replies)}
    shared = {"occurred_at": UNKNOWN_TIME, "source": source, "labels": list(labels), "interaction_id": interaction_id}
    asked = {
        "type": "interaction", "event_id": str(derived_id(interaction_id, "interaction")), "messages": said.messages,
        "candidates": [{"candidate_id": ids[reply], "content": reply} for reply in replies],
        "actor": {"id": "import", "kind": "system"}, "surface": "chat", **shared,
    }  # fmt: skip
    if said.extra:
        asked["extra"] = said.extra
    feedback = _feedback(said, ids) | {"actor": {"id": "import", "kind": "expert"}, **shared}
    feedback["event_id"] = str(derived_id(interaction_id, feedback["type"], said.reply, str(said.label)))
    events: list[Event] = []
    for body in (asked, feedback):
        event = stamp(decode_event(body), project=project, key_id="import", via="import")
        if len(encode(event)) > MAX_EVENT_BYTES:
            raise RowError(f"the row is larger than {MAX_EVENT_BYTES // 1024} KiB")
        events.append(event)
    return events


def _check(said: Said) -> None:
    if not any(message["role"] == "user" and message["content"].strip() for message in said.messages):
        raise RowError("there is no question")
    if not said.reply.strip() or (said.rejected is not None and not said.rejected.strip()):
        raise RowError("a reply is empty")
    if said.rejected is not None and same_text(said.reply, said.rejected):
        raise RowError("chosen and rejected are the same text")


def _feedback(said: Said, ids: Mapping[str, str]) -> dict[str, Any]:
    if said.rejected is not None:
        return {"type": "choice", "shown": list(ids.values()), "chosen": ids[said.reply], "outcome": "chosen"}
    if said.label is not None:
        return {"type": "thumb", "candidate_id": ids[said.reply], "value": "up" if said.label else "down"}
    return {"type": "edit", "candidate_id": ids[said.reply], "text": said.reply}
