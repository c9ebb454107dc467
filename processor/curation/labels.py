"""In: `definition.label` facts, answers. Out: what a label is, whether an answer fits it, whether it may be changed so.

Of several definitions of one path the highest version counts, of equal ones the latest. A path that moved goes on being
read: answers under the old one are answers of the new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from contract.curation.answers import Preference, Span
from contract.curation.checks import check_spans, is_whole, ranked_of
from contract.curation.definitions import DefinitionLabel, Option, Words
from contract.errors import EventError, ThumbwheelError

NO_WORDS = Words()
MAX_TEXT = 4000
MAX_CORRECTION = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class LabelDef:
    """A label as it is defined now. `event_id` is the definition's, `order` decides between definitions."""

    path: str
    version: int = 0
    kind: str = "bool"
    scope: str = "interaction"
    title: Words = NO_WORDS
    description: Words = NO_WORDS
    choices: tuple[Option, ...] = ()
    min: float | None = None
    max: float | None = None
    step: float | None = None
    required: bool = False
    parent: str | None = None
    guideline: str | None = None
    owner: str | None = None
    moved_to: str | None = None
    deprecated: bool = False
    event_id: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the definition as JSON-ready values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    def option(self, key: str) -> Option | None:
        """Return one of its choices, an archived one too."""
        return next((one for one in self.choices if one.key == key), None)


def label_of(event: DefinitionLabel) -> LabelDef:
    """Return the label that an event defines."""
    return LabelDef(
        path=event.path, version=event.version, kind=event.kind, scope=event.scope, title=words(event.title),
        description=words(event.description), choices=tuple(event.choices), min=event.min, max=event.max,
        step=event.step, required=event.required, parent=event.parent, guideline=event.guideline, owner=event.owner,
        moved_to=event.moved_to, deprecated=event.deprecated, event_id=event.event_id,
    )  # fmt: skip


def words(text: str | Words) -> Words:
    """Return a text as one per language: a bare one is read as English."""
    return Words(en=text) if isinstance(text, str) else text


def defined(events: Iterable[DefinitionLabel]) -> dict[str, LabelDef]:
    """Return the labels by path; `events` in the order of the log."""
    found: dict[str, LabelDef] = {}
    for event in events:
        held = found.get(event.path)
        if held is None or event.version >= held.version:
            found[event.path] = label_of(event)
    return dict(sorted(found.items()))


def now_at(labels: Mapping[str, LabelDef], path: str) -> str:
    """Return the path that a label has now; a circle of moves ends where it began."""
    seen = {path}
    while (label := labels.get(path)) is not None and label.moved_to and label.moved_to not in seen:
        path = label.moved_to
        seen.add(path)
    return path


def former_paths(labels: Mapping[str, LabelDef], path: str) -> list[str]:
    """Return a label's path and those it had before: answers are kept under either."""
    return [path, *sorted(one for one in labels if one != path and now_at(labels, one) == path)]


def check_change(new: LabelDef, labels: Mapping[str, LabelDef], answered: bool) -> None:
    """Raise ThumbwheelError where a definition would change what earlier answers mean.

    What is answered keeps its kind, its scope and the keys of its choices, archived ones too.
    """
    _check_shape(new)
    _check_place(new, labels)
    old = labels.get(new.path)
    if old is None or not answered:
        return
    if (old.kind, old.scope) != (new.kind, new.scope):
        raise _refused(
            "There are answers of another kind.", "Make a new label, and move or deprecate this one.", "kind"
        )  # fmt: skip
    if gone := [one.key for one in old.choices if new.option(one.key) is None]:
        raise _refused(
            f"{gone[0]!r} is answered and cannot be removed.", "Archive the choice: it is no longer offered.", "choices"
        )


def _check_shape(label: LabelDef) -> None:
    keys = [one.key for one in label.choices]
    shortcuts = [one.shortcut for one in label.choices if one.shortcut]
    if label.path.startswith("@") or any(not part.strip() for part in label.path.split("/")):
        raise _refused("A label's path is words joined by /.", "For example tone/polite; not beginning with @.", "path")
    if label.kind in ("choice", "multi") and not any(not one.archived for one in label.choices):
        raise _refused("There is nothing to choose from.", "Give one choice or more that is not archived.", "choices")
    if label.kind not in ("choice", "multi") and keys:
        raise _refused("A label of this kind has no choices.", "Use kind choice or multi.", "choices")
    if len(set(keys)) != len(keys) or len(set(shortcuts)) != len(shortcuts):
        raise _refused("Two choices share a key or a shortcut.", "Give each its own.", "choices")
    if label.kind == "rating" and not (
        label.min is not None
        and label.max is not None
        and label.min < label.max
        and (label.step is None or label.step > 0)
    ):
        raise _refused("A rating needs a lowest and a highest value.", "For example min 1, max 5, step 1.", "min")
    if label.kind in ("ranking", "pairwise") and label.scope not in ("interaction", "pair"):
        raise _refused("One reply cannot be compared with itself.", "Use scope interaction or pair.", "scope")


