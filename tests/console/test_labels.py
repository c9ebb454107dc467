"""Labels over the data API and in the console: defined, reworded, moved, restored, refused; no answer is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from processor.console.curation import defining
from tests.console.bench import Bench
from tests.console.story import asked, event

Login = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]
TONE = {
    "path": "tone", "kind": "choice", "title": {"en": "Tone", "zh": "语气"},
    "choices": [{"key": "kind", "shortcut": "1"}, {"key": "rude", "shortcut": "2"}],
}  # fmt: skip


def post(bench: Bench, address: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    return bench.app.test_client().post(f"/api/v1/labels{address}", headers=headers, json=body)


def define(bench: Bench, **fields: Any) -> Any:
    answer = post(bench, "", fields)
    assert answer.status_code == 201, answer.get_json()
    bench.catch_up()
    return answer.get_json()


def answered(bench: Bench, label: str, value: Any, name: str = "", at: float = 2.0, **fields: Any) -> None:
    told = {"interaction_id": "i-1", "answers": {label: value}, "via": "console"} | fields
    bench.put(event("annotation", name or f"{label} {value}", at, **told))


def test_a_label_is_defined_reworded_and_keeps_its_answers(bench: Bench) -> None:
    define(bench, **TONE)
    bench.put(asked("i-1", 1, ["base"], "Where is it?"))
    answered(bench, "tone", "kind", label_versions={"tone": 1})
    again = define(bench, **TONE | {"title": {"en": "Tone of voice", "zh": "语气"}, "version": 1})
    assert again["version"] == 2
    answered(bench, "tone", "rude", name="later", actor=("u-2", "agent"), label_versions={"tone": 2})
    [item] = [one for one in bench.get("labels")["items"] if one["label"] == "tone"]
    assert item["title"] == {"en": "Tone of voice", "zh": "语气"}
    assert (item["counts"]["answers"], item["counts"]["people"]) == (2, 2)
    assert item["counts"]["versions"] == {"1": 1, "2": 1}
    health = bench.get("labels/tone")["health"]
    assert health["by_tier"] == {"agent": 1, "user": 1}
    assert {row["value"]: row["answers"] for row in health["values"]} == {'"kind"': 1, '"rude"': 1}


def test_a_moved_label_counts_what_was_answered_under_its_former_path(bench: Bench) -> None:
    define(bench, **TONE)
    bench.put(asked("i-1", 1, ["base"], "Where is it?"))
    answered(bench, "tone", "kind")
    moved = post(bench, "/move", {"path": "tone", "to": "style/tone"})
    assert (moved.status_code, moved.get_json()["path"]) == (201, "style/tone")
    bench.catch_up()
    answered(bench, "style/tone", "rude", actor=("u-2", "user"))
    label = bench.get("labels/style/tone")
    assert (label["former_paths"], label["health"]["answers"]) == (["tone"], 2)
    assert bench.get("labels/tone")["path"] == "style/tone"
    assert post(bench, "/move", {"path": "style/tone", "to": "tone"}).status_code == 409


def test_what_is_answered_cannot_change_its_meaning(bench: Bench) -> None:
    define(bench, **TONE)
    bench.put(asked("i-1", 1, ["base"], "Where is it?"))
    answered(bench, "tone", "kind")
    for field, change in (("kind", {"kind": "bool", "choices": []}), ("choices", {"choices": TONE["choices"][:1]})):
        refused = post(bench, "", TONE | change)
        assert (refused.status_code, refused.get_json()["error"]["field"]) == (400, field)
        assert refused.get_json()["error"]["hint"]
    archived = [TONE["choices"][0], {"key": "rude", "archived": True}]
    assert define(bench, **TONE | {"choices": archived})["version"] == 2
    assert bench.get("labels/tone")["health"]["answers"] == 1


def test_a_label_can_be_read_as_soon_as_it_is_defined(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defining, "VISIBLE_S", 10.0)
    later = threading.Timer(0.3, bench.catch_up)
    later.start()
    assert post(bench, "", TONE).status_code == 201
    later.join()
    assert bench.get("labels/tone")["version"] == 1


def test_several_labels_are_defined_all_or_none(bench: Bench) -> None:
    below = {"path": "tone/polite", "parent": "tone"}
    refused = post(bench, "", {"labels": [TONE, below, {"path": "x", "kind": "choice"}]})
    assert (refused.status_code, refused.get_json()["error"]["field"]) == (400, "labels[2].choices")
    bench.catch_up()
    assert bench.get("labels")["items"] == []
    assert post(bench, "", {"labels": [TONE, below]}).status_code == 201
    bench.catch_up()
    assert [one["label"] for one in bench.get("labels")["items"]] == ["tone", "tone/polite"]
    assert post(bench, "", {"labels": []}).status_code == 400


def test_two_managers_do_not_overwrite_each_other(bench: Bench) -> None:
    define(bench, **TONE)
    define(bench, **TONE | {"version": 1, "title": "First"})
    late = post(bench, "", TONE | {"version": 1, "title": "Second"})
    assert (late.status_code, late.get_json()["error"]["code"]) == (409, "label_changed")
    assert bench.get("labels/tone")["title"]["en"] == "First"


def test_an_earlier_definition_is_restored_as_a_new_version(bench: Bench) -> None:
    define(bench, **TONE)
    define(bench, **TONE | {"title": "Mistake"})
    first = bench.get("labels/tone")["history"][0]
    restored = post(bench, "/restore", {"path": "tone", "event_id": first["event_id"]})
    assert (restored.status_code, restored.get_json()["version"]) == (201, 3)
    bench.catch_up()
    assert bench.get("labels/tone")["title"] == {"en": "Tone", "zh": "语气"}
    assert post(bench, "/restore", {"path": "tone", "event_id": "nothing"}).status_code == 404


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("path", {"kind": "bool"}), ("path", {"path": "@x"}), ("path", {"path": "x" * 201}),
        ("kind", {"path": "x", "kind": "yes"}),
        ("colour", {"path": "x", "colour": "red"}), ("choices", {"path": "x", "kind": "choice"}),
        ("choices[0]", {"path": "x", "kind": "choice", "choices": [{"title": "no key"}]}),
        ("parent", {"path": "x", "parent": "y"}),
    ],
)  # fmt: skip
def test_a_wrong_label_is_refused_and_nothing_is_kept(bench: Bench, field: str, body: dict[str, Any]) -> None:
    refused = post(bench, "", body)
    error = refused.get_json()["error"]
    assert refused.status_code == 400
    assert (error["field"] or "").startswith(field) or field in error["message"], error
    bench.catch_up()
    assert bench.get("labels")["items"] == []


def test_a_label_made_in_the_form_stands_in_the_tree_with_its_choices(bench: Bench, login: Login, csrf: Csrf) -> None:
    client = login()
    token = csrf(client)
    form = {"csrf": token, "path": "tone", "kind": "choice", "title": "Tone", "title_zh": "语气",
            "choices": "kind | Kind | 友善 | 1\n- old | Old"}  # fmt: skip
    made = client.post("/labels", data=form)
    assert (made.status_code, made.location) == (303, "/labels/tone")
    bench.catch_up()
    [item] = bench.get("labels")["items"]
    assert [(one["key"], one.get("archived", False)) for one in item["choices"]] == [("kind", False), ("old", True)]
    assert item["choices"][0]["title"] == {"en": "Kind", "zh": "友善"}
    below = {"csrf": token, "path": "tone/polite", "kind": "bool", "parent": "tone"}
    assert client.post("/labels", data=below).status_code == 303
    bench.catch_up()
    listed = client.get("/labels").get_data(as_text=True)
    assert listed.index(">tone<") < listed.index(">tone/polite<") and "depth-1" in listed
    page = client.get("/labels/tone").get_data(as_text=True)
    assert "kind | Kind | 友善 | 1\n- old | Old" in page


def test_a_reader_may_look_and_not_define(bench: Bench, login: Login, csrf: Csrf) -> None:
    define(bench, **TONE)
    client = login("vic")
    page = client.get("/labels").get_data(as_text=True)
    assert "tone" in page and '<form method="post" action="/labels"' not in page
    assert client.post("/labels", data={"csrf": csrf(client), "path": "x"}).status_code == 403
