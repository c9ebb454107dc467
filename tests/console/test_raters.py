"""Whose picks count in a blind test, who may see how it stands, and how a decision is counted anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contract.events import Event
from contract.forgetting import actor_digest
from processor.queries.blinding import blind_to_people
from processor.queries.datasets import Datasets
from processor.queries.trials import CONCEALED, list_support
from tests.console.bench import PASSWORD, Bench
from tests.console.story import CHALLENGER, START, event, fact, trial

FIGURES = ("wins", "losses", "n", "raters")


@pytest.fixture
def running(bench: Bench) -> Bench:
    bench.put(fact("model.challenger", "challenger", 0, adapter_id=CHALLENGER, baseline="base"))
    return bench


def picks(wins: int, losses: int, rater: str, at: float = 1, named: bool = True, **fields: Any) -> list[Event]:
    """Return picks of one rater on questions of their own."""
    made: list[Event] = []
    for n in range(wins + losses):
        name = f"{rater}-{at}-{n}"
        made += trial(name, at + n / 100, n < wins, f"Question {name}", rater=rater, named=named, **fields)
    return made


def figures(bench: Bench) -> tuple[int, ...]:
    (item,) = bench.support()
    return tuple(item[name] for name in FIGURES)


def test_picks_on_replies_issued_for_nobody_are_one_rater_and_count_no_more_once_there_is_a_named_one(
    running: Bench,
) -> None:
    running.put(*picks(3, 0, "one", named=False), *picks(2, 0, "two", named=False))
    assert figures(running) == (5, 0, 5, 1)
    running.put(*picks(1, 1, "three", at=5))
    assert figures(running) == (1, 1, 2, 1)
    assert running.support()[0]["excluded"] == {"unnamed": 5}


def test_a_rater_who_is_asked_the_same_again_counts_once(running: Bench) -> None:
    for n in range(4):
        running.put(*trial(f"same-{n}", 1 + n, True, "Where is my parcel?", rater="one", named=True))
    running.put(*trial("other", 9, True, "where is my   PARCEL?", rater="two", named=True))
    assert figures(running) == (2, 0, 2, 2)
    (item,) = running.support()
    assert item["excluded"] == {"repeated_prompt": 3}
    assert [len(ids) for ids in item["excluded_ids"].values()] == [3]


def test_one_fan_with_nearly_all_picks_promotes_nothing(running: Bench) -> None:
    running.put(*picks(1, 4, "two", at=0.1), *picks(0, 1, "three", at=0.2), *picks(60, 6, "fan"))
    (item,) = running.support()
    assert (item["state"], item["others"]) == ("running", 6)
    assert item["reason"]["key"] in ("waiting_for_others", "undecided")
    assert item["rate"] < item["unweighted_rate"]


def test_a_vote_changed_in_the_console_stands_as_it_was(running: Bench) -> None:
    running.put(*picks(1, 0, "one"))
    (target,) = [e.event_id for e in picks(1, 0, "one") if e.type == "pick"]
    running.put(event(
        "retract", "second thoughts", 9, via="console", actor=("one", "expert"), interaction_id="one-1-0", target=target
    ))  # fmt: skip
    assert figures(running) == (1, 0, 1, 1)


def test_a_test_may_be_restricted_to_labels_and_says_the_rate_of_each(bench: Bench) -> None:
    bench.put(fact(
        "model.challenger", "c", 0, adapter_id=CHALLENGER, baseline="base", metrics={"labels": ["refund"]}
    ))  # fmt: skip
    bench.put(
        *picks(3, 1, "one", labels=["refund", "urgent"]), *picks(2, 0, "two", at=5, labels=["billing"]),
    )  # fmt: skip
    (item,) = bench.support()
    assert (item["n"], item["labels"], item["excluded"]) == (4, ["refund"], {"other_labels": 2})
    assert [(one["name"], one["wins"], one["n"], one["enough"]) for one in item["by_label"]] == [
        ("refund", 3, 4, False), ("urgent", 3, 4, False),
    ]  # fmt: skip
    assert [(one["name"], one["n"]) for one in item["by_kind"]] == [("agent", 4)]


def test_a_test_that_is_too_old_is_held_and_what_comes_later_says_so(running: Bench) -> None:
    running.put(*picks(3, 1, "one"), *picks(2, 0, "two", at=60 * 24 * 20))
    with running.store.read() as cursor:
        settings = type(running.settings)(home=running.settings.home, trial_days=14)
        found = list_support(cursor, "default", settings, Datasets(settings.home, "default"))["items"]
    (item,) = found
    assert (item["state"], item["reason"]["key"], item["n"]) == ("held", "time_used_up", 4)
    assert item["decided_at"] == START + timedelta(days=14)
    assert item["excluded"] == {"after_end": 2}


# -- who sees the counts


def test_while_a_test_runs_its_counts_are_told_to_managers_and_the_trainer_only(running: Bench) -> None:
    running.put(*picks(7, 2, "one"))
    seen = {
        "secret key": running.get("support")["items"][0],
        "overview": running.get("overview")["support"],
        "one test": running.get(f"trials/{CHALLENGER}")["item"],
    }
    for who, item in seen.items():
        assert item["concealed"] and item["state"] == "running" and item["n"] == 9, who
        assert {name for name in CONCEALED if item[name] is not None} == set(), who
        assert item["needed"]["picks"] >= 40, who
    assert running.get(f"trials/{CHALLENGER}")["recount"] is None
    assert running.support()[0]["wins"] == 7


@pytest.mark.parametrize(("name", "sees"), [("ada", True), ("rei", False), ("vic", False)])
def test_pages_tell_raters_that_a_test_runs_and_not_who_is_ahead(running: Bench, name: str, sees: bool) -> None:
    running.put(*picks(17, 6, "one"))
    client = running.app.test_client()
    client.post("/login", data={"name": name, "password": PASSWORD}, headers={"Sec-Fetch-Site": "same-origin"})
    for address in ("/", "/adapters", f"/adapters/{CHALLENGER}", "/trials", f"/trials/{CHALLENGER}"):
        page = client.get(address)
        assert page.status_code == 200, address
        told = any(figure in page.text for figure in ("74%", "17 of 23", "17 won"))
        assert told == sees, (address, page.text)


# -- a decision counted anew


def test_a_decision_is_counted_anew_and_says_how_many_votes_are_gone(running: Bench) -> None:
    running.put(*picks(40, 5, "one"), *picks(25, 5, "two", at=1.005))
    (item,) = running.support()
    assert (item["state"], item["reason"]["key"]) == ("promote", "won")
    kept = {name: item[name] for name in ("wins", "losses", "counted", "rule_version", "excluded_ids", "decided_at")}
    running.put(fact(
        "model.promoted", "promoted", 200, adapter_id=CHALLENGER, alias_version=2, baseline="base",
        metrics={"support": kept},
    ))  # fmt: skip
    told = running.get(f"trials/{CHALLENGER}")
    assert told["gone"] == 0
    assert {name: told["recount"][name] for name in ("wins", "losses")} == {
        name: kept[name] for name in ("wins", "losses")
    }
    digest = actor_digest("default", "two")
    running.put(
        event(
            "forget",
            "forget two",
            300,
            actor=("ada", "expert"),
            actor_digest=digest,
            before=(START + timedelta(days=1)).isoformat(),
        )
    )
    told = running.get(f"trials/{CHALLENGER}")
    assert told["item"]["state"] == "promote"
    assert told["gone"] > 0 and told["decided"]["wins"] == kept["wins"]


def test_an_adapter_that_was_never_tested_has_no_count(running: Bench) -> None:
    assert running.get("trials/ad-999999999999")["error"]["code"] == "unknown_trial"


# -- whether the champion is worse than its predecessor


def compared(wins: int, losses: int, rater: str, at: float) -> list[Event]:
    """Return picks asked for outside a test, between the champion and the base, which is the side that wins here."""
    return picks(wins, losses, rater, at, counted=False, challenger="base", baseline=CHALLENGER)


def test_a_champion_is_tested_against_its_predecessor_on_picks_of_their_own(running: Bench) -> None:
    assert running.get("support", running.service)["rollbacks"] == []
    running.put(*picks(40, 0, "one"), fact("model.promoted", "up", 50, adapter_id=CHALLENGER, alias_version=2))
    (doubt,) = running.get("support", running.service)["rollbacks"]
    assert (doubt["challenger"], doubt["baseline"], doubt["kind"], doubt["n"]) == ("base", CHALLENGER, "rollback", 0)
    running.put(*compared(3, 1, "one", at=10), *compared(38, 6, "one", at=60), *compared(0, 1, "two", at=60.001))
    (doubt,) = running.get("support", running.service)["rollbacks"]
    # What was compared before the promotion says nothing about the champion of today.
    assert doubt["excluded"]["before_registration"] == 4
    assert (doubt["state"], doubt["reason"]["key"]) == ("running", "waiting_for_others")
    running.put(*compared(19, 3, "two", at=70))
    (doubt,) = running.get("support", running.service)["rollbacks"]
    assert (doubt["state"], doubt["reason"]["key"]) == ("promote", "won")
    assert running.get("support")["rollbacks"][0]["state"] == "promote"
    client = running.app.test_client()
    client.post("/login", data={"name": "rei", "password": PASSWORD}, headers={"Sec-Fetch-Site": "same-origin"})
    assert "The champion against its predecessor" in client.get("/trials").text
    running.put(fact("model.rolled_back", "down", 100, adapter_id=CHALLENGER, alias_version=3))
    assert running.get("support", running.service)["rollbacks"] == []


def promoted_and_compared(bench: Bench) -> None:
    """Have the challenger promoted, then compared with the base, and with an adapter that is none of the test's."""
    bench.put(
        *picks(2, 0, "one"),
        *picks(5, 2, "one", at=5, counted=False, challenger="ad-000000000001", baseline="ad-000000000002"),
        fact("model.promoted", "up", 50, adapter_id=CHALLENGER, alias_version=2),
        *compared(3, 1, "one", at=60),
        # The other way round it says as much; that it is none of this test's picks helps nobody.
        *picks(4, 0, "two", at=61, counted=False, challenger=CHALLENGER, baseline="base"),
        *picks(6, 1, "two", at=62, counted=False, challenger="ad-000000000001", baseline=CHALLENGER),
    )  # fmt: skip


