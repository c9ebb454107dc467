"""However many votes an interaction gets, so many count, the same ones in any order; the others are kept apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.events import Event
from contract.topics import TOPICS
from processor.ingest import known
from processor.ingest.ahead import Ahead
from processor.ingest.batch import Batch
from processor.ingest.runner import store_records
from processor.parts.folder import PartsFolder
from processor.steps import decode, limit
from processor.steps.limit import CONTENTS, EACH, PEOPLE
from processor.tables.digest import table_digests
from processor.tables.store import Store
from tests.processor.ingest.test_ahead import Pipeline, one_by_one, tables
from tests.processor.parts.test_parts import Log, Processor, digests
from tests.processor.privacy.forgotten import DAY, forget
from tests.processor.privacy.test_forget import TABLES, folded
from tests.processor.samples import START, event, event_id, interaction, pick, records

NO_TIME = -START.timestamp()
ON = {"interaction_id": "t1", "candidate_id": "a"}


def thumb(name: str, actor: str, at: float, value: str = "up", via: str = "public", **fields: Any) -> Event:
    return event("thumb", name, at=at, actor=actor, value=value, via=via, **ON | fields)


def made_up(count: int, start: float = 10) -> list[Event]:
    return [thumb(f"flood {n}", f"nobody-{n}", start + n) for n in range(count)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch)


def lower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few votes be many, for as many of them as a test can shuffle."""
    for name, value in {"CONTENTS": 6, "PEOPLE": 4, "EACH": 3, "DESCRIPTIONS": 2}.items():
        monkeypatch.setattr(limit, name, value)


def test_up_to_the_limit_all_count_and_none_is_kept_apart(put: Callable[..., None], rows: Callable[..., Any]) -> None:
    put(interaction("t1", {"a": "Yes."}), *made_up(CONTENTS - 1))
    assert rows("SELECT count(*) FROM feedback WHERE state = 'vote'") == [CONTENTS - 1]
    assert rows("SELECT count(*) FROM over_limit") == [0]


def test_of_more_the_votes_of_so_many_people_count_and_the_rest_are_kept_apart(
    put: Callable[..., None], rows: Callable[..., Any]
) -> None:
    put(interaction("t1", {"a": "Yes."}), *made_up(700))
    put(*made_up(50, start=2000), *made_up(800)[700:])
    assert rows("SELECT count(*) FROM feedback WHERE state = 'vote'") == [PEOPLE]
    assert rows("SELECT count(*) FROM unpaired") == [PEOPLE]
    assert rows("SELECT why, count(*) FROM over_limit GROUP BY 1") == [("votes", 300)]
    assert rows("SELECT count(*) FROM events SEMI JOIN over_limit USING (event_key)") == [0]
    assert rows("SELECT max(received_at) FROM events") < rows("SELECT min(received_at) FROM over_limit")


@pytest.mark.parametrize("known_by", [{"verified": True}, {"via": "secret"}, {"via": "console"}])
@pytest.mark.parametrize("first", [True, False])
def test_votes_of_made_up_people_do_not_push_out_one_that_is_known(
    put: Callable[..., None], rows: Callable[..., Any], known_by: dict[str, Any], first: bool
) -> None:
    flood = [interaction("t1", {"a": "Yes.", "b": "No."}), *made_up(700)]
    told = pick("t1", "ab", "b", "the rater's", at=5000, actor="rater", **{"via": "public"} | known_by)
    put(*([told] if first else flood))
    put(*(flood if first else [told]))
    put(*made_up(900)[700:])
    assert rows("SELECT state FROM feedback WHERE actor_id = 'rater'") == ["vote"]
    assert rows("SELECT chosen_candidate FROM pairs") == ["b"]
    assert rows("SELECT count(DISTINCT actor_id) FROM feedback") == [PEOPLE]


def test_who_counts_may_change_a_vote_and_take_it_back_when_there_are_too_many(
    put: Callable[..., None], rows: Callable[..., Any]
) -> None:
    put(interaction("t1", {"a": "Yes."}), thumb("v1", "ann", 1), thumb("v2", "bob", 2), *made_up(700))
    put(
        thumb("v3", "ann", 5000, "down"),
        event("retract", "r", at=5001, actor="bob", via="public", interaction_id="t1", target=event_id("v2")),
    )
    assert rows("SELECT state, value FROM feedback WHERE actor_id = 'ann' ORDER BY 1") == [
        ("superseded", "up"), ("vote", "down"),
    ]  # fmt: skip
    assert rows("SELECT state FROM feedback WHERE event_id = ?", event_id("v2")) == ["retracted"]


