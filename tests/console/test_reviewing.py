"""Reviews and adjudications over the page and the data API: blind until decided, never by somebody who answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from contract.events import Event, decode_event, stamp
from contract.ids import derived_id
from tests.console.bench import PASSWORD, Bench
from tests.console.story import asked, event, fact, moment

Login = Callable[..., FlaskClient]
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
TASK: dict[str, Any] = {
    "task_id": "tone", "title": {"en": "Tone", "zh": "语气"}, "labels": ["tone", "score"],
    "stages": [{"k": 2, "agree": 1.0}, {"kind": "review"}],
}  # fmt: skip


def label(path: str, **fields: Any) -> Event:
    body = {"type": "definition.label", "event_id": str(derived_id("label", path)), "actor": {"id": "ada"}}
    told = decode_event({**body, "path": path, "occurred_at": moment(0).isoformat(), **fields})
    return stamp(told, project="default", key_id="console", via="console", received_at=moment(0))


def said(who: str, item: str, tone: str = "a", at: float = 20, **fields: Any) -> Any:
    told = {"task_id": "tone", "answers": {"tone": tone}, "via": "console"} | fields
    return event("annotation", f"{who} {item} {at}", at, interaction_id=item, actor=(who, "agent"), **told)


@pytest.fixture
def work(bench: Bench) -> Bench:
    """Item i-0 agreed by ann and bob, i-1 in dispute between ann and rei, i-2 agreed by ann and rei."""
    return tell(bench)


def tell(bench: Bench, **task: Any) -> Bench:
    given = TASK | task
    bench.put(
        label("tone", kind="choice", guideline="g-1", choices=[{"key": "a"}, {"key": "b"}],
              title={"en": "Tone", "zh": "语气"}),
        label("score", kind="rating", min=1, max=5, step=1),
        fact("definition.guideline", "g", 0, id="g-1", version=1, markdown="Be kind.", markdown_zh="要友善。"),
        fact("definition.task", "task", 1, version=1, **given),
        *(asked(f"i-{n}", 2 + n, ["secret-a", "secret-b"], "Where is it?") for n in range(4)),
        fact("task.items", "items", 9, task_id="tone", items=[{"interaction_id": f"i-{n}"} for n in range(4)]),
        said("ann", "i-0"), said("bob", "i-0", at=21), said("ann", "i-1"), said("rei", "i-1", "b", at=21),
        said("ann", "i-2"), said("rei", "i-2", at=21),
    )  # fmt: skip
    return bench


def ask(bench: Bench, address: str, body: Any = None, status: int = 200) -> Any:
    client, headers = bench.app.test_client(), {"Authorization": f"Bearer {bench.secret}"}
    if body is None:
        answer = client.get(f"/api/v1/{address}", headers=headers)
    else:
        answer = client.post(f"/api/v1/{address}", headers=headers, json=body)
    assert answer.status_code == status, answer.text
    bench.catch_up()
    return answer.get_json()


def place(item: str, who: str = "ada", **fields: Any) -> dict[str, Any]:
    return {"as": who, "task_id": "tone", "interaction_id": item, **fields}


def state(bench: Bench, item: str) -> Any:
    return bench.get(f"tasks/tone/item?interaction={item}")


def test_a_review_is_blind_until_it_is_decided(work: Bench) -> None:
    found = ask(work, "reviews/next?as=ada")
    item = found["item"]
    assert (item["interaction_id"], item["answers"], found["left"]) == ("i-0", {"tone": ["a"]}, 2)
    assert [one["en"] for one in item["guidelines"]] == ["Be kind."]
    text = work.app.test_client().get(
        "/api/v1/reviews/next?as=ada", headers={"Authorization": f"Bearer {work.secret}"}
    ).text  # fmt: skip
    assert not [word for word in ("ann", "bob", "secret-a", "secret-b") if word in text]
    done = ask(work, "reviews", place("i-0", verdict="accept", round=0), 201)
    assert {one["actor"]: one["answers"] for one in done["said"]} == {"ann": {"tone": "a"}, "bob": {"tone": "a"}}
    assert state(work, "i-0")["state"] == "settled"
    assert ask(work, "reviews/next?as=ada")["item"]["interaction_id"] == "i-2"


def test_what_people_disagree_about_is_reviewed_first(bench: Bench) -> None:
    tell(bench, stages=[{"k": 2}, {"kind": "review"}])
    item = ask(bench, "reviews/next?as=ada")["item"]
    assert (item["interaction_id"], item["answers"], item["agreement"]) == ("i-1", {"tone": ["a", "b"]}, 0.0)


def test_only_the_answers_of_the_round_are_shown_again(bench: Bench) -> None:
    tell(bench)
    ask(bench, "reviews", place("i-0", verdict="reject", comment="No.", return_to="same"), 201)
    bench.put(said("ann", "i-0", "b", at=70, round=1), said("bob", "i-0", "b", at=71, round=1))
    item = ask(bench, "reviews/next?as=ada&task=tone&interaction=i-0")["item"]
    assert (item["round"], item["answers"]) == (1, {"tone": ["b"]})


def test_a_fix_changes_the_value_and_a_rejection_returns_the_item(work: Bench) -> None:
    ask(work, "reviews", place("i-0", verdict="fix", answers={"tone": "b"}), 201)
    assert (state(work, "i-0")["state"], state(work, "i-0")["values"]) == ("settled", {"tone": '"b"'})
    ask(work, "reviews", place("i-2", verdict="reject", comment="Read it again.", return_to="other"), 201)
    assert (state(work, "i-2")["state"], state(work, "i-2")["round"], state(work, "i-2")["others"]) == (
        "returned", 1, True,
    )  # fmt: skip
    assert ask(work, "reviews/next?as=ada")["item"] is None


def test_nobody_decides_about_an_item_they_answered(work: Bench, login: Login) -> None:
    found = ask(work, "reviews/next?as=rei")
    assert (found["item"]["interaction_id"], found["own"]) == ("i-0", 1)
    assert ask(work, "adjudications/next?as=rei") == {"item": None, "left": 0, "own": 1, "others": 0}
    for address, body in (
        ("reviews/next?as=rei&task=tone&interaction=i-2", None),
        ("reviews", place("i-2", "rei", verdict="accept")),
        ("adjudications/next?as=rei&task=tone&interaction=i-1", None),
        ("adjudications", place("i-1", "rei", answers={"tone": "b"})),
    ):
        error = ask(work, address, body, 403)["error"]
        assert error["code"] == "own_answer" and "did not answer" in error["hint"]
    client = login("rei")
    csrf = CSRF.findall(client.get("/review").text)[0]
    for page, item in (("/review", "i-2"), ("/adjudicate", "i-1")):
        refused = client.get(f"{page}?task=tone&interaction={item}")
        assert refused.status_code == 403 and "rei answered this item." in refused.text
        form = {"csrf": csrf, "task_id": "tone", "interaction_id": item, "verdict": "accept", "letter": "A"}
        assert client.post(page, data=form).status_code == 403
    assert "you answered it" in client.get("/adjudicate").text
    work.catch_up()
    assert [state(work, f"i-{n}")["state"] for n in (1, 2)] == ["disputed", "in_review"]


def test_a_letter_is_chosen_without_knowing_whose_it_is(work: Bench) -> None:
    found = ask(work, "adjudications/next?as=ada")["item"]
    assert {one["letter"] for one in found["answers"]} == {"A", "B"} and found["differ"] == ["tone"]
    assert "ann" not in str(found) and "rei" not in str(found)
    letter = next(one["letter"] for one in found["answers"] if one["answers"]["tone"] == "b")
    error = ask(work, "adjudications", place("i-1", letter=letter), 409)["error"]
    assert error["field"] == "seen"
    done = ask(work, "adjudications", place("i-1", letter=letter, seen=found["seen"], note="Rude."), 201)
    assert next(one["actor"] for one in done["said"] if one["letter"] == letter) == "rei"
    assert (state(work, "i-1")["why"], state(work, "i-1")["values"]) == ("adjudicated", {"tone": '"b"'})
    with work.store.read() as cursor:
        basis, note = cursor.execute("SELECT basis, comment FROM reviews WHERE kind = 'adjudication'").fetchall()[0]
        given = cursor.execute("SELECT event_id FROM answers WHERE interaction_id = 'i-1'").fetchall()
    assert sorted(basis) == sorted(event_id for (event_id,) in given) and note == "Rude."


def test_letters_of_other_items_stand_for_other_people(bench: Bench) -> None:
    tell(bench)
    bench.put(
        *(asked(f"n-{n}", 30 + n, ["base", "base"], "Where?") for n in range(12)),
        fact("task.items", "more", 43, task_id="tone", items=[{"interaction_id": f"n-{n}"} for n in range(12)]),
        *(said("ann", f"n-{n}", "a", 50) for n in range(12)), *(said("bob", f"n-{n}", "b", 51) for n in range(12)),
    )  # fmt: skip
    first = [
        ask(bench, f"adjudications/next?as=ada&task=tone&interaction=n-{n}")["item"]["answers"][0]["answers"]["tone"]
        for n in range(12)
    ]
    assert set(first) == {"a", "b"}


def test_an_answer_that_came_since_makes_letters_stale(work: Bench) -> None:
    found = ask(work, "adjudications/next?as=ada")["item"]
    work.put(said("cyd", "i-1", "a", at=30))
    error = ask(work, "adjudications", place("i-1", letter="A", seen=found["seen"]), 409)["error"]
    assert error["code"] == "item_moved"
    assert state(work, "i-1")["state"] == "disputed"


@pytest.mark.parametrize(
    ("address", "item", "body", "status", "code"),
    [
        ("reviews", "i-0", {"verdict": "maybe"}, 400, "invalid_decision"),
        ("reviews", "i-0", {"verdict": "reject"}, 400, "invalid_decision"),
        ("reviews", "i-0", {"verdict": "reject", "comment": "x", "return_to": "mars"}, 400, "invalid_decision"),
        ("reviews", "i-0", {"verdict": "fix"}, 400, "invalid_decision"),
        ("reviews", "i-0", {"verdict": "fix", "answers": {"tone": "z"}}, 400, "invalid_answer"),
        ("reviews", "i-0", {"verdict": "fix", "answers": {"colour": "z"}}, 400, "invalid_answer"),
        ("reviews", "i-0", {"verdict": "accept", "round": 1}, 409, "item_moved"),
        ("reviews", "i-0", {"verdict": "accept", "reasons": "late"}, 400, "invalid_event"),
        ("reviews", "i-1", {"verdict": "accept"}, 409, "item_moved"),
        ("reviews", "i-9", {"verdict": "accept"}, 404, "unknown_item"),
        ("reviews", "i-0", {"verdict": "accept", "as": "vic"}, 404, "unknown_user"),
        ("reviews", "i-0", {"verdict": "accept", "as": None}, 400, "no_person"),
        ("reviews", 7, {"verdict": "accept"}, 400, "invalid_decision"),
        ("adjudications", "i-1", {}, 400, "invalid_decision"),
        ("adjudications", "i-1", {"letter": "A", "answers": {"tone": "a"}}, 400, "invalid_decision"),
        ("adjudications", "i-1", {"letter": "Q"}, 400, "invalid_decision"),
        ("adjudications", "i-1", {"answers": ["a"]}, 400, "invalid_decision"),
        ("adjudications", "i-0", {"answers": {"tone": "a"}}, 409, "item_moved"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_a_hint_and_changes_nothing(
    work: Bench, address: str, item: Any, body: dict[str, Any], status: int, code: str
) -> None:
    before = [state(work, f"i-{n}") for n in range(4)]
    error = ask(work, address, place(item) | body, status)["error"]
    assert (error["code"], bool(error["hint"])) == (code, True), error
    assert [state(work, f"i-{n}") for n in range(4)] == before


def test_an_item_for_another_tier_or_for_named_people_is_not_given(bench: Bench) -> None:
    stages = [{"k": 2}, {"kind": "review", "assignment": "named", "people": ["kim"]}]
    tell(bench, stages=stages)
    assert ask(bench, "reviews/next?as=ada") == {"item": None, "left": 0, "own": 0, "others": 3}
    assert ask(bench, "reviews", place("i-0", verdict="accept"), 403)["error"]["code"] == "other_tier"


def test_an_item_whose_conversation_is_not_there_holds_up_no_other(bench: Bench, login: Login) -> None:
    ghost = fact("task.items", "ghost", 8, task_id="tone", items=[{"interaction_id": "ghost"}])
    tell(bench).put(ghost, said("ann", "ghost"), said("bob", "ghost"))
    found = ask(bench, "reviews/next?as=ada")
    assert (found["item"]["interaction_id"], found["left"]) == ("i-0", 3)
    assert "Be kind." in login("ada").get("/review").text
    ask(bench, "reviews/next?as=ada&task=tone&interaction=ghost", None, 404)


def test_a_review_of_experts_takes_an_expert_however_somebody_logs_in(bench: Bench, login: Login) -> None:
    tell(bench, stages=[{"k": 2}, {"kind": "review", "tier": "expert"}])
    error = ask(bench, "reviews", place("i-0", verdict="accept"), 403)["error"]
    assert error["code"] == "other_tier" and "expert" in error["message"]
    assert login("ada").get("/review?task=tone&interaction=i-0").status_code == 403
    bench.control.set_tier("ada", "expert")
    ask(bench, "reviews", place("i-0", verdict="accept"), 201)
    assert state(bench, "i-0")["state"] == "settled"


def test_the_page_takes_a_verdict_and_then_tells_who_said_what(work: Bench, login: Login) -> None:
    client = login("ada")
    page = client.get("/review").text
    assert "Be kind." in page and "ann" not in page and "bob" not in page and "secret-a" not in page
    form = {"csrf": CSRF.findall(page)[0], "task_id": "tone", "interaction_id": "i-0", "round": "0"}
    wrong = client.post("/review", data=form | {"verdict": "fix", "answer.score": "9"})
    assert wrong.status_code == 400 and "from 1 to 5" in wrong.text and 'value="9"' in wrong.text
    answer = client.post("/review", data=form | {"verdict": "fix", "answer.tone": "b", "answer.score": "4"})
    assert answer.status_code == 303
    work.catch_up()
    after = client.get(answer.location).text
    assert "ann" in after and "bob" in after and "mended" in after
    assert state(work, "i-0")["values"] == {"score": "4", "tone": '"b"'}


def test_the_page_of_a_dispute_takes_an_own_answer(work: Bench, login: Login) -> None:
    work.put(event("annotation", "model", 25, interaction_id="i-1", task_id="tone", answers={"tone": "b"},
                   actor=("judge-9", "ai"), via="secret"))  # fmt: skip
    client = login("ada")
    page = client.get("/adjudicate").text
    assert "1 answer of an AI" in page and "judge-9" not in page and "rei" not in page
    form = {"csrf": CSRF.findall(page)[0], "task_id": "tone", "interaction_id": "i-1", "answer.tone": "a"}
    answer = client.post("/adjudicate", data=form | {"note": "Both half right."})
    work.catch_up()
    after = client.get(answer.location).text
    assert "judge-9" in after and "rei" in after
    assert state(work, "i-1")["values"]["tone"] == '"a"'


def test_a_decision_is_told_to_nobody_else(work: Bench, login: Login) -> None:
    done = ask(work, "reviews", place("i-0", verdict="accept"), 201)
    work.control.create_user("kim", PASSWORD, "reviewer")
    assert "bob" in login("ada").get(f"/review?done={done['event_id']}").text
    assert "bob" not in login("kim").get(f"/review?done={done['event_id']}").text