def sides(found: Any) -> list[tuple[str, str]]:
    return [(one["challenger"], one["baseline"]) for one in found["comparisons"]]


def test_comparisons_of_a_champion_in_doubt_are_told_to_those_who_may_watch_only(running: Bench) -> None:
    promoted_and_compared(running)
    others = ("ad-000000000001", "ad-000000000002")
    assert sides(running.get("support")) == [others]
    assert sides(running.get("overview")) == [others]
    assert set(sides(running.get("support", running.service))) == {
        others, ("ad-000000000001", CHALLENGER), (CHALLENGER, "base"), ("base", CHALLENGER),
    }  # fmt: skip
    running.put(fact("model.rolled_back", "down", 100, adapter_id=CHALLENGER, alias_version=3))
    assert len(sides(running.get("support"))) == 4


def test_who_wrote_what_in_comparisons_of_a_champion_in_doubt_stays_hidden(running: Bench) -> None:
    promoted_and_compared(running)
    hidden, shown = ("one-60-0", "two-61-0"), ("one-1-0", "one-5-0")
    for name in hidden:
        told = running.get(f"interactions/{name}")
        assert told["blinded"] and "base" not in str(told) and CHALLENGER not in str(told), name
        assert "base" not in str(running.get(f"pairs?interaction={name}")["items"])
        assert CHALLENGER in str(running.get(f"interactions/{name}", running.service))
    for name in shown:
        assert not running.get(f"interactions/{name}")["blinded"], name
    listed = {one["interaction_id"]: one["models"] for one in running.get("interactions?limit=500")["items"]}
    assert {name for name, models in listed.items() if not models} == {
        name for name in listed if name.startswith(("one-60-", "two-61-"))
    }
    assert running.get("pairs?model=base&interaction=one-60-0")["items"] == []
    running.put(fact("model.rolled_back", "down", 100, adapter_id=CHALLENGER, alias_version=3))
    assert all(CHALLENGER in str(running.get(f"interactions/{name}")) for name in hidden)


def test_a_champion_is_in_doubt_as_long_as_a_test_may_last(running: Bench) -> None:
    promoted_and_compared(running)
    settings = type(running.settings)(home=running.settings.home, trial_days=14)
    with running.store.read() as cursor:
        early = blind_to_people(cursor, "default", settings, START + timedelta(days=14))
        late = blind_to_people(cursor, "default", settings, START + timedelta(days=14, minutes=50))
    assert (early.compared, late.compared) == (("base", CHALLENGER), ())
