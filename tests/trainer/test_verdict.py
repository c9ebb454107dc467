"""What the trainer reads from an item of the support API: the state it acts on, and the words."""

from __future__ import annotations

from typing import get_args

import pytest

from contract.errors import ThumbwheelError
from trainer.loop.verdict import Verdict, read_verdict
from trials.evidence import Counts
from trials.rule import ReasonKey, Rule, State, Tally, decision

ONE = Tally.of_one_rater(30, 10)
TWO = Tally({"a": Counts(28, 7, 8, 2), "b": Counts(2, 3, 2, 3)})


@pytest.mark.parametrize(("tally", "state", "key", "text"), [
    (ONE, "promote", "won", "Won its blind test: 30 of 40 decisive picks for it, by one rater."),
    (ONE, "reject", "lost", "Lost its blind test: 30 of 40 decisive picks for it, by one rater."),
    (TWO, "held", "time_used_up", "Undecided after 14 days: 30 of 40 decisive picks for it, by 2 raters."),
    (TWO, "held", "won_for_one_rater", "Won for one rater only: 30 of 40 decisive picks for it, by 2 raters; "
     "5 of the others, and a decision needs 20. Who manages models may promote it by name."),
    (TWO, "running", "waiting_for_others", "30 of 40 decisive picks for it, by 2 raters so far."),
])  # fmt: skip
def test_the_console_decides_and_the_reason_names_the_counts(
    tally: Tally, state: State, key: ReasonKey, text: str
) -> None:
    # The counts alone would decide otherwise: nothing is counted twice.
    found = decision(tally, Rule(), state, key)
    item = {"state": state, "reason": {"key": key, **found.reason.numbers}}
    assert read_verdict(item) == Verdict(state, text)


def test_every_reason_of_a_decision_has_a_sentence() -> None:
    for key in get_args(ReasonKey):
        found = decision(TWO, Rule(), "held", key)
        said = read_verdict({"state": "held", "reason": {"key": key, **found.reason.numbers}}).reason
        running = key in ("too_few_picks", "undecided", "gain_too_small", "waiting_for_others")
        assert said.endswith("so far.") == running, key


@pytest.mark.parametrize("state", [None, "won", ""])
def test_a_state_that_nobody_knows_changes_no_model(state: str | None) -> None:
    with pytest.raises(ThumbwheelError, match=r"blind test"):
        read_verdict({"wins": 30, "losses": 10, "state": state})
