"""Which picks count, and for which rater: ballots in any order, ghosts, repeats, changes after a reveal."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trials.picks import MINUTE, ballot, ballots
from trials import votes as counting
from trials.rule import UNNAMED, Tally
from trials.trial import replay
from trials.votes import Ballot, Votes, count


def figures(tally: Tally) -> tuple[int, int, int, int, dict[str, tuple[int, int]]]:
    return tally.wins, tally.losses, tally.ties, tally.none, tally.by_rater


def test_one_outcome_per_interaction_majority_or_tie() -> None:
    assert counting.outcome_of(["win", "win", "loss"]) == "win"
    assert counting.outcome_of(["win", "loss"]) == "tie"
    assert counting.outcome_of(["win", "tie", "none"]) == "tie"
    assert counting.outcome_of(["none"]) == "none"
    assert counting.outcome_of([]) is None


def test_a_text_both_models_wrote_is_a_tie() -> None:
    models = {"a": "new", "b": "old", "c": "new"}
    texts = {"a": "same", "b": "same", "c": "other"}
    assert counting.side_of("chosen", "a", models, texts, "new") == "tie"
    assert counting.side_of("chosen", "c", models, texts, "new") == "win"
    assert counting.side_of("tie", None, models, texts, "new") == "tie"
    assert counting.side_of("none", None, models, texts, "new") == "none"


def test_only_equal_numbers_of_replies_count() -> None:
    models = {"a": "new", "b": "old", "c": "old", "d": "new"}
    assert counting.balanced(["a", "b", "c", "d"], models, "new", "old")
    assert not counting.balanced(["a", "b", "c"], models, "new", "old")
    assert not counting.balanced(["a", "d"], models, "new", "old")


def test_ties_and_none_are_apart() -> None:
    tally = count(ballots(("a", "wltnnw")))
    assert figures(tally) == (2, 1, 1, 2, {"a": (2, 1)})
    assert tally.n == 3


def test_a_retracted_vote_is_no_vote_and_the_earlier_one_does_not_revive() -> None:
    first, second = ballot(1, "win", interaction="i"), ballot(2, "loss", interaction="i")
    undo = ballot(3, interaction="i", retracts="e2")
    assert count([first, second]).losses == 1
    assert count([first, second, undo]).n == 0
    assert count([undo, second, first]).n == 0


def test_an_undo_that_arrives_before_its_vote_takes_it_back_all_the_same() -> None:
    assert count([ballot(1, interaction="i", retracts="e2"), ballot(2, interaction="i")]).n == 0


def test_only_the_first_pick_of_a_rater_on_a_prompt_counts() -> None:
    tally = count([ballot(1, "win", group="g"), ballot(2, "loss", group="g"), ballot(3, "loss", "other", group="g")])
    assert figures(tally)[:2] == (1, 1) and tally.by_rater == {"r": (1, 0), "other": (0, 1)}
    assert tally.excluded == {"repeated_prompt": 1}


def test_the_place_of_a_retracted_pick_passes_to_the_next_one_on_the_prompt() -> None:
    first, again = ballot(1, "win", group="g"), ballot(2, "loss", group="g")
    undo = ballot(3, interaction="i1", retracts="e1")
    tally = count([first, again, undo])
    assert (tally.wins, tally.losses, tally.excluded) == (0, 1, {})
    anew = ballot(4, "win", interaction="i1", group="g")
    tally = count([first, again, undo, anew])
    assert (tally.wins, tally.losses, tally.excluded) == (1, 0, {"repeated_prompt": 1})


def test_picks_without_a_known_prompt_repeat_nothing() -> None:
    assert count([ballot(n, group=None) for n in range(5)]).wins == 5


def test_candidates_issued_for_nobody_make_one_rater() -> None:
    tally = count(ballots(("a", "wwl"), ("b", "wl"), named=False))
    assert tally.by_rater == {UNNAMED: (3, 2)}
    crowd = [ballot(n, "win", f"name{n}", interaction="i", group="g", named=False) for n in range(5)]
    assert count(crowd).by_rater == {UNNAMED: (1, 0)}
    assert figures(count([*crowd[:2], *[replace(one, side="loss") for one in crowd[2:]]]))[:2] == (0, 1)


def test_they_do_not_count_once_a_named_rater_does() -> None:
    tally = count([*ballots(("a", "wwwt"), named=False), *ballots(("b", "l"), start=10)])
    assert tally.by_rater == {"b": (0, 1)}
    assert (tally.ties, tally.excluded) == (0, {"unnamed": 4})
    back = ballot(20, rater="b", interaction="i10", retracts="e10")
    assert count([*ballots(("a", "www"), named=False), *ballots(("b", "l"), start=10), back]).wins == 3


@pytest.mark.parametrize("first", ["named", "unnamed"])
def test_on_an_interaction_of_both_the_named_raters_decide(first: str) -> None:
    for number in range(20):  # whatever the hash of the interaction
        where = {"interaction": f"i{number}", "group": "g"}
        at = (1, 2) if first == "named" else (2, 1)
        named = ballot(at[0], "loss", "a", **where)
        crowd = ballot(at[1], "win", "b", named=False, **where)
        assert figures(count([named, crowd])) == (0, 1, 0, 0, {"a": (0, 1)})


def test_a_vote_that_is_named_the_second_time_is_one_vote() -> None:
    tally = count([ballot(1, "win", "a", named=False), ballot(2, "loss", "a", interaction="i1", group="g1")])
    assert figures(tally) == (0, 1, 0, 0, {"a": (0, 1)})
    assert tally.excluded == {}


def test_no_actor_can_be_the_unnamed_rater() -> None:
    assert " " in UNNAMED  # ids are visible ASCII


def test_why_a_pick_did_not_count_is_counted_once_for_each_actor_and_interaction() -> None:
    tally = count([
        ballot(1, excluded="unsigned"), ballot(2, interaction="i1", excluded="unsigned"),
        ballot(3, excluded="other_settings"), ballot(4, "win"), ballot(5, rater="b", excluded="trained_on"),
        ballot(6, rater="b", interaction="i5", retracts="e5"),
    ])  # fmt: skip
    assert tally.excluded == {"unsigned": 1, "other_settings": 1}
    assert tally.wins == 1


def test_which_picks_did_not_count_is_known_by_event() -> None:
    votes = Votes()
    for one in [
        ballot(1, group="g"), ballot(2, group="g"), ballot(3, rater="ghost", interaction="i1", excluded="unsigned"),
        ballot(4, rater="b", named=False), ballot(5, "loss", interaction="i1", frozen=True),
        ballot(6, excluded="trained_on"), ballot(7, interaction="i6", retracts="e6"), ballot(8, group="g"),
        ballot(9, interaction="i8", retracts="e8"),
    ]:  # fmt: skip
        votes.take(one)
    why = {"e2": "repeated_prompt", "e3": "unsigned", "e4": "unnamed", "e5": "frozen"}
    assert votes.why_not() == why
    assert votes.tally().excluded == dict.fromkeys(why.values(), 1)


@pytest.mark.parametrize("change", [
    ballot(9, "loss", interaction="i1", frozen=True), ballot(9, interaction="i1", retracts="e1", frozen=True),
    ballot(9, "loss", interaction="i1", excluded="after_reveal"),
    ballot(9, interaction="i1", retracts="e1", excluded="unsigned"),
])  # fmt: skip
def test_a_vote_that_may_no_longer_change_stands(change: Ballot) -> None:
    assert figures(count([ballot(1, "win"), change]))[:2] == (1, 0)


def test_somebody_who_could_see_the_counts_has_a_first_vote() -> None:
    tally = count([ballot(1, "win", frozen=True), ballot(2, "loss", interaction="i1", frozen=True)])
    assert (tally.wins, tally.losses, tally.excluded) == (1, 0, {"frozen": 1})


def test_a_vote_taken_back_before_it_was_frozen_does_not_come_again() -> None:
    tally = count([ballot(1), ballot(2, interaction="i1", retracts="e1"), ballot(3, interaction="i1", frozen=True)])
    assert tally.n == 0


def test_a_late_ballot_with_an_earlier_moment_changes_nothing() -> None:
    late = replace(ballot(5, "loss", interaction="i1"), moment=(0, 0, "e5"))
    assert count([ballot(1, "win"), late]).wins == 1


def test_an_interaction_of_several_raters_is_one_pick_of_one_of_them() -> None:
    shared = [ballot(n, "win" if n < 2 else "loss", f"r{n}", interaction="i", group="g") for n in range(3)]
    owners = {next(iter(count(order).by_rater)) for order in (shared, shared[::-1])}
    assert figures(count(shared))[:2] == (1, 0) and len(owners) == 1
    later = [replace(one, arrived=(9 - n) * MINUTE) for n, one in enumerate(shared)]
    assert set(count(later).by_rater) == owners  # whoever came first
    assert figures(count([*shared, ballot(9, "loss", "r9", interaction="i", group="g")]))[:3] == (0, 0, 1)


def test_who_is_credited_favours_no_name() -> None:
    shared = [[ballot(n, rater=rater, interaction=f"i{place}") for n, rater in enumerate("az")] for place in range(200)]
    found = [next(iter(count(picks).by_rater)) for picks in shared]
    assert 70 < found.count("a") < 130


def test_a_changed_vote_keeps_its_place_among_the_first_ten() -> None:
    picks = ballots(("a", "w" * 15))
    tally = count([*picks, ballot(30, "loss", "a", interaction="i3", group="g3")])
    assert (tally.raters["a"].first_wins, tally.raters["a"].first_losses) == (9, 1)
    tally = count([*picks, ballot(30, "loss", "a", interaction="i12", group="g12")])
    assert (tally.raters["a"].first_wins, tally.raters["a"].first_losses) == (10, 0)


# Random ballots: few interactions, prompts and people, so that everything collides.
random_ballots = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from("abc"), st.sampled_from(["win", "loss", "tie", "none"]), st.integers(0, 3),
        st.sampled_from(["pick"] * 6 + ["undo", "frozen", "unsigned"]), st.integers(0, 30), st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


def made(drawn: list[tuple[int, str, str, int, str, int, bool]]) -> list[Ballot]:
    found: list[Ballot] = []
    for n, (where, actor, side, group, kind, target, named) in enumerate(drawn):
        mine = [old for old in found if old.retracts is None and old.actor_id == actor]
        old = mine[target % len(mine)] if mine and kind == "undo" else None
        found.append(ballot(
            n, side, actor, interaction=old.interaction_id if old else f"i{where}", group=f"g{(where + group) % 4}",
            named=named or actor == "a", retracts=old.event_id if old else None, frozen=kind == "frozen",
            excluded="unsigned" if kind == "unsigned" else None,
        ))  # fmt: skip
    return found


@given(random_ballots, st.randoms())
@settings(max_examples=300, deadline=None)
def test_the_order_in_which_ballots_are_handed_over_changes_nothing(drawn: list, rng: random.Random) -> None:  # type: ignore[type-arg]
    honest = made(drawn)
    shuffled = honest[:]
    rng.shuffle(shuffled)
    assert count(shuffled) == count(honest)


@given(random_ballots)
@settings(max_examples=300, deadline=None)
def test_counting_on_is_the_same_as_counting_again(drawn: list) -> None:  # type: ignore[type-arg]
    """The running counts, after every ballot, are those of a fresh count of the ballots so far."""
    running = Votes()
    for number, one in enumerate(made(drawn)):
        running.take(one)
        assert running.tally() == count(made(drawn)[: number + 1])
        assert all(min(c.wins, c.losses, c.ties, c.none) >= 0 for c in running.tally().raters.values())


def by_definition(found: list[Ballot]) -> tuple[int, int, int, int]:
    """Return (wins, losses, ties, none) of named ballots, written as the rules read, without any running count."""
    gone = {one.retracts for one in found if one.retracts and not one.frozen and not one.excluded}
    votes: dict[tuple[str, str], Ballot] = {}
    place: dict[tuple[str, str], int] = {}
    group: dict[tuple[str, str], str | None] = {}
    for one in found:
        key = (one.interaction_id, one.actor_id)
        if one.excluded or one.retracts or (one.frozen and key in votes):
            continue
        votes[key] = one
        place.setdefault(key, one.arrived)
        group.setdefault(key, one.prompt_group)
    live = {key: one for key, one in votes.items() if one.event_id not in gone}
    first: dict[tuple[str, str | None], tuple[str, str]] = {}
    for key in sorted(live, key=place.__getitem__):
        first.setdefault((key[1], group[key]), key)
    said: dict[str, list[counting.Side]] = {}
    for key in first.values():
        said.setdefault(key[0], []).append(live[key].side)
    outcomes = [counting.outcome_of(sides) for sides in said.values()]
    wins, losses, ties, none = (outcomes.count(side) for side in ("win", "loss", "tie", "none"))
    return wins, losses, ties, none


@given(random_ballots)
@settings(max_examples=400, deadline=None)
def test_the_running_counts_are_those_of_the_definition(drawn: list) -> None:  # type: ignore[type-arg]
    named = [replace(one, named=True) for one in made(drawn)]
    tally = count(named)
    assert (tally.wins, tally.losses, tally.ties, tally.none) == by_definition(named)


@given(random_ballots, random_ballots)
@settings(max_examples=200, deadline=None)
def test_a_ghost_name_changes_neither_wins_losses_rate_nor_decision(drawn: list, haunted: list) -> None:  # type: ignore[type-arg]
    honest = made(drawn)
    ghosts = [
        replace(one, event_id=f"ghost-{one.event_id}", excluded="unsigned", arrived=one.arrived + n % 3)
        for n, one in enumerate(made(haunted))
    ]
    undone = [ballot(50 + n, rater="ghost", interaction=one.interaction_id, retracts=one.event_id, excluded="unsigned")
              for n, one in enumerate(honest)]  # fmt: skip
    with_ghosts, alone = count([*honest, *ghosts, *undone]), count(honest)
    assert with_ghosts.raters == alone.raters
    one, other = replay([*honest, *ghosts, *undone]), replay(honest)
    assert replace(one, excluded={}) == replace(other, excluded={})


def test_a_thousand_names_on_one_interaction_change_neither_raters_nor_interval() -> None:
    honest = ballots(("a", "w" * 20 + "l" * 5), ("b", "w" * 8))
    for fields in ({"excluded": "unsigned"}, {"named": False}, {}):
        names = [
            ballot(1000 + n, "loss", f"name{n}", interaction="hot", group=f"h{n}", arrived=(100 + n) * MINUTE, **fields)
            for n in range(1000)
        ]
        before, after = replay(honest), replay([*honest, *names])
        if not fields:  # were they all issued for, it would still be one pick of one rater
            assert (after.n, after.raters) == (before.n + 1, before.raters + 1)
            continue
        assert (after.wins, after.losses, after.raters) == (before.wins, before.losses, before.raters)
        assert (after.interval, after.weighted_rate) == (before.interval, before.weighted_rate)
        assert (after.e_plus, after.state, after.reason) == (before.e_plus, before.state, before.reason)


def test_a_hot_interaction_costs_each_ballot_the_same() -> None:
    names = [ballot(n, "win", f"name{n}", interaction="hot", group="g") for n in range(20_000)]
    started = time.process_time()
    votes = Votes()
    for one in names:
        votes.take(one)
    assert votes.tally().n == 1
    assert time.process_time() - started < 5
