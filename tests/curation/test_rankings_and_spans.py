"""Rankings are compared by tau-b, marked text by its characters."""

from __future__ import annotations

import random

import pytest

from contract.curation.answers import Span
from contract.errors import ThumbwheelError
from processor.curation.measures.rankings import Ranked, rank_agreement, tau_b
from processor.curation.measures.spans import Marked, character_f1, span_agreement


@pytest.mark.parametrize(("one", "other", "tau"), [
    # Two people, four replies. Pairs in order ab, ac, ad, bc, bd, cd; 1: the first is better, 0: tied, -1: worse.
    # one 1 1 1 1 1 0, other 1 1 1 -1 0 1: C = 3, D = 1, N = 6, T = 1, U = 1: 2 / 5.
    ([["a"], ["b"], ["c", "d"]], [["a"], ["c"], ["b", "d"]], 2 / 5),
    ([["a"], ["b"], ["c"]], [["a"], ["b"], ["c"]], 1.0),
    ([["a"], ["b"], ["c"]], [["c"], ["b"], ["a"]], -1.0),
    # One tie: ab 0, ac 1, bc 1 against 1, 1, 1: 2 / sqrt(2 * 3).
    ([["a", "b"], ["c"]], [["a"], ["b"], ["c"]], 2 / 6**0.5),
    # d was ranked by one only.
    ([["a"], ["d"], ["b"]], [["b"], ["a"]], -1.0),
    ([["a", "b"]], [["a"], ["b"]], None),
    ([["a"]], [["a"]], None),
])  # fmt: skip
def test_tau_b_equals_the_table_made_by_hand(one: list[list[str]], other: list[list[str]], tau: float | None) -> None:
    assert tau_b(one, other) == (None if tau is None else pytest.approx(tau))
    assert tau_b(other, one) == tau_b(one, other)


def test_tau_b_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    chance = random.Random(4)
    for _ in range(200):
        ids = [f"c{at}" for at in range(chance.randint(2, 8))]
        scores = [[chance.randint(0, 4) for _ in ids] for _ in range(2)]
        rankings = [
            [[c for c, s in zip(ids, of, strict=True) if s == place] for place in sorted(set(of))] for of in scores
        ]
        theirs = stats.kendalltau(*scores).statistic
        ours = tau_b(*rankings)
        assert ours == (None if theirs != theirs else pytest.approx(theirs))


def test_the_mean_over_items_counts_each_item_once_and_says_which_say_nothing() -> None:
    same, reverse, tied = (("a",), ("b",)), (("b",), ("a",)), (("a", "b"),)
    found = rank_agreement([
        *(Ranked("alike", person, same) for person in "pqr"),
        Ranked("contrary", "p", same), Ranked("contrary", "q", reverse),
        Ranked("tied", "p", tied), Ranked("tied", "q", same),
        Ranked("alone", "p", same),
    ])  # fmt: skip
    assert (found.tau.value, found.tau.n) == (0.0, 2)
    assert (found.items, found.compared, found.undefined) == (4, 3, 1)
    assert found.tau.low == -1.0 and found.tau.high == 1.0


def test_few_rankings_that_agree_are_not_certain_and_none_say_nothing() -> None:
    few = rank_agreement([Ranked("u", person, (("a",), ("b",))) for person in "pq"])
    assert few.tau.value == 1.0 and few.tau.low is not None and few.tau.low < 0
    assert rank_agreement([]).tau.value is None


def test_a_reply_ranked_twice_and_a_person_who_ranks_twice_are_refused() -> None:
    with pytest.raises(ThumbwheelError, match="twice"):
        tau_b([["a"], ["a"]], [["a"]])
    with pytest.raises(ThumbwheelError) as refused:
        rank_agreement([Ranked("u", "p", (("a",),))] * 2)
    assert refused.value.code == "answer_twice"


def span(start: int, end: int, path: str = "error", candidate: str = "a") -> Span:
    return Span(path, candidate, start, end, "x" * (end - start))


@pytest.mark.parametrize(("one", "other", "f1"), [
    ([span(0, 10)], [span(0, 10)], 1.0),
    ([span(0, 10)], [span(5, 15)], 0.5),
    ([span(0, 4), span(4, 10)], [span(0, 10)], 1.0),
    ([span(0, 8), span(2, 10), span(1, 3)], [span(0, 10)], 1.0),
    ([span(0, 2), span(6, 8)], [span(1, 7)], 2 * 2 / (4 + 6)),
    ([span(0, 10)], [span(0, 10, path="praise")], 0.0),
    ([span(0, 10)], [span(0, 10, candidate="b")], 0.0),
    ([span(0, 10)], [], 0.0),
    ([], [], None),
])  # fmt: skip
def test_f1_of_marked_characters(one: list[Span], other: list[Span], f1: float | None) -> None:
    assert character_f1(one, other) == (None if f1 is None else pytest.approx(f1))
    assert character_f1(other, one) == character_f1(one, other)


def test_f1_is_that_of_the_characters_one_by_one() -> None:
    chance = random.Random(2)
    for _ in range(200):
        both = [
            [span(at, at + chance.randint(1, 9), chance.choice("xy")) for at in chance.sample(range(40), 4)]
            for _ in range(2)
        ]
        marked = [{(s.path, at) for s in of for at in range(s.start, s.end)} for of in both]
        assert character_f1(*both) == pytest.approx(2 * len(marked[0] & marked[1]) / sum(map(len, marked)))


def test_texts_that_nobody_marked_are_counted_apart() -> None:
    """Three texts without a mark do not make the label look agreed on."""
    nothing = [Marked(f"clean{at}", person, ()) for at in range(3) for person in "pq"]
    marked = [Marked("u", "p", (span(0, 4),)), Marked("u", "q", (span(2, 6),)), Marked("alone", "p", (span(0, 1),))]
    found = span_agreement(nothing + marked)
    assert (found.f1.value, found.f1.n) == (0.5, 1)
    assert (found.items, found.compared, found.empty) == (5, 4, 3)


def test_a_person_who_marks_an_item_twice_is_refused_and_an_empty_span_marks_nothing() -> None:
    with pytest.raises(ThumbwheelError) as refused:
        span_agreement([Marked("u", "p", ())] * 2)
    assert refused.value.code == "answer_twice"
    assert character_f1([span(4, 4)], [span(9, 3)]) is None


def test_a_reply_that_shares_its_place_with_none_may_stand_alone() -> None:
    """As an annotation holds a ranking: a tie is a list, a single reply its id."""
    assert tau_b(["first", ["b", "c"]], [["first"], ["b", "c"]]) == 1.0