def _check_place(label: LabelDef, labels: Mapping[str, LabelDef]) -> None:
    for name in ("parent", "moved_to"):
        other = getattr(label, name)
        if other is not None and (other == label.path or other not in labels):
            raise _refused(f"There is no other label {other!r}.", "Define it first.", name)
    above, seen = label.parent, {label.path}
    while above is not None:
        if above in seen:
            raise _refused("A label would stand below itself.", "Choose another parent.", "parent")
        seen.add(above)
        above = labels[above].parent if above in labels else None
    if label.moved_to is not None and now_at({**labels, label.path: label}, label.moved_to) == label.path:
        raise _refused("The labels would move in a circle.", "Choose another path.", "moved_to")


def check_value(label: LabelDef, value: Any) -> None:
    """Raise EventError that names the label where a value is no answer to it."""
    problem = _CHECKS[label.kind](label, value)
    if problem is not None:
        raise EventError("invalid_answer", f"{label.path}: {problem[0]}", problem[1], f"answers.{label.path}")


Problem = tuple[str, str] | None


def _check_bool(label: LabelDef, value: Any) -> Problem:
    return None if isinstance(value, bool) else ("it is neither true nor false.", "Send true or false.")


def _check_choice(label: LabelDef, value: Any) -> Problem:
    option = label.option(value) if isinstance(value, str) else None
    if option is None or option.archived:
        offered = ", ".join(one.key for one in label.choices if not one.archived)
        return f"{str(value)[:80]!r} is not offered.", f"Send one of: {offered}."
    return None


def _check_multi(label: LabelDef, value: Any) -> Problem:
    if not isinstance(value, list) or len({str(one) for one in value}) != len(value):
        return "it is no list of different choices.", "Send a list of keys, an empty one for none of them."
    return next((problem for one in value if (problem := _check_choice(label, one))), None)


def _check_rating(label: LabelDef, value: Any) -> Problem:
    low, high = label.min or 0.0, label.max or 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return f"it is no number from {low:g} to {high:g}.", "Send a number on the label's scale."
    steps = (value - low) / label.step if label.step else 0.0
    if not math.isclose(steps, round(steps), abs_tol=1e-9):
        return f"{value:g} lies between two steps.", f"Steps are {label.step:g} apart."
    return None


def _check_text(label: LabelDef, value: Any) -> Problem:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        return "it is no text, or too long a one.", f"Send 1 to {MAX_TEXT} characters."
    return None


def _check_correction(label: LabelDef, value: Any) -> Problem:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_CORRECTION:
        return "it is no text, or too long a one.", "Send the better reply."
    return None


def _check_ranking(label: LabelDef, value: Any) -> Problem:
    ranked = ranked_of(value) if isinstance(value, list) else None
    if ranked is None or len(ranked) < 2 or len(set(ranked)) != len(ranked):
        return "it is no order of replies.", "Name two replies or more, each once; ties as a list."
    return None


def _check_pairwise(label: LabelDef, value: Any) -> Problem:
    try:
        preference = msgspec.convert(value, Preference)
    except msgspec.ValidationError:
        return "it is no preference.", "Send outcome, chosen and strength (1 to 3)."
    if not is_whole(preference):
        return "its outcome and what is chosen disagree.", "Name `chosen` for outcome 'chosen' only."
    return None


def _check_span(label: LabelDef, value: Any) -> Problem:
    try:
        spans = msgspec.convert(value, list[Span])
    except msgspec.ValidationError:
        return "it is no list of spans.", "Send candidate_id, start, end and text of each."
    return None if check_spans(spans) else ("a span's text is not as long as the span.", "Count code points.")


_CHECKS = {
    "bool": _check_bool, "choice": _check_choice, "multi": _check_multi, "rating": _check_rating, "text": _check_text,
    "correction": _check_correction, "ranking": _check_ranking, "pairwise": _check_pairwise, "span": _check_span,
}  # fmt: skip


def _refused(message: str, hint: str, name: str) -> ThumbwheelError:
    return ThumbwheelError("invalid_label", message, hint, name, 400)
