"""What a run is asked for: the project's settings, and over them the wish."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.loop.asking import run_settings


@pytest.mark.parametrize(
    ("project", "method", "params", "wanted"),
    [
        ({}, None, {}, ("auto", {})),
        ({"method": "kto", "lr": 1e-4}, None, {}, ("kto", {"lr": 1e-4})),
        ({"method": "kto", "lr": 1e-4}, "auto", {"lr": 2e-4}, ("kto", {"lr": 2e-4})),
        ({"method": "kto"}, "dpo", {"seed": 1}, ("dpo", {"seed": 1})),
        ({"method": "kto"}, "auto", {"method": "auto"}, ("auto", {})),
        ({"sft": {"lr": 1, "epochs": 2}}, None, {"sft": {"lr": 3}}, ("auto", {"sft": {"lr": 3, "epochs": 2}})),
    ],
)
def test_the_wish_wins_over_the_project(
    project: dict[str, Any], method: str | None, params: dict[str, Any], wanted: tuple[str, dict[str, Any]]
) -> None:
    assert run_settings(project, method, params) == wanted
