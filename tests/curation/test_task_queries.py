"""Tasks over real tables: their items with where these stand, and what a person may answer next."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contract.errors import ThumbwheelError
from contract.events import decode_event, stamp
from contract.forgetting import actor_digest
from processor.curation.tasks import Task
from processor.queries.curation.book import Books
from processor.queries.curation.evidence import first_answers
from processor.queries.reading import NotFound
from processor.queries.tasks import find_item, get_task, list_items, list_tasks, progress, stuck_items, work_for
from processor.tables.store import Store
from tests.processor.samples import event, event_id, interaction, moment, pick

Put = Callable[..., None]


def task(name: str = "t", *, version: int = 1, at: float = 0, **fields: Any) -> Any:
    fields.setdefault("stages", [{"k": 2}])
    return event("definition.task", f"{name} {version} {at}", at=at, actor="lead", task_id=name, version=version,
                 labels=["tone"], **fields)  # fmt: skip


def items(*refs: str, name: str = "t", at: float = 1) -> Any:
    found = [{"interaction_id": ref.partition("/")[0], "unit": ref.partition("/")[2]} for ref in refs]
    return event("task.items", f"items of {name} {refs}", at=at, actor="lead", task_id=name, items=found)


def said(who: str, ref: str, value: Any = "a", *, at: float = 10, name: str = "t", **fields: Any) -> Any:
    fields.setdefault("answers", {"tone": value})
    fields.setdefault("actor_kind", "agent")
    number = fields.get("round", 0)
    return event("annotation", f"{who} {ref} {at} {number}", at=at, actor=who, via="console", task_id=name,
                 interaction_id=ref.partition("/")[0], unit=ref.partition("/")[2], **fields)  # fmt: skip


def three(put: Put, *more: Any, **fields: Any) -> None:
    put(*(interaction(f"i-{n}", {"a": "Yes.", "b": "No."}) for n in (1, 2, 3)), task(**fields),
        items("i-1", "i-2", "i-3"), *more)  # fmt: skip


def label(path: str, kind: str, *, at: float = 0, **fields: Any) -> Any:
    body = {"type": "definition.label", "event_id": event_id(f"label {path} {at}"), "actor": {"id": "lead"},
            "occurred_at": moment(at).isoformat(), "path": path, "kind": kind}  # fmt: skip
    return stamp(decode_event(body | fields), project="default", key_id="k", via="console", received_at=moment(at))


class Asked:
    """Questions to the tables through one set of books, as the console asks them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.books = Books()

    def task(self) -> Task:
        with self.store.read() as cursor:
            return get_task(cursor, "default", "t")

    def next(self, person: str, tier: str = "agent", exclude: tuple[tuple[str, str], ...] = ()) -> list[str]:
        with self.store.read() as cursor:
            found = work_for(cursor, "default", self.task(), person, tier, exclude, self.books, 10)
        return [item.interaction_id for item in found]

    def states(self, books: Books | None = None) -> dict[str, tuple[str, int]]:
        with self.store.read() as cursor:
            page = list_items(cursor, "default", self.task(), books=books or self.books, limit=500)
        return {f"{one['interaction_id']}/{one['unit']}".rstrip("/"): (one["state"], one["counted"])
                for one in page.items}  # fmt: skip


@pytest.fixture
def asked(store: Store) -> Asked:
    return Asked(store)


def test_the_highest_version_of_a_task_counts_and_the_latest_state(store: Store, put: Put) -> None:
    put(
        task(version=2, at=5, title="Two"), task(version=1, at=9, title="One"), task("other", at=1),
        event("task.state", "closed", at=8, task_id="t", state="closed"),
        event("task.state", "paused", at=7, task_id="t", state="paused"),
    )  # fmt: skip
    with store.read() as cursor:
        assert [one.task_id for one in list_tasks(cursor, "default")] == ["t", "other"]
        found = get_task(cursor, "default", "t")
        assert (found.version, found.title.en, found.state) == (2, "Two", "closed")
        with pytest.raises(NotFound) as wrong:
            get_task(cursor, "default", "nothing")
        assert wrong.value.hint and list_tasks(cursor, "another") == []


def test_a_person_gets_what_they_have_not_answered_and_what_still_needs_answers(put: Put, asked: Asked) -> None:
    three(put)
    assert asked.next("ann") == ["i-1", "i-2", "i-3"]
    put(said("ann", "i-1"))
    assert asked.next("ann") == ["i-2", "i-3"] and asked.next("bob") == ["i-1", "i-2", "i-3"]
    put(said("bob", "i-1", at=11), said("cy", "i-2", at=12, answers={}, skipped="unclear"))
    assert asked.next("cy") == ["i-3"] and asked.next("dee") == ["i-2", "i-3"]
    assert asked.next("dee", exclude=(("i-2", ""),)) == ["i-3"]
    assert asked.states() == {"i-1": ("settled", 2), "i-2": ("open", 0), "i-3": ("open", 0)}


