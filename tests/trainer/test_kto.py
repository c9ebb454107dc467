"""KTO: the order TRL needs, and the weights that balance thumbs."""

from __future__ import annotations

import random

import pytest

from contract.errors import ThumbwheelError
from trainer.objectives.kto import HIGHEST_RATIO, arrange, balance


@pytest.mark.parametrize(("up", "down"), [(10, 10), (13, 10), (40, 10), (10, 40), (1, 100), (299, 1)])
def test_weighted_thumbs_lie_between_1_to_1_and_4_to_3(up: int, down: int) -> None:
    desirable, undesirable = balance(up, down)
    ratio = desirable * up / (undesirable * down)
    assert 1 - 1e-9 <= ratio <= HIGHEST_RATIO + 1e-9
    assert 1.0 in (desirable, undesirable)


def test_thumbs_of_one_kind_are_refused() -> None:
    with pytest.raises(ThumbwheelError) as refused:
        balance(12, 0)
    assert refused.value.code == "one_label"


def test_each_kl_reply_is_the_neighbours_and_never_of_the_same_prompt() -> None:
    rows = [
        {"prompt_ids": [i % 15], "completion_ids": [100 + i], "label": i % 3 == 0, "group": f"g{i % 15}"}
        for i in range(45)
    ]
    arranged = arrange(rows, 4, random.Random(2))
    assert len(arranged) == 44  # 45 = 11 x 4 + 1: the row left alone would meet its own reply.
    owner = {row["completion_ids"][0]: row["group"] for row in arranged}
    for begin in range(0, 44, 4):
        block = arranged[begin : begin + 4]
        assert len({row["group"] for row in block}) == 4
        assert {tuple(row["KL_completion_ids"]) for row in block} == {tuple(row["completion_ids"]) for row in block}
        assert all(owner[row["KL_completion_ids"][0]] != row["group"] for row in block)
        assert 1 <= sum(row["label"] for row in block) <= 2
