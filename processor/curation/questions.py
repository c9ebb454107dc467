"""In: a task's labels, an item with its replies. Out: the questions asked of it, and whether answers fit them.

A label is asked where its scope fits the item: of a whole interaction, of one reply, of a pair. A label about one reply
is also asked of an interaction that has only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from contract.errors import EventError, ThumbwheelError
from processor.curation.labels import LabelDef, check_value, now_at
from processor.curation.tasks import Task

_COMPARING = ("pairwise", "ranking")


def candidates_of(unit: str, candidates: Sequence[str]) -> list[str]:
    """Return which of an interaction's replies an item is about, in their order."""
    if unit in candidates:
        return [unit]
    for at, one in enumerate(candidates):
        for other in candidates[at + 1 :]:
            if unit in (f"{one}|{other}", f"{other}|{one}"):
                return [one, other]
    return [] if unit else list(candidates)


def asked_labels(task: Task, labels: Mapping[str, LabelDef], unit: str, candidates: Sequence[str]) -> list[LabelDef]:
    """Return the labels that an item is asked about, in the task's order; `candidates` are the item's own."""
    found: dict[str, LabelDef] = {}
    for path in task.labels:
        label = labels.get(now_at(labels, path))
        if label is not None and not label.deprecated and _fits(label, unit, len(candidates)):
            found.setdefault(label.path, label)
    return list(found.values())


def _fits(label: LabelDef, unit: str, candidates: int) -> bool:
    if label.kind in _COMPARING:
        return candidates > 1
    if label.scope == "pair":
        return candidates == 2
    if label.scope == "candidate" or label.kind == "correction":
        return candidates == 1
    if label.scope == "interaction":
        return unit == ""
    return candidates > 0


def question_of(label: LabelDef) -> dict[str, Any]:
    """Return a label as a page asks it: what is archived is not offered."""
    return {
        "path": label.path, "version": label.version, "kind": label.kind, "required": label.required,
        "title": msgspec.to_builtins(label.title), "description": msgspec.to_builtins(label.description),
        "choices": [
            {"key": one.key, "title": msgspec.to_builtins(one.title), "shortcut": one.shortcut}
            for one in label.choices if not one.archived
        ],
        "min": label.min, "max": label.max, "step": label.step, "guideline": label.guideline,
    }  # fmt: skip


def check_answers(asked: Sequence[LabelDef], answers: Mapping[str, Any], candidates: Sequence[str]) -> None:
    """Raise EventError that names the label where answers are not what an item is asked for."""
    by_path = {label.path: label for label in asked}
    for path, value in answers.items():
        label = by_path.get(path)
        if label is None:
            raise EventError("invalid_answer", f"{path}: this item is not asked that.", "See its questions.",
                             f"answers.{path}")  # fmt: skip
        check_value(label, value)
        if not set(named_in(label, value)) <= set(candidates):
            raise EventError("invalid_answer", f"{path}: it names a reply that was not shown.",
                             "Name replies of the item.", f"answers.{path}")  # fmt: skip
    for label in asked:
        if label.required and label.path not in answers:
            raise EventError("answer_missing", f"{label.path}: an answer is needed.", "Answer it, or skip the item.",
                             f"answers.{label.path}")  # fmt: skip


def named_in(label: LabelDef, value: Any) -> list[str]:
    """Return the replies that an answer names."""
    if label.kind == "ranking":
        return [one for group in value for one in ([group] if isinstance(group, str) else group)]
    if label.kind == "span":
        return [span["candidate_id"] for span in value]
    chosen = value.get("chosen") if label.kind == "pairwise" else None
    return [chosen] if chosen else []


def check_reason(reason: Any) -> str:
    """Return why an item is skipped; raises ThumbwheelError."""
    if not isinstance(reason, str) or not reason.strip() or len(reason) > 200:
        raise ThumbwheelError("invalid_reason", "A skipped item needs a reason.", "Send 1 to 200 characters.", "reason")
    return reason.strip()