def test_imported_rows_that_name_nobody_are_by_as_many_people(
    put: Callable[..., None], rows: Callable[..., Any]
) -> None:
    put(interaction("t1", {"a": "Yes."}), *made_up(300))
    put(*[thumb(f"row {n}", "import", NO_TIME, received=9000 + n, via="import") for n in range(300)])
    assert rows("SELECT count(*) FROM feedback WHERE via = 'import' AND state = 'vote'") == [300]
    assert rows("SELECT count(*) FROM feedback WHERE state = 'vote'") == [PEOPLE]


def test_one_person_alone_cannot_make_an_interaction_long(put: Callable[..., None], rows: Callable[..., Any]) -> None:
    votes = [thumb(f"v{n}", "ann", n, "up" if n % 2 else "down") for n in range(CONTENTS + 1)]
    put(interaction("t1", {"a": "Yes."}), *votes)
    assert rows("SELECT count(*) FROM events WHERE type = 'thumb'") == [EACH]
    assert rows("SELECT value FROM feedback WHERE state = 'vote'") == ["down"]


def test_one_event_said_in_many_ways_and_an_interaction_told_in_many_ways_stay_short(
    put: Callable[..., None], rows: Callable[..., Any]
) -> None:
    put(*[thumb("same", "ann", 1, received=n, comment=f"version {n}") for n in range(CONTENTS + 200)])
    put(*[interaction("t1", {"a": f"Yes {n}."}, via="public", name=f"d{n}", at=n) for n in range(CONTENTS)])
    assert rows("SELECT kind, count(*) FROM conflicts GROUP BY 1 ORDER BY 1") == [("description", 7), ("event", 1)]
    assert rows("SELECT comment FROM feedback") == ["version 0"]
    assert rows("SELECT content FROM candidates") == ["Yes 0."]
    put(interaction("t1", {"a": "The gateway's."}))
    assert rows("SELECT content FROM candidates") == ["The gateway's."]


def crowd() -> list[Event]:
    """Everything that can meet where a limit of six contents holds, four people and two descriptions."""
    shown = {"messages": [{"role": "user", "content": "Where?"}], "candidates": [{"candidate_id": "a", "content": "X"}]}
    return [
        interaction("t1", {"a": "Yes.", "b": "No."}, at=30),
        *[interaction("t1", {"a": f"Yes {n}."}, via="public", name=f"d{n}", at=n) for n in range(3)],
        *[thumb(f"v{n}", f"p{n}", n) for n in range(6)],
        thumb("inline", "p9", 0.5, **shown),
        # Received again, earlier; as somebody else's; in other words.
        thumb("v5", "p5", 5, received=5.5),
        thumb("v4", "p7", 4, received=3.5),
        *[thumb("v2", "p2", 2, received=2.5 + n, comment=f"version {n}") for n in range(3)],
        # One who is not among the first, until known; one who says too much.
        *[thumb(f"late {n}", "p8", 20 + n, "down") for n in range(3)],
        pick("t1", "ab", "b", "known", at=24, actor="p8", via="public", verified=True),
        *[thumb(f"much {n}", "p1", 8 + n) for n in range(9)],
        # Imported: nobody knows when, nor of some by whom.
        *[thumb(f"row {n}", "import", NO_TIME, received=26 + n, via="import") for n in range(2)],
        *[thumb(f"his {n}", "p1", NO_TIME, received=10 + 3 * n, via="import") for n in range(4)],
        event("retract", "r", at=25, actor="p1", via="public", interaction_id="t1", target=event_id("much 8")),
        event("thumb", "elsewhere", at=3, actor="p0", value="up", interaction_id="t2", candidate_id="x"),
    ]


EXPECTED: dict[str, Any] = {}
SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


@given(data=st.data())
@settings(max_examples=25, **SLOW)  # type: ignore[arg-type]
def test_any_order_with_any_doubles_in_any_batches_counts_the_same(few: None, data: st.DataObject) -> None:
    if "crowd" not in EXPECTED:
        EXPECTED["crowd"] = folded([crowd()])
    assert folded(drawn(data, crowd())) == EXPECTED["crowd"]


def drawn(data: st.DataObject, told: list[Event]) -> list[list[Event]]:
    events = data.draw(st.permutations(told))
    events += data.draw(st.lists(st.sampled_from(told), max_size=8))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1), max_size=8)))
    return [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]


