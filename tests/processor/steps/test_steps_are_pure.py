"""The steps are a function of what they are given: the same in every process, and nothing else is read or written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from processor.rows import ROWS

ROOT = Path(__file__).parents[3]
STEPS = sorted((ROOT / "processor" / "steps").glob("*.py"))
# What a step may import: shapes and arithmetic. Whatever reaches out of the process is not among them.
PURE = {
    "__future__", "base64", "binascii", "collections", "contract", "dataclasses", "datetime", "hashlib", "msgspec",
    "operator", "rapidfuzz", "re", "typing", "unicodedata",
}  # fmt: skip
ALSO = {"eventlog.log", "processor.steps", "processor.rows"}


def python(*arguments: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("batch", ["5", "1000"])
def test_they_make_the_same_rows_in_the_same_order_in_every_process_and_touch_nothing_else(batch: str) -> None:
    runs = [python("-m", "tests.processor.steps.pure_steps", batch, seed=seed) for seed in ("1", "2")]
    assert [run.stderr for run in runs] == ["", ""]
    assert runs[0].stdout == runs[1].stdout
    assert set(runs[0].stdout.split()[1:]) == ROWS.keys() - {"erasing"}


REACHING = [
    "open('/dev/null')", "os.listdir('.')", "__import__('socket').socket()", "__import__('subprocess').run(['true'])",
    "__import__('sqlite3').connect(':memory:')", "time.time()", "time.monotonic()", "random.random()", "uuid.uuid4()",
]  # fmt: skip
TRY = """
import os, random, sys, time, uuid, socket, subprocess, sqlite3
import tests.processor.steps.pure_steps as pure
sys.addaudithook(pure.watch)
for does in sys.argv[1:]:
    made = eval("lambda: " + does)
    try:
        with pure.nothing_else():
            made()
        print(does)
    except pure.Touched:
        pass
"""


def test_what_a_step_must_not_do_would_be_seen() -> None:
    assert python("-c", TRY, *REACHING, "repr([1])").stdout == "repr([1])\n"


@pytest.mark.parametrize("module", STEPS, ids=lambda path: path.stem)
def test_they_import_nothing_that_reaches_out(module: Path) -> None:
    tree = ast.parse(module.read_text("utf-8"))
    named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {
        name for name in named if name.partition(".")[0] not in PURE and not any(name.startswith(one) for one in ALSO)
    } == set()
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not asked & {"now", "utcnow", "today"}
