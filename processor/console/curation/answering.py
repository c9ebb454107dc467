"""Answers on a page: in words of the reader's language, as fields of a form, and read from one again.

Replies are called by their place among those shown, 1 first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from contract.errors import ThumbwheelError
from processor.console.formats import figure, in_language
from processor.console.words import word
from processor.curation.labels import LabelDef

PREFIX = "answer."
# Marks need a mouse or code points: they are mended over the data API.
NO_FIELD = frozenset({"span"})


def in_words(label: LabelDef | None, value: Any, names: Sequence[str]) -> str:
    """Return an answer as one reads it; of a label that is not defined, as it was sent."""
    kind = label.kind if label else ""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if label and kind in ("choice", "multi"):
        keys = value if isinstance(value, list) else [value]
        return str(_(", ")).join(_choice(label, key) for key in keys) or "–"
    if isinstance(value, dict) and "outcome" in value:
        return _preference(value, names)
    if kind == "ranking":
        return " > ".join(" = ".join(reply(one, names) for one in _group(group)) for group in value)
    if kind == "span":
        return str(_(", ")).join(f"“{one['text']}” ({reply(one['candidate_id'], names)})" for one in value) or "–"
    if isinstance(value, str):
        return value
    return figure(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)


def _choice(label: LabelDef, key: Any) -> str:
    option = label.option(str(key))
    return (in_language(option.title) if option else "") or str(key)


def _preference(value: Mapping[str, Any], names: Sequence[str]) -> str:
    if value["outcome"] != "chosen":
        return str(word(value["outcome"]))
    told = reply(value.get("chosen", ""), names)
    return f"{told} ({'+' * value['strength']})" if value.get("strength") else told


def _group(group: Any) -> list[str]:
    return [group] if isinstance(group, str) else list(group)


def reply(name: str, names: Sequence[str]) -> str:
    """Return what a reply is called on the page."""
    return str(_("Reply %(place)s", place=names.index(name) + 1)) if name in names else name


def field_of(label: LabelDef, value: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return a label as a field of a form, with the answer that stands in it; None stands for none."""
    options = [(one.key, _choice(label, one.key)) for one in label.choices if not one.archived]
    if label.kind == "bool":
        options = [("true", _("yes")), ("false", _("no"))]
        value = None if value is None else str(value is True).lower()
    elif label.kind == "pairwise":
        options = [(str(at), reply(name, names)) for at, name in enumerate(names, 1)]
        options += [("tie", str(word("tie"))), ("none", str(word("none")))]
        value = _place(value, names)
    elif label.kind == "ranking":
        value = " > ".join(" = ".join(_number(one, names) for one in _group(group)) for group in value or ())
    given = [] if value is None else value if isinstance(value, list) else [figure(value)]
    return {
        "name": PREFIX + label.path, "kind": label.kind, "title": in_language(label.title) or label.path,
        "options": options, "given": given, "min": label.min, "max": label.max, "step": label.step,
    }  # fmt: skip


def _place(value: Any, names: Sequence[str]) -> str | None:
    if not isinstance(value, dict):
        return None
    return _number(value.get("chosen", ""), names) if value["outcome"] == "chosen" else str(value["outcome"])


def _number(name: str, names: Sequence[str]) -> str:
    return str(names.index(name) + 1) if name in names else ""


def answers_of_form(form: MultiDict[str, str], asked: Sequence[LabelDef], names: Sequence[str]) -> dict[str, Any]:
    """Return the answers that a form holds; what is left empty is no answer. Raises ThumbwheelError."""
    answers: dict[str, Any] = {}
    for label in asked:
        field = PREFIX + label.path
        if label.kind == "multi":
            if field in form or f"{field}.asked" in form:
                answers[label.path] = form.getlist(field)
        elif text := form.get(field, "").strip():
            answers[label.path] = _value(label, text, names)
    return answers


def _value(label: LabelDef, text: str, names: Sequence[str]) -> Any:
    if label.kind == "bool":
        return text == "true"
    if label.kind == "pairwise":
        return {"outcome": text} if text in ("tie", "none") else {"outcome": "chosen", "chosen": _named(text, names)}
    if label.kind == "ranking":
        groups = [[_named(one.strip(), names) for one in group.split("=")] for group in text.split(">")]
        return [group[0] if len(group) == 1 else group for group in groups]
    if label.kind != "rating":
        return text
    try:
        number = float(text)
    except ValueError as error:
        raise _refused(f"{text!r} is no number.", "For example 2.", label.path) from error
    return int(number) if number.is_integer() else number


def _named(text: str, names: Sequence[str]) -> str:
    if not text.isdecimal() or not 1 <= int(text) <= len(names):
        raise _refused(f"There is no reply {text!r}.", "Name replies by their numbers, such as 2 > 1 = 3.", "answers")
    return names[int(text) - 1]


def _refused(message: str, hint: str, field: str) -> ThumbwheelError:
    return ThumbwheelError("invalid_decision", message, hint, field)