@given(data=st.data())
@settings(max_examples=25, **SLOW)  # type: ignore[arg-type]
def test_who_is_forgotten_makes_room_whatever_the_order(few: None, data: st.DataObject) -> None:
    """One of those who count, one of those who do not."""
    told = [*crowd(), forget("p1", DAY), forget("p5", DAY, name="the other")]
    if "forgotten" not in EXPECTED:
        EXPECTED["forgotten"] = folded([told])
    found = folded(drawn(data, told))
    assert {name: found[name] for name in TABLES if name != "facts"} == {
        name: EXPECTED["forgotten"][name] for name in TABLES if name != "facts"
    }


@given(data=st.data())
@settings(max_examples=8, **SLOW)  # type: ignore[arg-type]
def test_rows_made_ahead_are_those_made_in_turn(few: None, data: st.DataObject) -> None:
    batches, start = [], 0
    for batch in drawn(data, crowd()):
        batches.append(records(batch, start))
        start += len(batch)
    assert tables(batches, Pipeline(3)) == tables(batches, one_by_one)


def test_a_vote_costs_what_counts_however_many_do_not(
    store: Store, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(interaction("t1", {"a": "Yes."}), *made_up(3000))
    looked_at: list[int] = []
    make = limit._counted
    monkeypatch.setattr(limit, "_counted", lambda events: looked_at.append(len(events)) or make(events))
    # New, sent again, of a person who does not count, of one who does.
    put(thumb("new", "eve", 9000), made_up(3000)[2000], thumb("x", "nobody-2500", 9001), thumb("y", "nobody-3", 9002))
    assert looked_at and max(looked_at) < PEOPLE + 10


def test_what_is_over_the_limit_is_looked_at_only_where_there_is_some(
    put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(interaction("t1", {"a": "Yes."}), *made_up(700))
    monkeypatch.setattr(known, "load_over", lambda *_: None)
    put(interaction("t2", {"a": "Yes."}))


def test_the_next_batch_is_not_prepared_while_the_limit_of_its_interaction_is_being_written(tmp_path: Path) -> None:
    flood = [records(made_up(900)[start : start + 300], start) for start in (0, 300, 600)]
    beside = records([interaction("t2", {"a": "Yes."})], 900)
    with Store.open(tmp_path / "t.duckdb") as store:
        store.claim("test", {(topic, 0): 0 for topic in TOPICS})
        ahead = Ahead(store)
        batches = [ahead.prepare(decode(batch)) for batch in (flood[0], flood[1])]
        assert all(batch.made for batch in batches)
        waiting = ahead.prepare(decode(flood[2]))
        assert waiting.made is None
        for batch, found in zip([*batches, waiting], flood, strict=True):
            write(store, ahead, batch, found)
        assert ahead.prepare(decode(beside)).made is not None


def write(store: Store, ahead: Ahead, batch: Batch, found: Sequence[Any]) -> None:
    ahead.written(batch, store_records(store, found, batch if batch.made else None))


def test_what_is_over_the_limit_travels_to_other_processors_and_is_forgotten_there(tmp_path: Path) -> None:
    log, folder = Log(), PartsFolder(str(tmp_path / "parts"))
    with Store.open(tmp_path / "one.duckdb") as first, Store.open(tmp_path / "two.duckdb") as second:
        one, two = Processor(first, folder, "one"), Processor(second, folder, "two")
        one.own(0, 1, 2)
        two.own()
        log.add(interaction("t1", {"a": "Yes."}), *made_up(700))
        one.read(log.records)
        one.exchange()
        two.exchange()
        assert table_digests(second)["over_limit"] == table_digests(first)["over_limit"]
        # Of those who count, and of those who do not.
        log.add(forget("nobody-3", DAY), forget("nobody-699", DAY, name="the other"), *made_up(701)[700:])
        for processor in (one, two):
            processor.read(log.records)
            processor.exchange()
        two.exchange()
        with second.read() as cursor:
            left = cursor.execute("SELECT count(*), max(actor_id) FROM over_limit").fetchone()
        assert left == (199, "nobody-700")
        alone = digests(log.records, tmp_path / "alone.duckdb")
        assert {name: found for name, found in table_digests(second).items() if name != "offsets"} == {
            name: found for name, found in alone.items() if name != "offsets"
        }


def test_a_shuffled_log_of_thousands_gives_the_same_tables() -> None:
    votes = [
        interaction("t1", {"a": "Yes."}),
        *made_up(1500),
        *[thumb(f"k{n}", f"k{n}", n, verified=True) for n in range(9)],
    ]
    shuffled = random.Random(7).sample(votes, len(votes))
    assert folded([votes[:700], votes[700:]]) == folded([shuffled[:400], shuffled[400:900], shuffled[900:]])
