"""The cases of sdk/conformance, which every SDK must pass; on the oldest Python too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .cases import CASES, CHECKS, check, load

ROOT = Path(__file__).parents[2]
ALL = [pytest.param(name, case, id=f"{name}: {case['name']}") for name in CHECKS for case in load(name)]


@pytest.mark.parametrize(("name", "case"), ALL)
def test_this_holds(name: str, case: dict[str, Any]) -> None:
    check(name, case)


def test_no_file_of_cases_is_forgotten() -> None:
    assert sorted(CHECKS) == sorted(path.stem for path in CASES.glob("*.json"))


def python_of(version: str) -> str:
    """Return an interpreter of this version, or skip."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    python = str(found[-1]) if found else shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip(f"Python {version} is not installed")
    return python


def test_it_holds_on_the_oldest_python_with_nothing_installed() -> None:
    done = subprocess.run(
        [python_of("3.9"), "-W", "error", "-S", "-s", "-m", "tests.sdk_python.cases"], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "sdk" / "python")}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "event(s) dropped: " not in line] == []
    assert dict(line.split() for line in done.stdout.splitlines()) == {name: str(len(load(name))) for name in CHECKS}
