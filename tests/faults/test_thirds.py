"""The third of the fault scenarios that a commit takes: three commits take all of them, none twice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.thirds import ROOT, commit, left_out, third_of

COMMITS = ("00" * 20, "00" * 19 + "01", "00" * 19 + "02")
MADE = """
import pytest

@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("number", range(7))
def test_scenario(number): pass

@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_unwanted(number): pass

@pytest.mark.faults
def test_other(): pass

def test_short(): pass
"""
SCENARIOS = [f"test_{name}[{log}]" for name in "abcdefg" for log in ("sqlite", "kafka")]


def taken(scenarios: list[str], third: int | None) -> set[str]:
    return set(scenarios) - left_out(scenarios, third)


def test_three_commits_take_every_scenario_and_none_twice() -> None:
    parts = [taken(SCENARIOS, third_of("commit", one)) for one in COMMITS]
    assert set().union(*parts) == set(SCENARIOS)
    assert sorted(map(len, parts)) == [4, 5, 5]
    assert sum(map(len, parts)) == len(SCENARIOS)


def test_one_commit_always_takes_the_same_third() -> None:
    known = commit()
    if known is None:
        pytest.skip("needs git and a commit")
    assert third_of("commit", known) == third_of("commit", commit()) == int(known, 16) % 3


def test_all_run_unless_asked_and_where_no_commit_is_known(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    assert third_of("commit", None) is third_of("", None) is third_of("all", COMMITS[1]) is None
    assert taken(SCENARIOS, None) == set(SCENARIOS)


def test_a_third_can_be_named_and_a_wrong_one_is_refused() -> None:
    assert [third_of(name, None) for name in "012"] == [0, 1, 2]
    with pytest.raises(ValueError, match="FAULTS_THIRD='3' is none of"):
        third_of("3", None)


def test_a_run_takes_a_third_and_says_what_it_left_out(tmp_path: Path) -> None:
    """With this folder's own conftest.py and scenarios that do nothing; a short test beside them is always taken."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n    faults\n")
    (tmp_path / "test_made.py").write_text(MADE)
    said = {third: run_made(tmp_path, third) for third in ("all", "0", "1", "2")}
    passed = {third: {line for line in lines if line.endswith("PASSED")} for third, lines in said.items()}
    thirds = [passed[third] for third in "012"]
    assert passed["all"] == set().union(*thirds)
    assert len(passed["all"]) == 9  # Seven scenarios that -m leaves, one of another mark and the short test.
    assert sorted(map(len, thirds)) == [3, 4, 4]
    assert sum("test_short" in line for third in thirds for line in third) == 3
    for third in ("all", "0", "1", "2"):
        missing = {line.split(" ")[0] for line in passed["all"] - passed[third]}
        assert {line.removeprefix("left out: ") for line in said[third] if line.startswith("left out: ")} == missing


def run_made(folder: Path, third: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-k", "not unwanted", "test_made.py"]
    env = {
        **os.environ, "FAULTS_THIRD": third, "PYTHONPATH": str(ROOT), "COLUMNS": "60",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }  # fmt: skip
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return [re.sub(r" PASSED.*", " PASSED", line) for line in done.stdout.splitlines()]
