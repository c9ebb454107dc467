"""The guards' two tiers: what replies alone show, and that the rest is named as not measured."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.trainer.test_guards import BASE, FINE
from trainer.guarding import guards
from trainer.guarding.guards import GUARDS, REPLIES, WEIGHTS, all_passed, judge, judge_replies, not_measured, reasons
from trainer.guarding.replies import Written, is_chinese, likeness, measure_replies
from trainer.loop.cards import render_card

PROMPTS = guards.frozen_prompts()
# What a helpful reply does: it takes up what was asked, says something of its own, and ends.
GOOD = [
    Written(f"您好，{prompt}我们会尽快答复您。" if is_chinese(prompt) else f"Thank you for asking. {prompt} Yes.", True)
    for prompt in PROMPTS
]


def failing(replies: list[Written]) -> set[str]:
    verdicts = judge_replies(measure_replies(PROMPTS, replies), measure_replies(PROMPTS, GOOD))
    assert all_passed(verdicts) == (not reasons(verdicts))
    return {guard.name for guard in verdicts if guard.passed is False}


def changed(**parts: object) -> list[Written]:
    return [Written(**{"text": one.text, "ended": one.ended, **parts}) for one in GOOD]  # type: ignore[arg-type]


def test_a_guard_of_the_weights_is_named_as_not_measured() -> None:
    verdicts = judge_replies(measure_replies(PROMPTS, GOOD), measure_replies(PROMPTS, GOOD))
    by_tier = {tier: [guard.name for guard in GUARDS if guard.tier == tier] for tier in (REPLIES, WEIGHTS)}
    assert by_tier[REPLIES] == ["repeats", "ends", "likeness", "length", "language", "not_empty"]
    assert not_measured(verdicts) == by_tier[WEIGHTS]
    assert {"perplexity", "reply_nll", "not_a_no_op", "held_out", "loads", "topic"} == set(by_tier[WEIGHTS])
    for guard in verdicts:
        if guard.tier == WEIGHTS:
            assert (guard.passed, guard.value, guard.base) == (None, None, None)
            assert guard.limit.startswith("not measured")
        else:
            assert guard.passed is True and guard.value is not None
    assert all_passed(verdicts) and reasons(verdicts) == []


def test_with_the_model_at_hand_every_guard_is_measured_and_none_stands_in() -> None:
    verdicts = judge(BASE, BASE, FINE)
    assert not_measured(verdicts) == []
    assert [guard.name for guard in verdicts] == [guard.name for guard in GUARDS if guard.name != "likeness"]
    assert {guard.name: guard.tier for guard in verdicts}.items() <= {g.name: g.tier for g in GUARDS}.items()


@pytest.mark.parametrize(("name", "replies"), [
    ("repeats", [Written(f"{one.text} {one.text} {one.text}"[: len(one.text) + 40], True) for one in GOOD]),
    ("ends", changed(ended=False)),
    ("not_empty", [Written("..." if i < 3 else one.text, True) for i, one in enumerate(GOOD)]),
    ("length", [Written(one.text + " ".join(f" word{i}" for i in range(60)), True) for one in GOOD]),
    ("language", [Written(f"{one.text} 我们会尽快为您办理，请您耐心等待，谢谢您的理解与支持，祝您生活愉快" * 2, True)
                  for one in GOOD]),
])  # fmt: skip
def test_each_failure_is_seen_in_replies_alone(name: str, replies: list[Written]) -> None:
    assert name in failing(replies)


def test_replies_to_other_prompts_are_no_likeness() -> None:
    other = GOOD[:]
    random.Random(3).shuffle(other)
    assert "likeness" in failing(other)
    assert likeness(PROMPTS, [one.text for one in other]) < 0.1 < likeness(PROMPTS, [one.text for one in GOOD])
    assert likeness(PROMPTS[:1], ["alone"]) == 0.0


def test_the_card_says_what_was_not_measured() -> None:
    verdicts = judge_replies(measure_replies(PROMPTS, GOOD), measure_replies(PROMPTS, GOOD))
    text = render_card("ad-0123456789ab", {"base": "glm", "guards": [asdict(guard) for guard in verdicts]})
    assert "| perplexity | - | - | not measured: it needs the model's weights | not measured |" in text


def test_replies_are_measured_without_torch() -> None:
    code = "import sys, trainer.guarding.replies; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
