"""The rule of thumb, the finer estimate, and how many picks a decision takes."""

from __future__ import annotations

import math

import pytest

from contract.errors import ThumbwheelError
from trainer.estimate import cards, estimate, finer_gib, parse_size, rule_gib
from trials import formulas


def test_seven_billion_in_full_precision_take_104_gib_and_five_cards() -> None:
    assert round(rule_gib(7e9, "full")) == 104
    assert cards(rule_gib(7e9, "full")) == 5
    assert rule_gib(7e9, "qlora8") == rule_gib(7e9, "full") / 4


def test_what_trains_less_takes_less() -> None:
    sizes = [finer_gib(7e9, method) for method in ("full", "lora", "qlora8", "qlora4")]
    assert sizes == sorted(sizes, reverse=True)
    assert 13 < sizes[1] < 15  # 7e9 weights of 2 bytes are 13.04 GiB.


def test_a_decision_takes_more_picks_where_the_models_differ_less_and_never_fewer_than_the_rule_asks_for() -> None:
    for raters in (1, 3, 20):
        found = list(estimate(7e9, "lora", raters=raters)["picks_to_decide"].values())
        assert formulas.MIN_PICKS <= found[0] <= found[1] < (found[2] or formulas.MAX_PICKS)


@pytest.mark.parametrize(
    ("text", "size"), [("135M", 135e6), ("7b", 7e9), ("7e9", 7e9), (" 1.5B ", 1.5e9), ("9t", 9e12)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "7x", "B", "1,5B"])
def test_what_is_no_size_is_said(text: str) -> None:
    with pytest.raises(ThumbwheelError, match="no number of parameters"):
        parse_size(text)


@pytest.mark.parametrize("wrong", [(0.0, "lora", 24.0), (math.inf, "lora", 24.0), (math.nan, "lora", 24.0),
                                   (7e9, "lora", 0.0), (7e9, "dora", 24.0)])  # fmt: skip
def test_wrong_questions_get_a_hint(wrong: tuple[float, str, float]) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        estimate(*wrong)
    assert refused.value.hint
