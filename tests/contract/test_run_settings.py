"""Settings of a run: the table names all there are, takes what is meant, and refuses the rest by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from contract.run_settings import METHODS, OF_A_STAGE, PERIODIC, SETTINGS, STAGES, check_params, check_project, checked
from trainer.methods import CHOICES, NAMES, OBJECTIVES
from trainer.recipes import RUN_PARAMS
from trainer.tuning.settings import MAX_RANK
from trainer.tuning.settings import NAMES as OF_TUNINGS


def test_the_table_names_every_setting_of_every_objective_and_of_the_run() -> None:
    own = {field.name for objective in OBJECTIVES for field in fields(objective.parts().config)}
    assert set(SETTINGS) == own | RUN_PARAMS | OF_TUNINGS
    assert own > OF_A_STAGE and not OF_A_STAGE & {"rank", "alpha", "seed"}
    assert set(STAGES) == set(NAMES) and set(METHODS) == set(CHOICES)
    assert SETTINGS["rank"].high == MAX_RANK


@pytest.mark.parametrize("name", SETTINGS)
def test_the_example_of_a_setting_is_one(name: str) -> None:
    about = SETTINGS[name]
    assert about.en and about.zh
    if about.form not in ("list", "object"):
        checked(name, about.example)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("lr", "2e-4", 2e-4), ("batch", 16.0, 16), ("challenge", "off", False), ("method", " kto ", "kto"),
        ("loss", "sigmoid", ["sigmoid"]), ("filters", {"kinds": []}, {"kinds": []}), ("balance", 0, 0.0),
    ],
)  # fmt: skip
def test_what_is_meant_is_taken(name: str, value: Any, found: Any) -> None:
    assert check_params({name: value}) == {name: found}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"lr": "fast"}, "lr"), ({"lr": float("nan")}, "lr"), ({"lr": float("inf")}, "lr"), ({"lr": 0}, "lr"),
        ({"lr": True}, "lr"), ({"lr": None}, "lr"), ({"batch": 2.5}, "batch"), ({"batch": 0}, "batch"),
        ({"rank": 33}, "rank"), ({"method": "ppo"}, "method"), ({"method": 7}, "method"), ({"start": "last"}, "start"),
        ({"challenge": "maybe"}, "challenge"), ({"speed": 1}, "speed"), ({"sft": {"rank": 8}}, "rank"),
        ({"sft": 3}, None), ([], None), ("x", None), ({"filters": 3}, "filters"), ({"replay_share": 1}, "replay_share"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(given: Any, names: str | None) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        check_params(given)
    assert (refused.value.code, refused.value.field) == ("bad_setting", names)
    assert refused.value.hint


def test_a_project_may_set_what_holds_for_every_run_only() -> None:
    assert check_project({"lr": 1e-4, "rank": None, "sft": {"epochs": 1}}) == {"lr": 1e-4, "sft": {"epochs": 1.0}}
    assert {"method", "start", "rank", "lr", "epochs", "beta", "max_length", "batch", "replay_share"} <= set(PERIODIC)
    for name in ("lr_scale", "filters", "trial_labels"):
        with pytest.raises(ThumbwheelError, match="Unknown setting"):
            check_project({name: 0.5})