def test_a_tier_below_the_stage_gets_nothing_and_named_people_only_theirs(put: Put, asked: Asked) -> None:
    three(put, stages=[{"k": 1, "tier": "expert"}])
    assert asked.next("ann", "agent") == [] and len(asked.next("eve", "expert")) == 3
    put(task(version=2, at=3, stages=[{"assignment": "round_robin", "people": ["ann", "bob"]}]))
    assert asked.next("ann") == ["i-1", "i-3"] and asked.next("bob") == ["i-2"]
    put(task(version=3, at=3, stages=[{"assignment": "named", "people": ["ann"]}]))
    assert asked.next("bob") == [] and len(asked.next("ann")) == 3


def test_a_paused_task_gives_no_work_and_an_item_whose_interaction_is_not_here_waits(put: Put, asked: Asked) -> None:
    put(task(), items("i-1", "gone"), interaction("i-1", {"a": "Yes."}))
    assert asked.next("ann") == ["i-1"]
    put(event("task.state", "pause", at=20, task_id="t", state="paused"))
    assert asked.next("ann") == []


def test_an_item_is_in_a_task_once_however_often_it_is_added(put: Put, asked: Asked) -> None:
    three(put, items("i-2", "i-1", at=5), items("i-1/a", at=6))
    assert list(asked.states()) == ["i-1", "i-2", "i-3", "i-1/a"]


