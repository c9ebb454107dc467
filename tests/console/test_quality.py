"""How far people agree, over page, data API and command: of hand-made answers and of a crowd with two who copy."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.console.bench import Bench
from tests.console.story import asked, event, fact
from tests.console.test_reviewing import ask, label, said, tell

Login = Callable[..., FlaskClient]


def test_alpha_share_and_marginals_equal_a_table_by_hand(bench: Bench) -> None:
    tell(bench)
    (tone, score) = ask(bench, "agreement?task=tone")["items"]
    whole = tone["whole"]
    # a a, a b, a a: n = 6, observed 2/6, expected 2 * 5 * 1 / (6 * 5): alpha = 1 - (1/3) / (1/3).
    assert whole["alpha"]["value"] == pytest.approx(0.0) and whole["share"]["value"] == pytest.approx(2 / 3)
    assert whole["marginals"] == [["a", 5], ["b", 1]]
    assert (whole["coverage"]["items"], whole["coverage"]["compared"]) == (3, 3)
    assert [(one["first"], one["second"], one["shared"]) for one in tone["pairs"]] == [
        ("ann", "bob", 1), ("ann", "rei", 2),
    ]  # fmt: skip
    assert [one["language"] for one in tone["by_language"]] == ["other"]
    assert (score["unmeasured"], score["whole"]) == ("no_answers", None)
    assert ask(bench, "agreement?label=tone")["items"][0]["whole"] == whole


def test_versions_and_languages_stand_apart(bench: Bench) -> None:
    tell(bench)
    bench.put(
        *(asked(f"zh-{n}", 30 + n, ["base"], "订单在哪里？") for n in range(3)),
        *(said(who, f"zh-{n}", "ab"[n % 2], 40 + n, label_versions={"tone": 2})
          for n in range(3) for who in ("ann", "bob")),
    )  # fmt: skip
    tone = ask(bench, "agreement?label=tone")["items"][0]
    assert {one["language"]: one["share"]["value"] for one in tone["by_language"]} == {
        "other": pytest.approx(2 / 3), "zh": 1.0,
    }  # fmt: skip
    assert [(one["version"], one["coverage"]["compared"]) for one in tone["by_version"]] == [(0, 3), (2, 3)]


def test_figures_follow_what_is_taken_back_and_what_a_model_says_counts_nothing(bench: Bench) -> None:
    tell(bench)
    before = ask(bench, "agreement?label=tone")["items"][0]["whole"]
    bench.put(event("annotation", "model", 25, interaction_id="i-1", task_id="tone", answers={"tone": "b"},
                    actor=("judge-9", "ai"), via="secret"))  # fmt: skip
    assert ask(bench, "agreement?label=tone")["items"][0]["whole"] == before
    with bench.store.read() as cursor:
        target = cursor.execute("SELECT event_id FROM answers WHERE value = '\"b\"' AND actor_id = 'rei'").fetchall()
    bench.put(event("retract", "undo", 50, interaction_id="i-1", target=target[0][0], actor=("rei", "agent"),
                    via="console"))  # fmt: skip
    after = ask(bench, "agreement?label=tone")["items"][0]["whole"]
    assert (after["share"]["value"], after["coverage"]["compared"]) == (1.0, 2)


def test_two_who_copy_and_one_who_always_says_the_same_are_flagged_with_evidence(bench: Bench, login: Login) -> None:
    crowd(bench)
    tone = ask(bench, "agreement?label=tone")["items"][0]
    flags = {(one["kind"], tuple(one["people"])) for one in tone["flags"]}
    assert ("copies", ("p-copy", "p-original")) in flags and ("same_choice", ("p-lazy",)) in flags
    assert not [one for one in flags if "p-slow" in one[1]]
    people = {one["person"]: one["accuracy"] for one in tone["people"]}
    assert (
        people["p-slow"]["n"] == 60 and people["p-slow"]["low"] < people["p-slow"]["value"] < people["p-slow"]["high"]
    )
    page = login("rei").get("/agreement?label=tone").text
    assert "say the same more often than explained" in page and "p-copy, p-original" in page


def crowd(bench: Bench) -> None:
    """Put 60 items into the tables that six people answered."""
    rng = random.Random(5)
    items = [f"c-{n}" for n in range(60)]
    bench.put(
        label("tone", kind="choice", choices=[{"key": "a"}, {"key": "b"}]),
        fact("definition.task", "task", 1, version=1, task_id="tone", labels=["tone"], stages=[{"k": 6}]),
        *(asked(item, 2, ["base"], "Where is it?") for item in items),
    )  # fmt: skip
    told: list[Any] = []
    for item in items:
        true = rng.choice("ab")
        wrong = "b" if true == "a" else "a"
        answers = {who: true if rng.random() < 0.85 else wrong for who in ("p-slow", "p-one", "p-two", "p-three")}
        answers["p-original"] = true if rng.random() < 0.7 else wrong
        answers["p-copy"] = answers["p-original"]
        answers["p-lazy"] = "a"
        told += [said(who, item, value, 10, active_ms=90_000 if who == "p-slow" else 900)
                 for who, value in answers.items()]  # fmt: skip
    bench.put(*told)


@pytest.mark.parametrize(
    ("asked_for", "status"), [("", 400), ("?label=tone&task=tone", 400), ("?label=x", 404), ("?task=x", 404)]
)
def test_a_wrong_question_is_refused_with_a_hint(bench: Bench, asked_for: str, status: int) -> None:
    tell(bench)
    assert ask(bench, f"agreement{asked_for}", None, status)["error"]["hint"]


def test_answers_that_are_none_to_the_label_are_left_out_and_counted(bench: Bench) -> None:
    tell(bench)
    bench.put(said("ann", "i-3", at=60, answers={"score": "high"}), said("bob", "i-3", at=61, answers={"score": 4}))
    score = ask(bench, "agreement?label=score")["items"][0]
    assert (score["metric"], score["strange"], score["whole"]["coverage"]["answers"]) == ("interval", 1, 1)


def test_pages_of_a_task_and_of_a_label_lead_to_the_figures(bench: Bench, login: Login) -> None:
    tell(bench)
    for name, leads in (("rei", True), ("vic", False)):
        client = login(name)
        assert ("/agreement?label=tone" in client.get("/labels/tone").text) is leads
    page = login("ada").get("/agreement?task=tone").text
    assert "2 of 3" not in page and "3 of 3" in page and "ann" in page
