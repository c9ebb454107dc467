"""A simulated crowd of known accuracy is seen through: who is right how often, who copies, who only clicks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from bench.annotators import EARNED, ENOUGH, MOST_OFF, Crowd, farthest, share_right, simulate, wrong_flags
from contract.errors import ThumbwheelError
from processor.curation.measures.answers import Answer, AnswerTable, tabulate
from processor.curation.measures.conduct import Flag, conduct
from processor.curation.measures.dependence import dependence
from processor.curation.reliability import LEAST_FOR_CONFUSION, Reliability, dawid_skene, majority, one_coin


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    """30,000 answers of 60 people, five an item."""
    return simulate(items=6_000, people=60, seed=3)


@pytest.fixture(scope="module")
def table(crowd: Crowd) -> AnswerTable:
    return tabulate(crowd.answers, [0, 1])


@pytest.fixture(scope="module")
def found(table: AnswerTable) -> Reliability:
    return one_coin(table)


def honest(
    seed: int, accuracy: list[float], *, items: int = 1000, each: int = 3, values: int = 2, hard: float = 0.0
) -> tuple[list[Answer], dict[str, int]]:
    """Return independent answers; on the share `hard` of the items nobody is right in more than 60 % of the cases."""
    chance = np.random.default_rng(seed)
    answers, truth = [], {}
    for at in range(items):
        name, true = f"u{at:05}", int(chance.integers(values))
        truth[name] = true
        easy = chance.random() >= hard
        for who in chance.choice(len(accuracy), each, replace=False):
            right = chance.random() < (accuracy[who] if easy else min(accuracy[who], 0.6))
            answers.append(
                Answer(name, f"p{who:03}", true if right else (true + int(chance.integers(1, values))) % values)
            )
    return answers, truth


def right_share(believed: dict[str, int], truth: dict[str, int]) -> float:
    return sum(believed[item] == true for item, true in truth.items()) / len(truth)


def test_one_coin_gets_more_items_right_than_the_majority(crowd: Crowd, table: AnswerTable, found: Reliability) -> None:
    assert share_right(found.consensus, crowd) > share_right(majority(table), crowd) + 0.01
    assert np.allclose(found.consensus.chances.sum(axis=1), 1)


def test_each_accuracy_is_found_to_within_a_twentieth_also_of_those_who_copy(crowd: Crowd, found: Reliability) -> None:
    assert sum(one.accuracy.n >= ENOUGH for one in found.people) > 50
    assert farthest(found, crowd) <= MOST_OFF


def test_who_copies_who_always_picks_left_and_who_is_mostly_wrong_are_flagged_and_nobody_else(
    table: AnswerTable, found: Reliability
) -> None:
    flags = conduct(table, found)
    assert wrong_flags(flags) == []
    evidence = {flag.kind: flag for flag in flags if (flag.kind, flag.people) in EARNED}
    copies, left, wrong = evidence["copies"], evidence["same_place"], evidence["below_chance"]
    assert copies.seen > 0.95 and copies.expected == pytest.approx(0.5, abs=0.05) and copies.n > 300
    assert copies.by_chance is not None and copies.by_chance < 1e-6
    assert (left.seen, left.what) == (1.0, "0") and left.expected == pytest.approx(0.5, abs=0.05)
    assert wrong.seen < 0.35 and wrong.expected == 0.5


def test_a_careful_person_with_few_answers_is_not_flagged(crowd: Crowd, table: AnswerTable, found: Reliability) -> None:
    """How long people take is not even told; few answers are no fault either."""
    (careful,) = [one for one in found.people if one.person == "careful"]
    assert 20 <= careful.accuracy.n < 80 and crowd.right["careful"] > 0.7
    assert not [flag for flag in conduct(table, found) if "careful" in flag.people]
    low, high = careful.accuracy.low, careful.accuracy.high
    assert low is not None and high is not None and high - low > 0.1


@pytest.mark.parametrize(("each", "shared"), [(5, 1.0), (5, 0.5), (3, 0.5)])
def test_two_who_copy_each_other_do_not_win_against_people_who_were_right(each: int, shared: float) -> None:
    """Forty people at 80 % and two who say the same, right half the time, on 300 items: the majority trusts the two."""
    chance = np.random.default_rng(each)
    answers, truth = honest(each, [0.8] * 40, items=300, each=each)
    for at, (name, true) in enumerate(truth.items()):
        if chance.random() < shared:
            said = true if chance.random() < 0.5 else 1 - true
            start = at * each
            answers[start : start + 2] = [Answer(name, "copy-a", said), Answer(name, "copy-b", said)]
    table = tabulate(answers)
    found = one_coin(table)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("copy-a", "copy-b")]
    counts = table.counts()
    believed = {item: int(counts[at].argmax()) for at, item in enumerate(table.items)}
    best = {item: int(value) for item, (value, _) in found.consensus.best().items()}
    assert right_share(best, truth) > right_share(believed, truth) + 0.03
    of = {one.person: one.accuracy.value for one in found.people}
    assert of["copy-a"] is not None and of["copy-a"] < 0.65


@pytest.mark.parametrize("seed", range(6))
def test_honest_people_are_not_taken_for_copies_though_some_items_are_hard(seed: int) -> None:
    chance = random.Random(seed)
    accuracy = [chance.uniform(0.7, 0.98) for _ in range(12)]
    answers, _ = honest(seed, accuracy, items=1500, each=3 + seed % 3, values=2 + seed % 2, hard=0.3)
    table = tabulate(answers)
    assert [flag for flag in conduct(table, one_coin(table)) if flag.kind != "at_chance"] == []


def test_of_five_who_answer_everything_the_two_who_copy_are_found() -> None:
    """Two alike and three of 80 %: to believe the two would explain nearly as much, and is where a plain fit ends."""
    found = 0
    for seed in range(10):
        chance = random.Random(seed)
        answers, truth = honest(seed, [0.8] * 3, items=150, each=3)
        for item, true in truth.items():
            said = true if chance.random() < 0.5 else 1 - true
            answers += [Answer(item, "copy-a", said), Answer(item, "copy-b", said)]
        pairs = one_coin(tabulate(answers)).pairs
        found += [(pair.first, pair.second) for pair in pairs] == [("copy-a", "copy-b")]
    assert found >= 8


def test_a_little_more_agreement_than_explained_is_not_copying_however_sure_it_is() -> None:
    """One answers as another does on one item in ten: beyond chance over 4,000 items, and of no weight."""
    chance = random.Random(1)
    answers, _ = honest(1, [0.75] * 5, items=4000, each=5)
    said = {one.item: one.value for one in answers if one.person == "p000"}
    answers = [
        one._replace(value=said[one.item]) if one.person == "p001" and chance.random() < 0.15 else one
        for one in answers
    ]
    assert one_coin(tabulate(answers)).pairs == ()


def test_who_answers_one_way_more_often_than_the_items_ask_for_has_no_fixed_answer() -> None:
    """Right on every "no", on half of the "yes": three in four answers are "no", where one in two is."""
    chance = random.Random(1)
    answers, truth = honest(1, [0.85] * 6, items=600)
    answers += [Answer(item, "strict", 0 if true == 0 or chance.random() < 0.5 else 1) for item, true in truth.items()]
    table = tabulate(answers)
    assert [flag for flag in conduct(table, one_coin(table)) if flag.kind == "same_choice"] == []


def test_an_item_that_very_many_answered_is_read_in_the_time_of_its_answers() -> None:
    """Pairs of people are 3,000 x 100 here, of which so many as are read at once are kept."""
    answers = [Answer("hot", f"p{at:05}", at % 3 > 0) for at in range(3000)]
    assert len(dependence(tabulate(answers)).skill) == 3000
    assert one_coin(tabulate(answers)).consensus.best()["hot"][0] is True


def test_copies_weigh_once_where_both_answered_and_fully_elsewhere(table: AnswerTable) -> None:
    weight = dependence(table).weight
    both = {"copy-a", "copy-b"}
    by_item: dict[str, set[str]] = {}
    for item, person in zip(table.item.tolist(), table.person.tolist(), strict=True):
        by_item.setdefault(table.items[item], set()).add(table.people[person])
    for at in range(len(table)):
        name, item = table.people[table.person[at]], table.items[table.item[at]]
        assert weight[at] == (0.5 if name in both and both <= by_item[item] else 1.0)


def test_the_intervals_hold_the_accuracies_about_as_often_as_they_say() -> None:
    held = people = 0
    for seed in range(12):
        chance = random.Random(seed)
        accuracy = [chance.uniform(0.6, 0.95) for _ in range(15)]
        answers, _ = honest(seed, accuracy, items=500)
        for one in one_coin(tabulate(answers)).people:
            low, high = one.accuracy.low, one.accuracy.high
            assert low is not None and high is not None
            held += low <= accuracy[int(one.person[1:])] <= high
            people += 1
    assert 0.88 <= held / people <= 0.99


def test_an_interval_is_wider_where_the_truth_is_less_known() -> None:
    """The same number of answers, beside one other person's or beside four."""
    widths = []
    for each in (2, 5):
        answers, _ = honest(1, [0.8] * 10, items=1000 // each, each=each)
        people = one_coin(tabulate(answers)).people
        widths.append(np.mean([(one.accuracy.high or 0) - (one.accuracy.low or 0) for one in people]))
    assert widths[0] > widths[1] * 1.3


def test_the_order_of_the_answers_changes_nothing(crowd: Crowd, found: Reliability) -> None:
    shuffled = list(crowd.answers)
    random.Random(5).shuffle(shuffled)
    again = one_coin(tabulate(shuffled, [0, 1]))
    assert np.array_equal(again.consensus.chances, found.consensus.chances) and again.people == found.people


def test_values_nobody_gave_make_a_right_answer_tell_more() -> None:
    """Three who agree on one of ten values are surer than three who agree on one of two."""
    answers = [Answer(f"u{at}", person, at % 2) for at in range(6) for person in "abc"]
    few, many = (one_coin(tabulate(answers, list(range(n)))).consensus.best()["u0"][1] for n in (2, 10))
    assert many > few


def test_a_label_with_one_value_cannot_tell_who_is_right() -> None:
    answers = [Answer("u", "p", 1), Answer("u", "q", 1)]
    with pytest.raises(ThumbwheelError) as refused:
        one_coin(tabulate(answers))
    assert refused.value.code == "one_value"
    assert one_coin(tabulate(answers, [0, 1])).consensus.best()["u"][0] == 1
    nothing = tabulate([], [0, 1])
    assert one_coin(nothing).people == () and conduct(nothing, one_coin(nothing)) == ()


def test_always_the_same_answer_is_flagged_only_where_the_items_do_not_ask_for_it() -> None:
    """Always "no": a habit where half of the items are "yes", nothing of the kind where one in fifty is."""

    def flags(yes: float) -> list[Flag]:
        chance = np.random.default_rng(4)
        answers = []
        for at in range(400):
            true = "yes" if chance.random() < yes else "no"
            other = {"yes": "no", "no": "yes"}[true]
            answers += [Answer(f"u{at}", p, true if chance.random() < 0.9 else other) for p in "abc"]
            answers.append(Answer(f"u{at}", "always-no", "no"))
        table = tabulate(answers)
        return [flag for flag in conduct(table, one_coin(table)) if flag.kind == "same_choice"]

    (flag,) = flags(0.5)
    assert (flag.people, flag.seen, flag.what, flag.n) == (("always-no",), 1.0, "no", 400)
    assert flag.expected == pytest.approx(0.5, abs=0.05)
    assert flags(0.02) == []


def test_somebody_who_guesses_among_people_who_know_is_flagged() -> None:
    answers, truth = honest(2, [0.85] * 8, items=400)
    chance = random.Random(2)
    answers += [Answer(item, "guesses", chance.randrange(2)) for item in truth]
    table = tabulate(answers)
    (flag,) = conduct(table, one_coin(table))
    assert (flag.kind, flag.people, flag.n) == ("at_chance", ("guesses",), 400)
    assert flag.seen == pytest.approx(0.5, abs=0.07) and flag.expected == pytest.approx(0.85, abs=0.03)


def strict(seed: int) -> tuple[list[Answer], dict[str, int]]:
    """Return a crowd in which half say 1 only when it is glaring, and half when in doubt."""
    chance = np.random.default_rng(seed)
    answers, truth = [], {}
    for at in range(1500):
        name, true = f"u{at:05}", int(chance.random() < 0.3)
        truth[name] = true
        for who in chance.choice(20, 4, replace=False):
            right = (0.55, 0.97) if who < 14 else (0.97, 0.6)
            said = true if chance.random() < right[1 - true] else 1 - true
            answers.append(Answer(name, f"p{who:02}", said))
    return answers, truth


def test_a_confusion_matrix_a_person_helps_where_people_err_to_one_side() -> None:
    answers, truth = strict(1)
    table = tabulate(answers)
    of_coin, of_matrix = (
        {item: int(value) for item, (value, _) in model(table).consensus.best().items()}
        for model in (one_coin, dawid_skene)
    )
    assert right_share(of_matrix, truth) > right_share(of_coin, truth)


def test_a_confusion_matrix_is_refused_where_somebody_gave_too_few_answers() -> None:
    answers, _ = honest(1, [0.8] * 5, items=200)
    answers.append(Answer("u00000", "new", 1))
    with pytest.raises(ThumbwheelError, match=f"new gave 1 answers, of {LEAST_FOR_CONFUSION}"):
        dawid_skene(tabulate(answers))


def test_what_is_believed_is_what_crowd_kit_believes() -> None:
    """Of people who answer independently; it does not know of copies."""
    theirs = pytest.importorskip("crowdkit.aggregation.classification.dawid_skene")
    pandas = pytest.importorskip("pandas")
    chance = random.Random(1)
    answers, _ = honest(1, [chance.uniform(0.6, 0.95) for _ in range(30)], items=5000, each=5, values=3)
    frame = pandas.DataFrame([one[:3] for one in answers], columns=["task", "worker", "label"])
    for ours, model in ((one_coin, theirs.OneCoinDawidSkene), (dawid_skene, theirs.DawidSkene)):
        believed = model(n_iter=200).fit_predict(frame)
        best = ours(tabulate(answers)).consensus.best()
        assert np.mean([best[item][0] == value for item, value in believed.items()]) >= 0.998
    believed = theirs.OneCoinDawidSkene(n_iter=200).fit_predict(frame)
    best = one_coin(tabulate(answers)).consensus.best()
    assert np.mean([best[item][0] == value for item, value in believed.items()]) >= 0.999


def test_who_always_picks_one_place_is_measured_against_the_others_only() -> None:
    """Of two people, one of whom picks the left in 20 of 40: (20 + 1) / (40 + 2) is expected of the other."""
    answers = [Answer(f"u{at:02}", "ann", at % 2, at % 2) for at in range(40)]
    answers += [Answer(f"u{at:02}", "left", at % 2, 0) for at in range(40)]
    table = tabulate(answers)
    (flag,) = [flag for flag in conduct(table, one_coin(table)) if flag.kind == "same_place"]
    assert (flag.people, flag.seen, flag.expected, flag.what) == (("left",), 1.0, 0.5, "0")


def test_answers_without_a_place_are_no_habit(crowd: Crowd) -> None:
    table = tabulate([one._replace(place=None) for one in crowd.answers if one.item < "item-001000"], [0, 1])
    assert not [flag for flag in conduct(table, one_coin(table)) if flag.kind == "same_place"]
    assert table.place.max() == -1