def test_the_books_follow_what_is_taken_back_forgotten_and_changed(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-1"), said("bob", "i-1", at=11), said("bob", "i-2", at=12))
    assert asked.states()["i-1"] == ("settled", 2)
    put(event("retract", "undo", at=20, actor="ann", interaction_id="i-1", target=event_id("ann i-1 10 0")))
    assert asked.states()["i-1"] == ("open", 1)
    put(event("forget", "forget bob", at=30, actor="admin", actor_digest=actor_digest("default", "bob"),
              before="2026-03-01T12:01:00Z"))  # fmt: skip
    assert asked.states() == {"i-1": ("open", 0), "i-2": ("open", 0), "i-3": ("open", 0)}
    assert asked.states() == asked.states(Books())


def test_who_changes_an_answer_keeps_the_place_among_those_who_answered(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-1"), said("bob", "i-1", at=11), said("late", "i-1", at=12))
    put(said("ann", "i-1", "b", at=20))
    with asked.store.read() as cursor:
        state = find_item(cursor, "default", asked.task(), ("i-1", ""), asked.books).state
    assert state.people == ("ann", "bob", "late") and state.extra == ("late",)
    assert state.values == {"tone": '"a"'} and state.agreement == pytest.approx(1 / 3)


def test_a_reviewer_of_an_item_is_not_asked_to_answer_it_and_a_rejection_opens_it_again(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-1"), said("bob", "i-1", at=11), stages=[{"k": 2}, {"kind": "review"}])
    assert asked.states()["i-1"] == ("in_review", 2)
    put(event("review", "no", at=30, actor="rae", actor_kind="expert", via="console", interaction_id="i-1",
              task_id="t", stage=1, verdict="reject", return_to="other"))  # fmt: skip
    assert asked.states()["i-1"] == ("returned", 0)
    assert "i-1" not in asked.next("rae") + asked.next("ann") and "i-1" in asked.next("cy")


def test_a_label_that_moved_is_one_label_and_own_words_are_no_disagreement(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-1", answers={"tone": "a", "why": "x"}),
          said("bob", "i-1", at=11, answers={"style": "a", "why": "y"}),
          label("why", "text"))  # fmt: skip
    put(label("tone", "choice", at=15, version=2, moved_to="style"))
    with asked.store.read() as cursor:
        state = find_item(cursor, "default", asked.task(), ("i-1", ""), asked.books).state
    assert state.values == {"style": '"a"', "why": None} and state.agreement == 1.0


def test_two_who_prefer_the_same_reply_agree_however_strongly(put: Put, asked: Asked) -> None:
    three(put, *(said(who, "i-1", at=10 + strength, answers={},
                      preference={"outcome": "chosen", "chosen": "a", "strength": strength})
                 for strength, who in ((1, "ann"), (3, "bob"))))  # fmt: skip
    with asked.store.read() as cursor:
        state = find_item(cursor, "default", asked.task(), ("i-1", ""), asked.books).state
    assert state.agreement == 1.0 and json.loads(state.values["@preference"] or "") == {
        "outcome": "chosen", "chosen": "a",
    }  # fmt: skip


def test_live_picks_and_thumbs_are_first_answers_and_count_where_users_are_asked(put: Put, asked: Asked) -> None:
    live = (pick("i-1", ["a", "b"], "a", at=2, actor="u1"),
            event("thumb", "up", at=3, actor="u2", interaction_id="i-1", candidate_id="b", value="up"))  # fmt: skip
    three(put, *live)
    with asked.store.read() as cursor:
        first = first_answers(cursor, "default", "i-1")
    assert [(one.label, one.actor_id, one.actor_kind) for one in first[""]] == [("@preference", "u1", "user")]
    assert [(one.label, one.value) for one in first["b"]] == [("@thumb", '"up"')]
    assert asked.states()["i-1"] == ("open", 0)
    put(task(version=2, at=4, stages=[{"tier": "user", "k": 1}]), items("i-1/b", at=5))
    assert asked.states()["i-1"] == ("settled", 1) and asked.states()["i-1/b"] == ("settled", 1)
    put(event("retract", "taken back", at=6, actor="u2", interaction_id="i-1", target=event_id("up")))
    assert asked.states()["i-1/b"] == ("open", 0)


def test_progress_counts_items_people_and_labels_and_names_what_is_stuck(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-1"), said("bob", "i-1", "b", at=11), said("ann", "i-2", at=12),
          stages=[{"k": 2, "agree": 0.9, "assignment": "named", "people": ["ann", "bob", "cy"]}])  # fmt: skip
    with asked.store.read() as cursor:
        counts = progress(cursor, "default", asked.task(), asked.books)
        stuck = stuck_items(cursor, "default", asked.task(), asked.books)
    assert counts.items == 3 and counts.states == {"disputed": 1, "open": 2}
    assert counts.people == {"ann": {"counted": 2}, "bob": {"counted": 1}}
    assert counts.labels == {"tone": {"answered": 1, "undecided": 1}}
    assert [(one.interaction_id, one.state.why) for one in stuck] == [("i-1", "below_agreement")]


def test_items_are_read_by_pages_and_by_state(put: Put, asked: Asked) -> None:
    three(put, said("ann", "i-2"), said("bob", "i-2", at=11))
    with asked.store.read() as cursor:
        seen, after = [], None
        while True:
            page = list_items(cursor, "default", asked.task(), after=after, limit=2, books=asked.books)
            seen += [one["interaction_id"] for one in page.items]
            if (after := page.next) is None:
                break
        assert seen == ["i-1", "i-2", "i-3"]
        open_ones = list_items(cursor, "default", asked.task(), state="open", limit=1, books=asked.books)
        assert [one["interaction_id"] for one in open_ones.items] == ["i-1"] and open_ones.next
        for wrong in ({"state": "lost"}, {"after": "@@"}, {"after": "YWJj"}):
            with pytest.raises(ThumbwheelError) as refused:
                list_items(cursor, "default", asked.task(), **wrong, books=asked.books)
            assert refused.value.hint
        with pytest.raises(NotFound):
            find_item(cursor, "default", asked.task(), ("i-9", ""), asked.books)


def test_random_order_is_the_same_for_everybody_and_disagreement_comes_first(put: Put, asked: Asked) -> None:
    names = [f"i-{n}" for n in range(30)]
    put(*(interaction(name, {"a": "Yes."}) for name in names), task(order="random"), items(*names))
    drawn = asked.next("ann")
    assert drawn == asked.next("bob") and drawn != names[:10]
    put(task(version=2, at=3, order="disagreement", stages=[{"k": 2, "extra": 1, "agree": 0.9}]),
        said("x", "i-7"), said("y", "i-7", "b", at=11))  # fmt: skip
    assert asked.next("ann")[:2] == ["i-7", "i-0"]


def test_a_spot_check_of_several_parts_returns_its_items(put: Put, asked: Asked) -> None:
    three(put, *(said("ann", f"i-{n}", at=10 + n) for n in (1, 2, 3)), stages=[{"k": 1}, {"kind": "batch"}])
    refs = [[{"interaction_id": f"i-{n}"}] for n in (1, 2)]
    put(*(event("batch.drawn", f"drawn {part}", at=20 + part, task_id="t", batch_id="b", stage=1, population=one,
                sample=one if part == 0 else [], part=part) for part, one in enumerate(refs)))  # fmt: skip
    assert asked.states() == dict.fromkeys(("i-1", "i-2", "i-3"), ("in_batch", 1))
    put(event("batch.verdict", "no", at=30, task_id="t", batch_id="b", verdict="reject", scope="all"))
    assert asked.states() == {"i-1": ("returned", 0), "i-2": ("returned", 0), "i-3": ("in_batch", 1)}
    put(event("batch.verdict", "yes", at=31, task_id="t", batch_id="b", verdict="accept"))
    assert asked.states()["i-2"] == ("settled", 1)
