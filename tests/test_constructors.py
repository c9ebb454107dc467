"""What is made of more than three things is told them by name: who reads a call knows which is which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGES = (
    "contract", "trials", "inference", "runtime", "control_store", "eventlog", "collector", "processor", "gateway",
    "trainer", "cli", "sdk/python/thumbwheel",
)  # fmt: skip
MOST_BY_PLACE = 3
# What products call, or are told: its parameters change only by adding.
PROMISED = {"thumbwheel.client.Client", "thumbwheel.asynchronous.AsyncClient", "contract.errors.ThumbwheelError"}


def constructors(package: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield each written constructor with its class's full name (dataclasses and structs have none)."""
    root = REPOSITORY / package
    for file in sorted(root.rglob("*.py")):
        module = ".".join((root.name, *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        yield from ((f"{module}.{name}", made) for name, made in in_source(file.read_text("utf-8")))


def in_source(source: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for kind in ast.walk(ast.parse(source)):
        if isinstance(kind, ast.ClassDef):
            for made in kind.body:
                if isinstance(made, ast.FunctionDef) and made.name == "__init__":
                    yield kind.name, made


def by_place(made: ast.FunctionDef) -> list[str]:
    """Return the parameters that can be given by their place, without the object itself."""
    return [one.arg for one in (made.args.posonlyargs + made.args.args)[1:]]


def test_arguments_past_three_are_given_by_name() -> None:
    found = [each for package in PACKAGES for each in constructors(package)]
    assert len(found) > 60
    wrong = {name: by_place(made) for name, made in found if len(by_place(made)) > MOST_BY_PLACE}
    assert set(wrong) == PROMISED, wrong


def test_a_fourth_by_place_is_found_and_one_by_name_is_not() -> None:
    source = "class A:\n    def __init__(self, a, b, c, {}): ..."
    assert [by_place(made) for _, made in in_source(source.format("d"))] == [["a", "b", "c", "d"]]
    assert [by_place(made) for _, made in in_source(source.format("*, d"))] == [["a", "b", "c"]]
