"""Definitions: what managers say a label is, appended to the log like every other fact."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from contract.curation.definitions import DefinitionLabel
from contract.errors import ThumbwheelError
from contract.events import decode_event
from contract.ids import uuid7
from eventlog.log import append_all
from processor.console.access import Caller
from processor.console.services import reading, services
from processor.curation.labels import LabelDef, check_change, label_of
from processor.queries.labels import answers_of, find_label, label_history, list_labels
from processor.queries.reading import NotFound

OWN = frozenset(DefinitionLabel.__struct_fields__) & {
    "path", "title", "description", "kind", "scope", "choices", "min", "max", "step", "required", "parent",
    "guideline", "owner", "moved_to", "deprecated",
}  # fmt: skip


# How long a page waits for the tables to hold what it appended: about ten times what they usually take.
VISIBLE_S = 3.0
_LOOK_EVERY_S = 0.05
HELD_FACTS = "SELECT count(DISTINCT event_id) FROM facts WHERE project = ? AND event_id IN (SELECT unnest(?::TEXT[]))"


def append_facts(caller: Caller, project: str, bodies: list[dict[str, Any]]) -> list[Any]:
    """Append facts in the caller's name and return them once the tables hold them, or after VISIBLE_S.

    All of them are looked at before one is appended. Raises ThumbwheelError for a wrong one, or with the log away.
    """
    stamped = [caller.event(project, body) for body in bodies]
    append_all(services().log, stamped)
    wait_until_held(project, [event.event_id for event in stamped])
    return stamped


def wait_until_held(project: str, event_ids: list[str], held: str = HELD_FACTS) -> None:
    """Return once the tables hold these events, by a question that counts them, or after VISIBLE_S."""
    end = time.monotonic() + VISIBLE_S
    while time.monotonic() < end:
        with reading() as cursor:
            row = cursor.execute(held, [project, event_ids]).fetchone()
        if row and row[0] == len(set(event_ids)):
            return
        time.sleep(_LOOK_EVERY_S)


def define_label(caller: Caller, project: str, given: Mapping[str, Any]) -> LabelDef:
    """Define a label, or define it anew: the version after the one there is.

    Where `version` is given it is the version that was read: another since is 409. Raises ThumbwheelError.
    """
    return define_labels(caller, project, [given])[0]


def define_labels(caller: Caller, project: str, given: Sequence[Mapping[str, Any]]) -> list[LabelDef]:
    """Define several labels, later ones may stand below earlier ones; a wrong one and none is defined."""
    labels, answered = _standing(project)
    made: list[tuple[dict[str, Any], LabelDef]] = []
    for number, one in enumerate(given):
        try:
            body, label = _made(one, labels, answered)
        except ThumbwheelError as error:
            if len(given) > 1:
                error.field = f"labels[{number}].{error.field or 'path'}"
            raise
        labels[label.path] = label
        made.append((body, label))
    append_facts(caller, project, [body for body, _ in made])
    return [label for _, label in made]


def _made(
    given: Mapping[str, Any], labels: Mapping[str, LabelDef], answered: Mapping[str, int]
) -> tuple[dict[str, Any], LabelDef]:
    """Return the fact that defines a label, and the label; raises ThumbwheelError."""
    if unknown := sorted(given.keys() - OWN - {"version"}):
        raise ThumbwheelError("invalid_label", f"A label has no {unknown[0]!r}.", "See the data API.", unknown[0])
    body = {name: value for name, value in given.items() if name in OWN and value is not None}
    path = str(body.get("path", ""))
    old = labels.get(path)
    _check_read(old, given.get("version"))
    body |= {"type": "definition.label", "version": (old.version if old else 0) + 1}
    told: Any = decode_event({
        "event_id": str(uuid7()), "occurred_at": datetime.now(UTC).isoformat(), "actor": {"id": "console"}, **body,
    })  # fmt: skip
    label = label_of(told)
    check_change(label, labels, answered.get(path, 0) > 0)
    return body, label


def move_label(caller: Caller, project: str, path: str, to: str) -> LabelDef:
    """Give a label another path; its answers stay readable under either. Raises ThumbwheelError."""
    with reading() as cursor:
        labels = list_labels(cursor, project)
    old = find_label(labels, path)
    if to in labels:
        raise ThumbwheelError("invalid_label", f"There is a label {to!r} already.", "Choose another path.", "to", 409)
    values = {name: value for name, value in old.as_dict().items() if name in OWN} | {"path": to, "moved_to": None}
    moved = msgspec.convert(values | {"version": old.version + 1}, LabelDef, strict=False)
    check_change(moved, labels, answered=False)
    new, _ = append_facts(caller, project, [
        _definition(moved), _definition(old) | {"version": old.version + 1, "moved_to": to},
    ])  # fmt: skip
    return label_of(new)


def restore_label(caller: Caller, project: str, path: str, event_id: str) -> LabelDef:
    """Define a label once more as an earlier definition had it. Raises ThumbwheelError."""
    with reading() as cursor:
        found = [row for row in label_history(cursor, project, path) if row["event_id"] == event_id]
    if not found:
        raise NotFound("unknown_definition", f"{path!r} was never defined by {event_id!r}.", "See its history.")
    values = {name: value for name, value in label_of(found[0]["definition"]).as_dict().items() if name in OWN}
    return define_label(caller, project, values)


def _definition(label: LabelDef) -> dict[str, Any]:
    values = {name: value for name, value in label.as_dict().items() if name in OWN and value is not None}
    return values | {"type": "definition.label", "version": label.version}


def _standing(project: str) -> tuple[dict[str, LabelDef], dict[str, int]]:
    with reading() as cursor:
        labels = list_labels(cursor, project)
        return labels, answers_of(cursor, project, labels)


def _check_read(old: LabelDef | None, version: Any) -> None:
    standing = old.version if old else 0
    if version is not None and version != standing:
        raise ThumbwheelError(
            "label_changed",
            f"The label is at version {standing} by now.",
            "Read it again, and change that.",
            "version",
            409,
        )
