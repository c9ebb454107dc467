"""Every point a program can be killed at is there: a renamed function must not make a scenario harmless."""

from __future__ import annotations

import importlib

import pytest

from tests.faults.armed.sitecustomize import POINTS


@pytest.mark.parametrize("point", POINTS)
def test_the_point_is_there(point: str) -> None:
    module, function, _ = POINTS[point]
    place = importlib.import_module(module)
    for name in function.split("."):
        place = getattr(place, name)
    assert callable(place)
