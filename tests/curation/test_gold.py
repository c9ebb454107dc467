"""Gold questions: who begins, who pauses when, and who is left alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from scipy.stats import binom

from contract.curation.definitions import Gold
from contract.errors import ThumbwheelError
from processor.curation.gold import LEAST_TRY, PATIENCE, TRIES, Step, chance_to_pass, is_gold, standing

GOLD = Gold(onboarding=10, rate=0.1, pass_mark=0.8)
WORKING = Gold(rate=0.1, pass_mark=0.8)


def steps(marks: str) -> list[Step]:
    """Return the steps: + right, - wrong, ! taken back by a person."""
    names: dict[str, Step] = {"+": "right", "-": "wrong", "!": "resumed"}
    return [names[mark] for mark in marks]


@pytest.mark.parametrize(("marks", "state"), [
    ("", "onboarding"), ("+++++++++", "onboarding"), ("++++++++--", "working"), ("--++++++++", "working"),
    ("+++++++---", "onboarding"), ("+++++++---++++++++++", "working"), ("+++++++---" * 2, "onboarding"),
    ("+++++++---" * 3, "stopped"), ("+++++++---" * 3 + "++++++++++", "stopped"), ("+++++++---" * 3 + "!", "working"),
])  # fmt: skip
def test_a_try_is_ten_answers_of_which_eight_must_be_right_and_there_are_three(marks: str, state: str) -> None:
    assert TRIES == 3
    assert standing(GOLD, steps(marks)).state == state


def test_every_change_holds_the_figures_that_it_follows_from() -> None:
    found = standing(GOLD, steps("+++++++---" + "++++++++--" + "++" + "-" * 7))
    begun, paused = found.changes
    assert (begun.at, begun.state, begun.right, begun.answered) == (20, "working", 8, 10)
    assert (paused.at, paused.state, paused.right, paused.answered) == (29, "paused", 2, 9)
    assert paused.sum >= found.limit and paused.low < paused.high < 0.8
    assert (found.state, found.sum) == ("paused", 0.0)


def test_the_sum_is_the_one_computed_by_hand() -> None:
    """Pass mark 0.8, guessing 0.5: p1 = 0.65; a wrong answer adds ln(0.35 / 0.2), a right one ln(0.65 / 0.8)."""
    up, down = 0.5596157879354227, -0.20763936477824438
    assert standing(WORKING, steps("+++")).sum == 0.0
    assert standing(WORKING, steps("--+")).sum == pytest.approx(2 * up + down)
    assert standing(WORKING, steps("-" * 6)).state == "working"
    assert standing(WORKING, steps("-" * 7)).state == "paused"
    assert standing(WORKING, steps("-" * 7)).limit == pytest.approx(3.912023005428146)


def simulated(accuracy: float, seed: int, most: int) -> int:
    """Return after how many gold answers somebody pauses."""
    chance = random.Random(seed)
    marks: list[Step] = ["right" if chance.random() < accuracy else "wrong" for _ in range(most)]
    found = standing(WORKING, marks)
    return found.changes[0].at if found.changes else most


def test_who_keeps_the_pass_mark_pauses_by_chance_after_hundreds_of_answers_only() -> None:
    runs = [simulated(0.8, seed, 4000) for seed in range(150)]
    assert sum(runs) / len(runs) > 700 > PATIENCE
    assert sum(simulated(0.9, seed, 1000) < 1000 for seed in range(150)) <= 2


def test_who_falls_to_guessing_pauses_within_a_few_dozen_however_long_they_were_good() -> None:
    lengths = []
    for seed in range(100):
        chance = random.Random(seed)
        marks: list[Step] = ["right" if chance.random() < 0.95 else "wrong" for _ in range(500)]
        assert standing(WORKING, marks).state == "working"
        marks += ["right" if chance.random() < 0.5 else "wrong" for _ in range(500)]
        lengths.append(standing(WORKING, marks).changes[0].at - 500)
    assert sum(lengths) / len(lengths) < 30


def test_who_pauses_comes_back_by_a_try_or_by_a_person_and_begins_with_nothing_held_against_them() -> None:
    paused = "-" * 7
    assert standing(WORKING, steps(paused + "+" * (LEAST_TRY - 1))).state == "paused"
    back = standing(WORKING, steps(paused + "+" * LEAST_TRY))
    assert (back.state, back.sum, back.answered) == ("working", 0.0, 0)
    assert standing(WORKING, steps(paused + "!")).state == "working"
    assert standing(WORKING, steps(paused + "!" + "-" * 6)).state == "working"
    assert standing(WORKING, steps(paused + "+---+" * 3)).state == "stopped"


def test_where_pausing_is_off_everybody_works_on_and_is_counted() -> None:
    off = Gold(onboarding=10, rate=0.1, pass_mark=0.8, pause=False)
    found = standing(off, steps("-" * 40))
    assert (found.state, found.right, found.answered) == ("working", 0, 30)
    assert found.high < 0.3


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9])
def test_the_chance_to_pass_a_try_is_the_share_of_those_who_do(accuracy: float) -> None:
    assert chance_to_pass(GOLD, accuracy) == pytest.approx(binom.sf(7, 10, accuracy))
    chance = random.Random(int(accuracy * 10))

    def tries() -> Sequence[Step]:
        return ["right" if chance.random() < accuracy else "wrong" for _ in range(10)]

    passed = sum(standing(GOLD, tries()).state == "working" for _ in range(2000)) / 2000
    assert passed == pytest.approx(chance_to_pass(GOLD, accuracy), abs=0.05)


def test_a_tenth_of_the_items_of_who_works_is_gold_and_all_of_who_does_not() -> None:
    drawn = [is_gold(GOLD, "working", "secret", ("task", "ann", at)) for at in range(5000)]
    assert sum(drawn) / 5000 == pytest.approx(0.1, abs=0.02)
    assert drawn == [is_gold(GOLD, "working", "secret", ("task", "ann", at)) for at in range(5000)]
    assert drawn != [is_gold(GOLD, "working", "another", ("task", "ann", at)) for at in range(5000)]
    assert all(is_gold(GOLD, state, "secret", ("task", "ann", 1)) for state in ("onboarding", "paused", "stopped"))
    assert not any(is_gold(Gold(), "working", "secret", ("task", "ann", at)) for at in range(200))


def test_a_pass_mark_that_guessing_reaches_is_refused_and_one_of_all_right_is_not() -> None:
    with pytest.raises(ThumbwheelError, match="no better than guessing") as refused:
        standing(Gold(pass_mark=0.5), [])
    assert refused.value.code == "bad_gold" and refused.value.hint
    strict = Gold(pass_mark=1.0)
    assert standing(strict, steps("+" * 50 + "-" + "+" * 50)).state == "working"
    assert standing(strict, steps("--")).state == "paused"
