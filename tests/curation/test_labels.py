"""Labels: which definition counts, what an answer may be, and what a definition may not change any more."""

from __future__ import annotations

from typing import Any

import pytest

from contract.curation.definitions import DefinitionLabel, Option, Words
from contract.errors import EventError, ThumbwheelError
from contract.events import decode_event
from contract.ids import uuid7
from processor.curation.labels import LabelDef, check_change, check_value, defined, former_paths, label_of, now_at


def definition(path: str = "tone", **fields: Any) -> DefinitionLabel:
    body = {
        "type": "definition.label", "event_id": str(uuid7()), "occurred_at": "2026-03-01T12:00:00Z",
        "actor": {"id": "lead"}, "path": path,
    }  # fmt: skip
    made = decode_event(body | fields)
    assert isinstance(made, DefinitionLabel)
    return made


def label(path: str = "tone", **fields: Any) -> LabelDef:
    return label_of(definition(path, **fields))


CHOICES = [{"key": "kind", "title": {"en": "Kind", "zh": "友善"}}, {"key": "rude"}, {"key": "old", "archived": True}]


def test_the_highest_version_counts_and_of_equal_ones_the_latest() -> None:
    found = defined([
        definition(version=2, title="second"), definition(version=1, title="first"),
        definition(version=2, title={"en": "mended", "zh": "改过"}), definition("other", title="else"),
    ])  # fmt: skip
    assert list(found) == ["other", "tone"]
    assert found["tone"].title == Words(en="mended", zh="改过")
    assert found["other"].title == Words(en="else")


def test_a_moved_label_is_read_under_its_new_path_and_a_circle_ends() -> None:
    found = defined([
        definition("a", moved_to="b"), definition("b", moved_to="c"), definition("c"),
        definition("x", moved_to="y"), definition("y", moved_to="x"),
    ])  # fmt: skip
    assert now_at(found, "a") == "c"
    assert former_paths(found, "c") == ["c", "a", "b"]
    assert now_at(found, "x") == "y"
    assert now_at(found, "unknown") == "unknown"


RATING = {"kind": "rating", "min": 1, "max": 5, "step": 0.5}
FITS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"kind": "bool"}, [True, False], [1, "true", None]),
    ({"kind": "choice", "choices": CHOICES}, ["kind", "rude"], ["old", "unheard", 3, None, ["kind"]]),
    ({"kind": "multi", "choices": CHOICES}, [[], ["kind"], ["rude", "kind"]], ["kind", ["kind", "kind"], ["old"], [1]]),
    (RATING, [1, 5, 2.5], [0.5, 5.5, 2.3, True, "3", None]),
    ({"kind": "text"}, ["Yes.", "好"], ["", " ", 3, "x" * 4001]),
    ({"kind": "correction"}, ["A better reply."], ["", None]),
    ({"kind": "ranking"}, [["a", "b"], [["a", "b"], "c"]], [["a"], ["a", "a"], ["a", []], "ab", [1, 2]]),
    (
        {"kind": "pairwise", "scope": "pair"},
        [{"outcome": "tie"}, {"outcome": "chosen", "chosen": "a", "strength": 3}],
        [{"outcome": "chosen"}, {"outcome": "tie", "chosen": "a"}, {"outcome": "chosen", "chosen": "a", "strength": 4}],
    ),
    (
        {"kind": "span"},
        [[{"path": "tone", "candidate_id": "a", "start": 1, "end": 3, "text": "好的"}]],
        [[{"path": "tone", "candidate_id": "a", "start": 1, "end": 4, "text": "好的"}], {}, [1]],
    ),
]


@pytest.mark.parametrize(("fields", "good", "bad"), FITS)
def test_an_answer_fits_the_kind_of_its_label(fields: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    asked = label(**fields)
    for value in good:
        check_value(asked, value)
    for value in bad:
        with pytest.raises(EventError) as refused:
            check_value(asked, value)
        assert (refused.value.code, refused.value.field) == ("invalid_answer", "answers.tone")
        assert refused.value.hint


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("path", {"path": "@rating"}),
    ("path", {"path": "tone//polite"}),
    ("choices", {"kind": "choice"}),
    ("choices", {"kind": "choice", "choices": [{"key": "old", "archived": True}]}),
    ("choices", {"kind": "bool", "choices": CHOICES}),
    ("choices", {"kind": "choice", "choices": [{"key": "a"}, {"key": "a"}]}),
    ("choices", {"kind": "choice", "choices": [{"key": "a", "shortcut": "1"}, {"key": "b", "shortcut": "1"}]}),
    ("min", {"kind": "rating"}),
    ("min", {"kind": "rating", "min": 5, "max": 1}),
    ("min", {"kind": "rating", "min": 1, "max": 5, "step": -1}),
    ("scope", {"kind": "pairwise", "scope": "candidate"}),
    ("parent", {"parent": "unheard"}),
    ("parent", {"parent": "tone"}),
    ("moved_to", {"moved_to": "unheard"}),
]


@pytest.mark.parametrize(("field", "fields"), BROKEN)
def test_a_definition_that_cannot_be_asked_is_refused(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        check_change(label(**fields), {}, answered=False)
    assert (refused.value.code, refused.value.field) == ("invalid_label", field)


def test_no_label_stands_below_itself_or_moves_in_a_circle() -> None:
    labels = defined([definition("a"), definition("b", parent="a"), definition("c", moved_to="a")])
    with pytest.raises(ThumbwheelError) as refused:
        check_change(label("a", parent="b"), labels, answered=False)
    assert refused.value.field == "parent"
    with pytest.raises(ThumbwheelError) as refused:
        check_change(label("a", moved_to="c"), labels, answered=False)
    assert refused.value.field == "moved_to"


def test_what_is_answered_keeps_its_kind_and_its_choices_and_may_be_reworded() -> None:
    labels = {"tone": label(kind="choice", choices=CHOICES)}
    archived = [one | {"archived": True} if one["key"] == "rude" else one for one in CHOICES]
    check_change(label(kind="choice", choices=archived, title="Tone of voice", version=1), labels, answered=True)
    check_change(label(kind="choice", choices=[*CHOICES, {"key": "new"}]), labels, answered=True)
    for field, fields in [
        ("kind", {"kind": "multi", "choices": CHOICES}),
        ("kind", {"kind": "choice", "scope": "candidate", "choices": CHOICES}),
        ("choices", {"kind": "choice", "choices": CHOICES[:2]}),
    ]:  # fmt: skip
        check_change(label(**fields), labels, answered=False)
        with pytest.raises(ThumbwheelError) as refused:
            check_change(label(**fields), labels, answered=True)
        assert refused.value.field == field


def test_an_option_is_found_by_its_key_though_archived() -> None:
    assert label(kind="choice", choices=CHOICES).option("old") == Option(key="old", archived=True)
