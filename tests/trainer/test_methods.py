"""The table of objectives, against the lists that cannot read it; and the table of tunings."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest

import trainer
from contract import dataset_folder
from contract.errors import ThumbwheelError
from contract.facts import RequestTrain, TrainMethod, TrainTuning
from trainer import methods
from trainer.tuning.table import DEFAULT, TUNINGS, find_tuning

TRAINER = Path(trainer.__file__).parent


def test_what_may_travel_is_what_the_table_has() -> None:
    assert set(get_args(TrainMethod)) == set(methods.CHOICES)
    assert RequestTrain.__annotations__["method"] == "TrainMethod"
    assert set(get_args(TrainTuning)) == set(TUNINGS)
    assert RequestTrain.__annotations__["tuning"] == "TrainTuning | None"


def test_every_objective_reads_a_config_that_the_processor_writes() -> None:
    assert {objective.reads for objective in methods.OBJECTIVES} == set(dataset_folder.CONFIGS)


@pytest.mark.parametrize("objective", methods.OBJECTIVES, ids=methods.NAMES)
def test_an_entry_is_whole(objective: methods.Objective) -> None:
    parts = objective.parts()
    assert is_dataclass(parts.row) and {"row_id", "group", "weight"} <= {field.name for field in fields(parts.row)}
    settings = {field.name for field in fields(parts.config)}
    assert {"lr", "batch", "epochs", "max_length", "seed"} <= settings
    assert set(objective.large) <= settings
    taken = list(inspect.signature(parts.train).parameters)[1:]
    assert taken == ["prepared", "encoder", "config", "hardware", "metrics", "work"]
    assert parts.read.__name__ in dir(parts.read.__globals__["DatasetFolder"])


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ThumbwheelError, match="'ppo'") as refused:
        methods.find_objective("ppo")
    assert all(name in refused.value.hint for name in methods.CHOICES)
    with pytest.raises(ThumbwheelError, match="'qlora'") as refused:
        find_tuning("qlora")
    assert DEFAULT in refused.value.hint


def test_every_tuning_has_its_functions() -> None:
    assert DEFAULT in TUNINGS
    for name, tuning in TUNINGS.items():
        assert tuning.name == name
        parts = tuning.parts()
        assert list(inspect.signature(parts.load).parameters)[:2] == ["folder", "dtype"]
        assert list(inspect.signature(parts.prepare).parameters)[:3] == ["model", "start", "settings"]
        assert list(inspect.signature(parts.changed).parameters) == ["prepared", "trained"]
        assert list(inspect.signature(parts.save).parameters)[:3] == ["model", "folder", "dtype"]


def spellings() -> Iterator[str]:
    """Yield where the trainer's code names an objective in a string, docstrings aside.

    `hosted/` says in a vendor's own words what its jobs take.
    `objectives/dpo.py` says "sft" of a loss term of TRL, not of the objective.
    """
    for file in sorted(set(TRAINER.rglob("*.py")) - set((TRAINER / "hosted").rglob("*.py"))):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            loss_term = file.name == "dpo.py" and getattr(node, "value", None) == "sft"
            if isinstance(node, ast.Constant) and node.value in methods.NAMES and not loss_term:
                yield f"{file.relative_to(TRAINER)}:{node.lineno}"


def test_an_objective_is_spelled_in_one_place() -> None:
    assert {place.split(":")[0] for place in spellings()} == {"methods.py"}
    assert len(list(spellings())) == len(methods.NAMES)


def test_the_names_need_no_torch() -> None:
    read = "import sys, trainer.methods, trainer.tuning.refusals"
    code = f"{read}; sys.exit('torch' in sys.modules or 'trl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
