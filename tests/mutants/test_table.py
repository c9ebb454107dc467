"""Each mutation by hand still applies: the code that it changes is there, and what comes out is Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.by_hand import MUTATIONS
from tests.mutants.mutation import Mutation, StaleMutation
from tests.mutants.scratch import ROOT


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
