"""Raters, prompts and the report of the demo."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.demo.prompts import SHIPPED, is_evaluation, load_prompts
from cli.demo.raters import PRESETS, checked, find_people, find_rater
from cli.demo.report import support_line, terminal_lines, write_html
from cli.demo.turn import TurnReport
from contract.errors import ThumbwheelError

SHORT = "It ships today by post, and we write to you when it has left us."
LONG, CUT = "It ships today. " * 12, "It ships today and then it will"


def test_the_concise_rater_prefers_short_finished_replies_and_slips_one_time_in_ten() -> None:
    rate, rng = find_rater("concise"), random.Random(1)
    picks = Counter(rate([], [LONG, CUT, SHORT, LONG + " More."], rng)["chosen"] for _ in range(2000))
    assert picks[2] / 2000 == pytest.approx(0.925, abs=0.02)


def test_equal_replies_are_a_tie() -> None:
    rate, rng = find_rater("polite"), random.Random(2)
    outcomes = Counter(rate([], ["Yes.", "Yes.", "No.", "No."], rng)["outcome"] for _ in range(500))
    assert outcomes["tie"] / 500 == pytest.approx(0.9, abs=0.05)


def test_a_reply_cut_off_is_sometimes_sent_up_to_its_last_sentence() -> None:
    rate, rng = find_rater("polite"), random.Random(3)
    replies = ["Thank you, I am happy to help you. It ships tod", "No.", "No.", "No."]
    ratings = [rate([], replies, rng) for _ in range(1000)]
    edited = [rating["edited_text"] for rating in ratings if "edited_text" in rating]
    assert set(edited) == {"Thank you, I am happy to help you."}
    assert 0.04 < len(edited) / len(ratings) < 0.12
    assert all(checked(rating, 4)["chosen"] is not None for rating in ratings)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_depends_on_the_text_only(name: str) -> None:
    rate = find_rater(name)
    replies = [SHORT, LONG, CUT, "I am sorry, as an AI I cannot help. Please let me know."]
    assert [rate([], replies, random.Random(s)) for s in range(20)] == [
        rate([{"role": "user", "content": "x"}], replies, random.Random(s)) for s in range(20)
    ]


def test_a_rater_of_ones_own_is_found_and_a_wrong_one_is_explained() -> None:
    assert callable(find_rater("tests.e2e.test_up:steady"))
    for name in ("grumpy", "no.such.module:rate", "json:nothing"):
        with pytest.raises(ThumbwheelError) as refused:
            find_rater(name)
        assert "concise" in refused.value.hint


@pytest.mark.parametrize(
    "rating",
    [
        None, {}, {"outcome": "chosen"}, {"outcome": "chosen", "chosen": 4}, {"outcome": "chosen", "chosen": -1},
        {"outcome": "chosen", "chosen": True}, {"outcome": "chosen", "chosen": 0, "edited_text": 7}, {"outcome": "x"},
    ],
)  # fmt: skip
def test_what_a_rater_must_not_return_is_refused(rating: Any) -> None:
    with pytest.raises(ThumbwheelError, match="rater returned"):
        checked(rating, 4)


def test_the_shipped_prompts_are_many_and_enough_for_a_default_turn() -> None:
    prompts = json.loads(SHIPPED.read_text("utf-8"))
    assert len(prompts) == len({p.casefold() for p in prompts}) >= 400
    parts = load_prompts(None, 96, 96)
    assert len(parts.evaluation) / len(prompts) == pytest.approx(0.25, abs=0.05)
    assert not set(parts.train) & set(parts.evaluation)


def test_a_prompt_stays_in_its_part_as_the_file_grows(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(f"Question {n}?" for n in range(100)))
    before = load_prompts(file, 10, 5)
    file.write_text("\n".join(f"Question {n}?" for n in range(300)))
    after = load_prompts(file, 10, 5)
    assert set(before.evaluation) <= set(after.evaluation) and set(before.train) <= set(after.train)
    assert all(is_evaluation(p) for p in after.evaluation)


def test_too_small_a_file_says_how_many_prompts_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps(["One?", "Two?"]))
    with pytest.raises(ThumbwheelError) as refused:
        load_prompts(file, 96, 64)
    assert "96 and 64 are needed" in refused.value.message and "281" in refused.value.hint
    file.write_text('["One?", 2]')
    with pytest.raises(ThumbwheelError, match="no text"):
        load_prompts(file, 1, 1)


def test_the_report_shows_every_turn_and_escapes_what_people_wrote(tmp_path: Path) -> None:
    support = {"wins": 36, "losses": 8, "ties": 3, "n": 44, "rate": 36 / 44, "interval": [0.66, 0.92],
               "e_value": 512.0, "band": "large gain"}  # fmt: skip
    turn = TurnReport(
        1, picks={"chosen": 90, "tie": 6, "edits": 2, "thumbs": 9, "retracted": 1}, decision="promoted",
        reason="<script>alert(1)</script>", support=support, seconds={"picks": 100.0, "training": 300.0},
        run={"series": [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5}], "metrics": {"ends": 0.9}},
    )  # fmt: skip
    text = "\n".join(terminal_lines([turn], None))
    assert "82% (36 of 44" in text and "promoted" in text and "400 s in all" in text
    html = write_html(tmp_path / "r.html", "Demo", [turn], None).read_text("utf-8")
    assert "<script>" not in html and "&lt;script&gt;" in html and html.count("<svg") == 2
    assert support_line(None) == "no decisive picks"


def test_a_contrary_rater_prefers_what_the_others_like_least_and_each_votes_as_themselves() -> None:
    people = find_people("polite", 3, 1)
    assert len({one.actor["id"] for one in people}) == 3
    texts = ["Thank you, I am glad to help you. Please let me know.", "No."]
    rng = random.Random(4)
    picks = [[one.rate([], texts, rng)["chosen"] for _ in range(100)].count(0) for one in people]
    assert picks[0] > 80 and picks[1] > 80 and picks[2] < 20
    assert find_people("concise", 1, 0)[0].actor["id"] == "rater-concise"
    with pytest.raises(ThumbwheelError, match="contrary"):
        find_people("tests.e2e.test_up:steady", 2, 1)
