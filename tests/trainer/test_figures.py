"""Figures of the guards and of the recipes against values worked out by hand, or by others."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from inference.generation import Sampling
from tests.trainer import tiny
from tests.trainer.conftest import loaded
from tests.trainer.test_guards import BASE, FINE
from trainer.guarding import evaluate, guards
from trainer.guarding.chance import Accuracy, highest_gain, of_pairs, of_thumbs
from trainer.guarding.guards import Side, Training, judge, reasons
from trainer.guarding.replies import (
    Written,
    is_chinese,
    kept_language,
    likeness,
    measure_replies,
    repeated_share,
    words,
)
from trainer.recipes import make_config
from trainer.tuning.settings import LoraSettings

COMMON = {"seed": 0}


@pytest.mark.parametrize(
    ("method", "small", "large"),
    [
        (
            "dpo",
            {"lr": 5e-4, "batch": 8, "micro_batch": 0, "epochs": 1.0, "beta": 0.1, "loss": ("sigmoid", "sft"),
             "loss_weights": (1.0, 1.0), "max_length": 512},
            {"lr": 5e-6, "batch": 16, "micro_batch": 4, "max_length": 1024},
        ),
        (
            "kto",
            {"lr": 5e-4, "batch": 8, "micro_batch": 0, "epochs": 1.0, "beta": 0.1, "max_length": 512},
            {"lr": 5e-6, "batch": 16, "micro_batch": 8, "max_length": 1024},
        ),
        (
            "sft",
            {"lr": 2e-4, "batch": 8, "micro_batch": 0, "epochs": 2.0, "packing": False, "max_length": 512},
            {"lr": 2e-4, "batch": 16, "micro_batch": 4, "max_length": 1024, "packing": True},
        ),
    ],
)  # fmt: skip
def test_the_recipes_are_those_of_the_field(method: str, small: dict[str, Any], large: dict[str, Any]) -> None:
    for parameters, expected in ((135_000_000, small), (7_000_000_000, {**small, **large})):
        found = asdict(make_config(method, {}, parameters))
        assert {name: found[name] for name in (*expected, *COMMON)} == {**expected, **COMMON}
    assert asdict(LoraSettings()) == {"rank": 16, "alpha": 32, "layers": (), "modules": ()}


def passed(side: Side, base: Side = BASE, training: Training = FINE) -> set[str]:
    return {guard.name for guard in judge(side, base, training) if guard.passed}


EVERY = passed(BASE)


@pytest.mark.parametrize(
    "side",
    [
        {"nll": 3.0}, {"repeats": 0.05 + 0.05}, {"topic": 0.8}, {"words": 15.0}, {"words": 90.0},
        {"language": 0.9 - 0.1}, {"empty": 1 / 32}, {"text_nll": (3.0 + math.log(1.149), 4.0 + math.log(1.149))},
    ],
)  # fmt: skip
def test_what_is_exactly_at_its_limit_passes(side: dict[str, Any]) -> None:
    assert passed(replace(BASE, **side)) == EVERY


@pytest.mark.parametrize(
    ("training", "failing"),
    [
        ({"logit_change": 1e-3}, set()), ({"logit_change": 0.9e-3}, {"not_a_no_op"}),
        ({"reload_difference": 0.02}, set()), ({"reload_difference": 0.021}, {"loads"}),
        ({"accuracy": Accuracy(5, 20, 20, 0.025)}, set()), ({"accuracy": Accuracy(5, 20, 20, 0.024)}, {"held_out"}),
        ({"accuracy": Accuracy(5, 20, 19, 0.0)}, set()),
    ],
)  # fmt: skip
def test_what_a_run_says_of_itself_is_held_against_the_limits(training: dict[str, Any], failing: set[str]) -> None:
    assert passed(BASE, training=replace(FINE, **training)) == EVERY - failing


def test_a_base_that_says_nothing_is_no_measure_to_fail() -> None:
    nothing = replace(BASE, nll=0.0, topic=0.0, words=0.0)
    assert passed(BASE, nothing) == EVERY
    silent = replace(BASE, empty=0.5)
    assert passed(silent, silent) == EVERY


def test_a_verdict_shows_what_was_measured_beside_the_base() -> None:
    side = replace(BASE, nll=2.5, topic=0.9, repeats=0.07, ended=0.6, words=50.0, language=0.95, empty=0.01,
                   text_nll=(3.1, 4.1))  # fmt: skip
    training = Training(0.75, 3.0, 0.01, Accuracy(30, 40, 38, 0.99))
    found = {guard.name: (guard.value, guard.base) for guard in judge(side, BASE, training)}
    assert found == {
        "reply_nll": (2.5, 2.0), "perplexity": (pytest.approx(math.exp(0.1)), 1.0), "repeats": (0.07, 0.05),
        "ends": (0.6, 0.5), "topic": (0.9, 1.0), "length": (50.0, 60.0), "language": (0.95, 0.9),
        "not_empty": (0.01, 0.0), "held_out": (0.75, 0.5), "not_a_no_op": (3.0, 0.0), "loads": (0.01, 0.0),
    }  # fmt: skip
    assert next(guard.limit for guard in judge(side, BASE, training) if guard.name == "held_out").endswith(
        "on 40 held-out comparisons"
    )
    ruined = replace(BASE, nll=3.456)
    assert reasons(judge(ruined, BASE, FINE)) == [
        "reply_nll: 3.46 against 2 of the base (limit: at most 1.5 x base)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "count", "upper"),
    [(9, 3, 10, 0.8090), (6, 2, 7, 0.8062), (0, 0, 10, 0.2775), (10, 0, 10, 1.0)],
)
def test_the_gain_at_most_is_that_of_newcombes_table(first: int, second: int, count: int, upper: float) -> None:
    """Newcombe 1998, table II, method 10."""
    assert highest_gain(first / count, second / count, count) == pytest.approx(upper, abs=1e-4)


def test_without_replies_no_gain_is_too_much() -> None:
    assert highest_gain(0.0, 1.0, 0) == 1.0


def test_accuracies_count_halves_groups_and_ties() -> None:
    found = of_pairs([(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (2.0, 1.0)], ["a", "a", "b", "c"])
    # Means of (right - 1/2) by prompt: 1/4, -1/2, 1/2; their sum over the root of the sum of squares is 1/3.
    assert (found.right, found.total, found.rows, found.rate) == (2.5, 4, 3, 0.625)
    assert found.p_below == pytest.approx(0.630559, abs=1e-6)
    assert of_pairs([(1.0, 1.0)], ["a"]).p_below == 1.0
    assert of_pairs([], []) == Accuracy(0, 0, 0, 1.0) and of_pairs([], []).rate is None
    # Up 1, 3 against down 0, 3: 1 > 0, 3 > 0, 3 = 3 is half a win.
    thumbs = of_thumbs([1.0, 3.0], [0.0, 3.0])
    assert (thumbs.right, thumbs.total, thumbs.rows) == (2.5, 4, 4)
    assert of_thumbs([1.0], []) == of_thumbs([], [1.0]) == Accuracy(0, 0)
    assert of_thumbs([0.0] * 9, [1.0] * 9).p_below < 0.001 < 0.99 < of_thumbs([1.0] * 9, [0.0] * 9).p_below


def test_replies_are_measured_as_by_hand() -> None:
    assert words("We're sorry: 很抱歉, order-no 12!") == ["we're", "sorry", "很", "抱", "歉", "order-no", "12"]
    assert repeated_share("a b c d a b c d") == pytest.approx(1 - 4 / 5)
    assert repeated_share("a b c") == 0.0
    assert is_chinese("中ab") and not is_chinese("中abc") and not is_chinese("12 ...")
    assert kept_language(["hello there", "你好吗", "hi"], ["well", "well", "..."]) == 0.5
    told = measure_replies(["red apple", "blue car"], [Written("red car", True), Written("...", False)])
    assert (told.repeats, told.ended, told.words, told.language, told.empty, told.count) == (0, 0.5, 1, 1, 0.5, 2)
    assert told.likeness == likeness(["red apple", "blue car"], ["red car", "..."])


def test_likeness_is_the_cosine_to_the_own_prompt_less_that_to_the_others() -> None:
    asked = ["red apple", "blue car"]
    assert likeness(asked, asked) == pytest.approx(1.0)
    assert likeness(asked, ["blue car", "red apple"]) == pytest.approx(-1.0)
    # Each word is in one prompt, so all weigh the same: cosines by hand.
    own, others = (1 / 2, 1 / math.sqrt(10)), (1 / 2, 2 / math.sqrt(10))
    assert likeness(asked, ["red car", "red red blue"]) == pytest.approx(sum(own) / 2 - sum(others) / 2)
    # A word of both prompts weighs less than one of a single prompt, one of none nothing, endings do not tell apart.
    common, rare = math.log(3 / 2), math.log(3)
    cosine = common / math.hypot(common, rare)
    assert likeness(["order parcels", "order car"], ["orders xyzzy", "orders"]) == pytest.approx(cosine - cosine)
    assert likeness(["order parcels", "order car"], ["parcel", "car"]) == pytest.approx(rare / math.hypot(common, rare))


def test_measures_leave_the_model_as_they_found_it(bases: dict[str, Path]) -> None:
    model: Any
    model, encoder = loaded(bases["llama"])
    rows = [encoder.pair(tiny.user("hi"), tiny.assistant("thank you"))]
    for training in (True, False):
        model.train(training)
        evaluate.likelihoods(model, encoder, rows)
        evaluate.meanings(model, encoder, ["please", "thank you"])
        evaluate.probe_logits(model, encoder)
        assert model.training is training


def test_one_text_alone_is_close_to_nothing(bases: dict[str, Path]) -> None:
    model, encoder = loaded(bases["llama"])
    one = evaluate.meanings(model, encoder, ["please"])
    assert one.shape == (1, 32)
    assert evaluate.closeness(one, one) == 0.0


def test_the_base_side_is_found_again_only_for_what_it_was_measured_on(bases: dict[str, Path], tmp_path: Path) -> None:
    model, encoder = loaded(bases["llama"])
    short = Sampling(max_tokens=4)
    uncached = guards.base_side(model, encoder, bases["llama"], None, short)
    cached = guards.base_side(model, encoder, bases["llama"], tmp_path / "not" / "there", short)
    assert cached == uncached == guards.base_side(model, encoder, bases["llama"], tmp_path / "not" / "there", short)
    assert len(list((tmp_path / "not" / "there").iterdir())) == 1
    assert cached.count == len(guards.frozen_prompts())
    other = tmp_path / "base"
    tiny.save_base("llama", other)
    before = guards.base_key(other, short)
    assert guards.base_key(other, short) == before != guards.base_key(bases["llama"], short)
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    assert guards.base_key(other, short) != before
