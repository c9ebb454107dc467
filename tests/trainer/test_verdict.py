"""What the trainer reads from an item of the support API: the state it acts on, and the words."""

from __future__ import annotations

import pytest

from contract.errors import ThumbwheelError
from trainer.loop.verdict import Verdict, read_verdict


@pytest.mark.parametrize(("state", "reason"), [
    ("promote", "Won its blind test: 30 of 40 decisive picks for it."),
    ("reject", "Lost its blind test: 30 of 40 decisive picks for it."),
    ("held", "Undecided after 40 decisive picks: 30 for it."),
    ("running", "30 of 40 decisive picks for it so far."),
])  # fmt: skip
def test_the_console_decides_and_the_reason_names_the_counts(state: str, reason: str) -> None:
    # The counts alone would decide otherwise: nothing is counted twice.
    assert read_verdict({"wins": 30, "losses": 10, "state": state}) == Verdict(state, reason)


@pytest.mark.parametrize("state", [None, "won", ""])
def test_a_state_that_nobody_knows_changes_no_model(state: str | None) -> None:
    with pytest.raises(ThumbwheelError, match=r"blind test"):
        read_verdict({"wins": 30, "losses": 10, "state": state})
