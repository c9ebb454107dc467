"""Each mutation by hand still applies: the code that it changes is there, and what comes out is Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import ASKED
from tests.mutants.by_hand import MUTATIONS
from tests.mutants.generated import source_files
from tests.mutants.mutation import Mutation, StaleMutation
from tests.mutants.reach import Reach
from tests.mutants.scratch import ROOT, Scratch


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_by_hand_still_applies(mutation: Mutation) -> None:
    compile(mutation.applied(ROOT), mutation.file, "exec")
    for test in mutation.tests:
        assert not test.startswith("tests/") or (ROOT / test.partition("::")[0]).exists(), test


def test_their_names_differ() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("text", ["", "weight = 1\nweight = 1\n"])
def test_a_fragment_that_is_gone_or_there_twice_is_said_aloud(tmp_path: Path, text: str) -> None:
    (tmp_path / "code.py").write_text(text, "utf-8")
    with pytest.raises(StaleMutation, match=r"all weigh 1.*not once.*hint:"):
        Mutation("all weigh 1", "code.py", "weight = 1", "weight = 2", ()).applied(tmp_path)
    with pytest.raises(StaleMutation, match=r"0 times in gone\.py"):
        Mutation("all weigh 1", "gone.py", "weight = 1", "weight = 2", ()).applied(tmp_path)


@pytest.mark.slow
def test_a_change_is_tried_in_a_copy_whose_files_are_then_as_before(tmp_path: Path) -> None:
    mutation = next(one for one in MUTATIONS if one.name == "one rater decides alone")
    before = (ROOT / mutation.file).read_text("utf-8")
    scratch = Scratch(tmp_path)
    try:
        noticed = scratch.try_out(mutation.file, mutation.applied(ROOT), mutation.tests, 120)
        survived = scratch.try_out(mutation.file, before + "\n# Says nothing.\n", mutation.tests, 120)
        endless = scratch.try_out(mutation.file, before + "\nwhile True:\n    pass\n", mutation.tests, 5)
        broken = scratch.try_out(mutation.file, "import nothing_of_the_kind\n", mutation.tests, 120)
        unasked = scratch.try_out(mutation.file, before, ["tests/no_such_test.py"], 120)
    finally:
        scratch.close()
    assert [one.noticed for one in (noticed, survived, endless, broken, unasked)] == [True, False, True, True, None]
    assert "test_rule" in noticed.why
    assert (ROOT / mutation.file).read_text("utf-8") == (scratch.tree / mutation.file).read_text("utf-8") == before


def test_a_line_is_judged_by_the_tests_that_reach_it_the_fastest_first() -> None:
    reach = Reach(
        {"slow": 20.0, "fast": 0.1, "medium": 15.0}, {"f.py": {"1": [], "4": ["slow", "fast"], "9": ["medium"]}}
    )
    assert reach.tests_of("f.py", 4) == reach.tests_of("f.py", 6) == ["fast", "slow"]
    assert reach.tests_of("f.py", 9) == ["medium"]
    assert reach.tests_of("f.py", 1) == ["fast", "medium"], "what is run at import concerns all, as far as time allows"
    assert reach.tests_of("other.py", 1) == []


def test_tests_that_are_asked_of_generated_mutants_exist_for_every_file_that_is_changed() -> None:
    for asked in ASKED.values():
        assert all((ROOT / test).exists() for test in asked if test.startswith("tests/")), asked
    for file in source_files(ROOT):
        assert any(file.startswith(room) for room in ASKED), file
