"""The arithmetic of curation is a function of what it is given: no table, no file, no clock, no unseeded chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CURATION = Path(__file__).parents[2] / "processor" / "curation"
NAMES = ("acceptance", "agreement", "gold", "reliability")
MODULES = [*(CURATION / f"{name}.py" for name in NAMES), *sorted((CURATION / "measures").glob("*.py"))]
PURE = {
    "__future__", "collections", "contract", "dataclasses", "fractions", "hashlib", "itertools", "json", "math",
    "numpy", "scipy", "typing",
}  # fmt: skip
OURS = {"processor.curation", "trials.intervals"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_it_imports_nothing_that_reaches_out_and_draws_with_a_seed_only(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"))
    named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {one for one in named if one.partition(".")[0] not in PURE and not one.startswith(tuple(OURS))} == set()
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    assert all(node.args for node in called if node.func.attr == "default_rng")  # type: ignore[attr-defined]
    assert not {"now", "today", "open"} & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
