"""What people say of replies becomes rows by a table made by hand; what they disagree on is kept and never trains."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest

from contract.errors import ThumbwheelError
from processor.curation.measures.rankings import tau_b
from processor.curation.preferences import (
    CorrectionVote,
    PairRow,
    PairwiseVote,
    RankingVote,
    RatingVote,
    SkipVote,
    Thresholds,
    TrainingRows,
    Vote,
    training_rows,
)
from processor.rows import PairRow as StoredPair
from processor.steps.consensus import AGREEING, OUTVOTED, TIED, agree_on_pairs
from processor.steps.rows import rewritten


def rows(*votes: Vote, thresholds: Thresholds = Thresholds(), same: str = "") -> TrainingRows:
    """Return the rows, which must not depend on the order of the votes; the replies named in `same` are one text."""
    made = [
        training_rows(
            order, rewritten=rewritten, thresholds=thresholds, alike=lambda _, one, other: one in same and other in same
        )
        for order in (votes, votes[::-1])
    ]
    assert made[0] == made[1]
    return made[0]


def ranking(person: str, at: int, *places: str) -> RankingVote:
    return RankingVote(
        item="i", person=person, event_id=f"r-{person}{at}", received=at, ranking=[list(p) for p in places]
    )


def pairwise(person: str, at: int, better: str, worse: str, strength: int | None = None) -> PairwiseVote:
    return PairwiseVote(
        item="i", person=person, event_id=f"p-{person}{at}", received=at, unit=(better, worse), outcome="chosen",
        chosen=better, strength=strength,
    )  # fmt: skip


def undecided(person: str, at: int, one: str, other: str, outcome: str = "tie") -> PairwiseVote:
    return PairwiseVote(
        item="i", person=person, event_id=f"p-{person}{at}", received=at, unit=(one, other),
        outcome=outcome,  # type: ignore[arg-type]
    )  # fmt: skip


def rating(person: str, at: int, candidate: str, value: float) -> RatingVote:
    return RatingVote(
        item="i", person=person, event_id=f"s-{person}{candidate}{at}", received=at, candidate_id=candidate, value=value
    )


def correction(person: str, at: int, text: str, original: str | None = "The old reply.") -> CorrectionVote:
    return CorrectionVote(
        item="i", person=person, event_id=f"c-{person}{at}", received=at, candidate_id="a", text=text, original=original
    )


def table(made: TrainingRows) -> dict[str, tuple[Fraction, Fraction, int]]:
    """Return each pair as "chosen>rejected" with weight, chosen_share and ties."""
    return {f"{row.chosen}>{row.rejected}": (row.weight, row.chosen_share, row.ties) for row in made.pairs}


FIFTH, WHOLE = Fraction(1, 5), Fraction(1)


def test_one_ranking_with_a_tie_makes_all_its_ordered_pairs_and_their_weights_sum_to_one() -> None:
    made = rows(ranking("ann", 1, "a", "b", "cd"))
    assert table(made) == dict.fromkeys(("a>b", "a>c", "a>d", "b>c", "b>d"), (FIFTH, WHOLE, 0))
    assert sum(row.weight for row in made.pairs) == 1
    assert [(one.about, one.why_not) for one in made.kept] == [(("c", "d"), "tie")]


def test_two_rankings_with_ties_and_a_strong_choice_equal_the_table_made_by_hand() -> None:
    """Ann: a > b > c = d. Ben: a > c > b = d. Eve, later: b by far over c.

    | pair | Ann | Ben | Eve | trains | share | ties |
    |---|---|---|---|---|---|---|
    | a b | a | a |   | a > b | 2/2 | 0 |
    | a c | a | a |   | a > c | 2/2 | 0 |
    | a d | a | a |   | a > d | 2/2 | 0 |
    | b c | b | c | b | b > c | 2/3 | 0 |
    | b d | b | = |   | b > d | 1/1 | 1 |
    | c d | = | c |   | c > d | 1/1 | 1 |
    """
    ann, ben = ranking("ann", 1, "a", "b", "cd"), ranking("ben", 2, "a", "c", "bd")
    two = rows(ann, ben)
    assert "b>c" not in table(two) and "c>b" not in table(two)
    assert two.counts() == {"agreeing": 3, "tie": 2, "tied": 2}
    three = rows(ann, ben, pairwise("eve", 3, "b", "c", strength=3))
    assert table(three) == {
        "a>b": (FIFTH, WHOLE, 0), "a>c": (FIFTH, WHOLE, 0), "a>d": (FIFTH, WHOLE, 0),
        "b>c": (FIFTH, Fraction(2, 3), 0), "b>d": (FIFTH, WHOLE, 1), "c>d": (FIFTH, WHOLE, 1),
    }  # fmt: skip
    (row,) = [row for row in three.pairs if (row.chosen, row.rejected) == ("b", "c")]
    assert (row.kind, row.strength, row.events) == ("ranking", 3, ("r-ann1",))
    assert (row.agreeing, row.outvoted) == (("p-eve3",), ("r-ben2",))
    assert three.counts() == {"agreeing": 4, "outvoted": 1, "tie": 2}
    assert tau_b(ann.ranking, ben.ranking) == pytest.approx(2 / 5)


def test_a_contradicted_pair_trains_once_with_its_share() -> None:
    made = rows(
        pairwise("ann", 1, "a", "b", 2), pairwise("ben", 2, "b", "a", 3), pairwise("eve", 3, "a", "b", 1),
        pairwise("dan", 4, "a", "b"), undecided("flo", 5, "a", "b"),
    )  # fmt: skip
    (row,) = made.pairs
    assert (row.chosen, row.rejected, row.weight, row.chosen_share, row.ties) == ("a", "b", 1, Fraction(3, 4), 1)
    assert row.strength == Fraction(3, 2)
    assert made.counts() == {"agreeing": 2, "outvoted": 1, "tie": 1}


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_how_clearly_one_person_prefers_a_reply_is_kept(strength: int) -> None:
    (row,) = rows(pairwise("ann", 1, "a", "b", strength)).pairs
    assert (row.strength, row.chosen_share, row.kind) == (strength, 1, "pairwise")


def test_ties_none_skips_and_an_even_split_train_nothing_and_are_counted() -> None:
    made = rows(
        undecided("ann", 1, "a", "b"), undecided("ben", 2, "a", "b", "none"),
        SkipVote(item="i", person="eve", event_id="k-eve", received=3, reason="cannot tell"),
        pairwise("ann", 4, "c", "d"), pairwise("ben", 5, "d", "c"), ranking("dan", 6, "ef"),
    )  # fmt: skip
    assert (made.pairs, made.unpaired, made.demonstrations) == ((), (), ())
    assert made.counts() == {"none": 1, "skipped": 1, "tie": 2, "tied": 2}


def test_a_person_has_one_voice_on_two_replies_the_newest() -> None:
    made = rows(ranking("ann", 1, "a", "b"), pairwise("ann", 2, "b", "a"), pairwise("ben", 3, "b", "a"))
    (row,) = made.pairs
    assert (row.chosen, row.chosen_share, row.events) == ("b", 1, ("p-ann2",))
    assert made.counts() == {"agreeing": 1, "superseded": 1}
    taken_back = rows(pairwise("ann", 1, "a", "b"), undecided("ann", 2, "a", "b"))
    assert taken_back.pairs == () and taken_back.counts() == {"superseded": 1, "tie": 1}


def test_of_two_replies_that_are_one_text_neither_is_better_and_the_others_share_the_weight() -> None:
    made = rows(ranking("ann", 1, "a", "b", "c"), pairwise("ben", 2, "b", "c"), same="bc")
    assert table(made) == {"a>b": (Fraction(1, 2), WHOLE, 0), "a>c": (Fraction(1, 2), WHOLE, 0)}
    assert made.counts() == {"same_reply": 2}


def test_two_ratings_of_one_person_that_are_two_apart_make_a_pair_and_those_of_two_people_do_not() -> None:
    made = rows(
        rating("ann", 1, "a", 5), rating("ann", 2, "b", 3), rating("ann", 3, "c", 3.5), rating("ben", 4, "d", 1)
    )
    (row,) = made.pairs
    assert (row.chosen, row.rejected, row.kind, row.weight) == ("a", "b", "rating", 1)
    assert row.events == ("s-anna1", "s-annb2")
    assert [(one.about, one.why_not) for one in made.kept] == [(("c",), "threshold"), (("d",), "threshold")]


def test_the_weights_of_the_pairs_that_one_persons_ratings_make_sum_to_one() -> None:
    made = rows(rating("ann", 1, "a", 5), rating("ann", 2, "b", 3), rating("ann", 3, "c", 1))
    third = Fraction(1, 3)
    assert table(made) == {"a>b": (third, WHOLE, 0), "a>c": (third, WHOLE, 0), "b>c": (third, WHOLE, 0)}
    assert made.kept == ()


def test_a_rating_alone_trains_only_past_a_threshold_that_was_stated() -> None:
    votes = [rating("ann", 1, "a", 5), rating("ben", 2, "b", 1), rating("eve", 3, "c", 3)]
    assert rows(*votes).unpaired == () and rows(*votes).counts() == {"threshold": 3}
    made = rows(*votes, thresholds=Thresholds(good_from=5, bad_up_to=2))
    assert [(one.candidate_id, one.label, one.share) for one in made.unpaired] == [("a", True, 1), ("b", False, 1)]
    assert made.counts() == {"threshold": 1}
    with pytest.raises(ThumbwheelError) as refused:
        Thresholds(good_from=3, bad_up_to=3)
    assert refused.value.code == "bad_thresholds"


def test_several_thumbs_for_one_reply_are_one_row_with_the_share() -> None:
    thresholds = Thresholds(good_from=4, bad_up_to=2)
    values = {"ann": 5, "ben": 4, "eve": 1, "flo": 3}
    made = rows(*(rating(p, at, "a", v) for at, (p, v) in enumerate(values.items())), thresholds=thresholds)
    (row,) = made.unpaired
    assert (row.label, row.share, row.event_id) == (True, Fraction(2, 3), "s-anna0")
    assert made.counts() == {"agreeing": 1, "outvoted": 1, "threshold": 1}
    split = rows(rating("ann", 1, "a", 5), rating("ben", 2, "a", 1), thresholds=thresholds)
    assert split.unpaired == () and split.counts() == {"tied": 2}


def test_of_two_ratings_of_one_reply_by_one_person_the_newest_counts() -> None:
    made = rows(rating("ann", 1, "a", 1), rating("ann", 2, "a", 5), rating("ann", 3, "b", 1))
    assert [row.chosen for row in made.pairs] == ["a"] and made.counts() == {"superseded": 1}


def test_a_correction_is_a_demonstration_and_a_pair() -> None:
    made = rows(correction("ann", 1, "A much better reply."), correction("ben", 2, "Yet another one."))
    assert [one.text for one in made.demonstrations] == ["A much better reply.", "Yet another one."]
    assert made.pairs[0] == PairRow(
        "i", None, "a", "correction", WHOLE, None, WHOLE, 0, ("c-ann1",), text="A much better reply."
    )
    assert len(made.pairs) == 2


def test_a_correction_that_mends_a_letter_or_corrects_no_text_is_a_demonstration_only() -> None:
    long = "An answer that is long enough for one letter to be less than three in a hundred of it"
    for made in (rows(correction("ann", 1, f"{long}.", f"{long}!")), rows(correction("ann", 1, "Text.", None))):
        assert len(made.demonstrations) == 1 and made.pairs == ()
    blank = rows(correction("ann", 1, "First."), correction("ann", 2, " \n"))
    assert blank.demonstrations == () and blank.counts() == {"empty_reply": 1, "superseded": 1}


@pytest.mark.parametrize("wrong", [
    PairwiseVote(item="i", person="p", event_id="e", received=1, unit=("a", "b"), outcome="chosen", chosen="c"),
    PairwiseVote(item="i", person="p", event_id="e", received=1, unit=("a", "b"), outcome="chosen"),
    PairwiseVote(item="i", person="p", event_id="e", received=1, unit=("a", "b"), outcome="tie", chosen="a"),
    PairwiseVote(item="i", person="p", event_id="e", received=1, unit=("a", "a"), outcome="chosen", chosen="a"),
])  # fmt: skip
def test_a_preference_for_neither_of_the_two_is_refused(wrong: PairwiseVote) -> None:
    with pytest.raises(ThumbwheelError) as refused:
        rows(wrong)
    assert refused.value.code == "bad_vote"


def stored(vote: PairwiseVote) -> StoredPair:
    """Return the vote as the row of a pick that `processor.steps` makes."""
    rejected = next(one for one in vote.unit if one != vote.chosen)
    values = dict.fromkeys(StoredPair._fields)
    values |= {
        "event_id": vote.event_id, "chosen_candidate": vote.chosen, "rejected_candidate": rejected,
        "received_at": vote.received, "trainable": True, "weight_num": 1, "weight_den": 1,
    }  # fmt: skip
    return StoredPair(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_consensus_is_the_one_that_picks_have(seed: int) -> None:
    """The row that trains, why the others do not, and the share, as `processor.steps.consensus` decides them."""
    chance = random.Random(seed)
    votes = [
        pairwise(f"p{who}", chance.randrange(5), *chance.sample(pair, 2))
        for pair in combinations("abc", 2)
        for who in range(chance.randint(1, 6))
    ]
    votes = [replace(vote, event_id=f"e{at:02}") for at, vote in enumerate(votes)]
    theirs = agree_on_pairs([stored(vote) for vote in votes])
    made = rows(*votes)
    assert {row.events[0] for row in made.pairs} == {row.event_id for row in theirs if row.trainable}
    assert {one.events[0]: one.why_not for one in made.kept} == {
        row.event_id: row.why_not for row in theirs if not row.trainable
    }
    assert {one.why_not for one in made.kept} <= {AGREEING, OUTVOTED, TIED}
    for row in made.pairs:
        about = [one for one in theirs if {one.chosen_candidate, one.rejected_candidate} == {row.chosen, row.rejected}]
        assert row.chosen_share == Fraction(sum(one.chosen_candidate == row.chosen for one in about), len(about))
