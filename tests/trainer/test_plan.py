"""What `auto` plans: kinds by amount and not by the first row, kinds and sources in balance, and why, in words."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from tests.trainer import tiny
from trainer.methods import NAMES
from trainer.plan import ALWAYS_TAKEN, OVER_KINDS, OVER_SOURCES, Plan, make_plan, read_rows
from trainer.rows import Demonstration, Pair, Rated, open_dataset

BATCHES = dict.fromkeys(NAMES, 8)
ASKED, SAID = tiny.user("a"), tiny.assistant("b")


def pairs(count: int, source: str = "", per_prompt: int = 1) -> list[Pair]:
    return [
        Pair(f"{source}p{i}", f"{source}g{i // per_prompt}", ASKED, SAID, SAID, 1 / per_prompt, source=source)
        for i in range(count)
    ]


def thumbs(up: int, down: int) -> list[Rated]:
    return [Rated(f"t{i}", f"g{i}", ASKED, SAID, i < up) for i in range(up + down)]


def demonstrations(count: int) -> list[Demonstration]:
    return [Demonstration(f"d{i}", f"g{i}", ASKED, SAID) for i in range(count)]


def planned(
    sft: int = 0, dpo: list[Pair] | int = 0, kto: tuple[int, int] = (0, 0), balance: float = 4.0, method: str = "auto"
) -> Plan:
    rows: dict[str, Any] = {
        "sft": demonstrations(sft), "dpo": pairs(dpo) if isinstance(dpo, int) else dpo, "kto": thumbs(*kto),
    }  # fmt: skip
    given = rows if method == "auto" else {method: rows[method]}
    return make_plan(method, given, BATCHES, balance, seed=0)


def names(plan: Plan) -> list[str]:
    return [stage.objective.name for stage in plan.stages]


def test_each_kind_that_fills_some_batches_is_a_stage_in_the_order_of_the_table() -> None:
    plan = planned(sft=32, dpo=40, kto=(20, 20))
    assert names(plan) == ["sft", "dpo", "kto"]
    assert plan.words[:3] == (
        "Stage 1: SFT on 32 rows of the kind demonstration.",
        "Stage 2: DPO on 40 rows of the kind preference.",
        "Stage 3: KTO on 40 rows of the kind unpaired.",
    )
    assert "continues the adapter" in plan.words[3]


def test_one_pair_beside_many_thumbs_makes_no_run_of_pairs() -> None:
    plan = planned(dpo=1, kto=(50, 47))
    assert names(plan) == ["kto"]
    assert plan.words == (
        "Stage 1: KTO on 97 rows of the kind unpaired.",
        "No DPO: 1 rows of the kind preference, and it takes 32.",
    )


@pytest.mark.parametrize(("rows", "stages"), [(31, ["kto"]), (32, ["sft", "kto"])])
def test_the_line_lies_at_four_batches(rows: int, stages: list[str]) -> None:
    assert names(planned(sft=rows, kto=(30, 30))) == stages


def test_where_nothing_is_enough_the_largest_kind_trains_alone() -> None:
    plan = planned(sft=3, dpo=9, kto=(4, 4))
    assert names(plan) == ["dpo"]
    assert any("largest trains alone" in one for one in plan.words)


def test_thumbs_of_one_kind_only_are_no_stage_and_few_of_one_kind_count_little() -> None:
    assert names(planned(dpo=40, kto=(300, 0))) == ["dpo"]
    plan = planned(dpo=40, kto=(300, 2))
    assert names(plan) == ["dpo"]
    assert "No KTO: thumbs up and down are so unequal that 22 of 302 rows count, and it takes 32." in plan.words
    assert names(planned(dpo=40, kto=(300, 3))) == ["dpo", "kto"]


def test_the_largest_kind_does_not_drown_the_others() -> None:
    plan = planned(dpo=200, kto=(1000, 1000))
    assert [len(stage.rows) for stage in plan.stages] == [200, 800]
    assert plan.stages[1].left_out == {OVER_KINDS: 1200}
    assert "1200 rows of the kind unpaired are left out: 4 times those of the others are enough." in plan.words
    labels = Counter(row.label for row in plan.stages[1].rows)
    assert min(labels.values()) > 300
    assert [len(stage.rows) for stage in planned(dpo=200, kto=(1000, 1000), balance=0).stages] == [200, 2000]
    assert [len(stage.rows) for stage in planned(dpo=40, kto=(1000, 1000)).stages] == [40, ALWAYS_TAKEN]


def test_the_largest_source_does_not_drown_the_others() -> None:
    rows = pairs(3000, "import") + pairs(150, "shop") + pairs(50)
    plan = planned(dpo=rows, method="dpo")
    assert Counter(row.source for row in plan.stages[0].rows) == {"import": 800, "shop": 150, "": 50}
    assert plan.stages[0].left_out == {OVER_SOURCES: 2200}
    assert plan.words[1] == "2200 rows of the source import are left out: 4 times those of the others are enough."
    assert len(planned(dpo=pairs(3000, "import"), method="dpo").stages[0].rows) == 3000


def test_a_pick_is_left_out_as_a_whole() -> None:
    rows = pairs(3000, "import", per_prompt=3) + pairs(100, "shop")
    kept = Counter(row.group for row in planned(dpo=rows, method="dpo").stages[0].rows if row.source == "import")
    assert set(kept.values()) == {3}
    assert sum(kept.values()) in range(ALWAYS_TAKEN - 2, ALWAYS_TAKEN + 1)


def test_a_dataset_without_anything_trainable_is_refused(tmp_path: Path) -> None:
    one_label = tiny.write_dataset(
        tmp_path / "one", {"unpaired": {"train": [tiny.unpaired_row(1, random.Random(1), True)]}}
    )
    with pytest.raises(ThumbwheelError, match="holds nothing to train on"):
        read_rows("auto", open_dataset(one_label))
