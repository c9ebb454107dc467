"""The work API: next item, drafts, submissions, skips; nothing is asked twice of a person, and nothing is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from control_store import key_store
from processor.queries.tasks import find_item, get_task
from tests.console import labelling
from tests.console.bench import PASSWORD, Bench
from tests.console.labelling import KINDS, MODEL, TASK, Annotator, tell

LONG = timedelta(hours=2)


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(key_store, "now", lambda: datetime.now(UTC).replace(tzinfo=None) + by)


def answers(bench: Bench) -> list[tuple[Any, ...]]:
    bench.catch_up()
    with bench.store.read() as cursor:
        return cursor.execute(
            "SELECT interaction_id, unit, label, value, actor_id, actor_kind, state, slot FROM answers ORDER BY ALL"
        ).fetchall()


def state(bench: Bench, interaction_id: str, unit: str = "") -> Any:
    bench.catch_up()
    with bench.store.read() as cursor:
        return find_item(cursor, "default", get_task(cursor, "default", TASK), (interaction_id, unit)).state


def test_two_people_answer_each_item_and_nobody_twice(bench: Bench) -> None:
    tell(bench)
    for name in ("ann", "bob", "cyd"):
        person, seen = Annotator(bench, name), []
        while item := person.next():
            seen.append(item["interaction_id"])
            assert person.submit(item)["state"] == "done"
        assert seen == ([] if name == "cyd" else ["i-0", "i-1", "i-2"]), name
    found = answers(bench)
    assert len(found) == 6 and {(row[4], row[5]) for row in found} == {("ann", "agent"), ("bob", "agent")}
    assert {state(bench, f"i-{n}").state for n in range(3)} == {"settled"}
    assert Annotator(bench, "cyd").next() is None, "also when the tables know"


def test_nothing_in_an_item_says_who_wrote_the_replies(bench: Bench) -> None:
    tell(bench, labels=KINDS)
    item = Annotator(bench, "ann").next()
    text = json.dumps(item)
    assert MODEL not in text and "model" not in text and "sampling" not in text
    assert {one["candidate_id"] for one in item["candidates"]} == {"i-0-c0", "i-0-c1"}
    assert [one["path"] for one in item["questions"]] == [path for path in KINDS if path != "fix"]
    again = Annotator(bench, "ann").next()
    assert again["candidates"] == item["candidates"] and again["token"] == item["token"], "a reload changes nothing"


def test_the_order_of_replies_is_a_persons_own(bench: Bench) -> None:
    tell(bench, count=12)
    orders: dict[str, list[str]] = {}
    for name in ("ann", "bob"):
        person = Annotator(bench, name)
        while item := person.next():
            orders.setdefault(name, []).append(item["candidates"][0]["candidate_id"][-2:])
            person.submit(item)
    assert set(orders["ann"]) == set(orders["bob"]) == {"c0", "c1"} and orders["ann"] != orders["bob"]


def test_the_next_item_is_loaded_ahead_and_then_held(bench: Bench) -> None:
    tell(bench)
    ann = Annotator(bench, "ann")
    first = ann.next()
    ahead = ann.next(first["token"])
    assert (first["ahead"], ahead["ahead"]) == (False, True) and ahead["interaction_id"] == "i-1"
    assert ann.next(first["token"], ahead["token"])["interaction_id"] == "i-2"
    ann.submit(first)
    assert ann.post("renew", token=ahead["token"])["held"]
    assert ann.next()["token"] == ahead["token"]


def test_a_late_answer_is_kept_as_extra_and_its_draft_opens_elsewhere(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(bench, count=1, stages=[{"k": 1, "lease_s": 60}])
    ann, bob = Annotator(bench, "ann"), Annotator(bench, "bob")
    item = ann.next()
    draft = {"answers": {"tone": "rude"}, "comment": "四百字 " * 130}
    assert ann.post("draft", token=item["token"], draft=draft)["held"]
    assert ann.next()["draft"] == draft, "another machine of the same person"
    assert bob.next() is None
    later(monkeypatch, LONG)
    bob.submit(bob.next())
    monkeypatch.undo()
    assert not ann.post("draft", token=item["token"], draft=draft)["held"], "kept, though the slot is another's"
    late = ann.submit(item, answers={"tone": "rude"})
    assert (late["state"], late["slot"]) == ("late", 1)
    found = state(bench, "i-0")
    assert (found.state, found.counted, len(found.people), found.extra) == ("settled", 1, 2, ("ann",))


def test_the_same_sent_twice_is_one_event_and_a_change_replaces_it(bench: Bench) -> None:
    tell(bench, count=1)
    ann = Annotator(bench, "ann")
    item = ann.next()
    first, again = ann.submit(item), ann.submit(item)
    assert first["event_id"] == again["event_id"] and again["repeated"]
    changed = ann.submit(item, answers={"tone": "flat"})
    assert changed["event_id"] != first["event_id"]
    assert {(row[3], row[6]) for row in answers(bench)} == {('"polite"', "superseded"), ('"flat"', "vote")}
    assert state(bench, "i-0").people == ("ann",)


def test_a_person_who_rates_four_replies_on_three_labels_has_twelve_answers(bench: Bench) -> None:
    labels = tuple(labelling.label(path, "rating", 9, scope="candidate", min=1, max=5) for path in ("a", "b", "c"))
    bench.put(*labels)
    tell(bench, count=0, labels=("a", "b", "c"), unit="candidate", stages=[{"k": 1}])
    bench.put(*labelling.interactions(1, 4), *[
        one for m in range(4) for one in labelling.items(1, at=4 + m, unit=f"i-{{n}}-c{m}")
    ])  # fmt: skip
    ann, done = Annotator(bench, "ann"), []
    while item := ann.next():
        assert [one["candidate_id"] for one in item["candidates"]] == [item["unit"]]
        ann.submit(item, answers={"a": 1, "b": 2, "c": 3})
        done.append(item)
    ann.submit(done[0], answers={"a": 5, "b": 2, "c": 3})
    found = answers(bench)
    assert len(done) == 4 and len([row for row in found if row[6] == "vote"]) == 12
    assert sorted(row[3] for row in found if row[6] == "superseded") == ["1", "2", "3"]


def test_skipped_goes_to_another_put_off_comes_last_and_undo_brings_back(bench: Bench) -> None:
    tell(bench, count=3, stages=[{"k": 1}])
    ann = Annotator(bench, "ann")
    first = ann.next()
    assert ann.post("postpone", token=first["token"])["postponed"]
    second = ann.next()
    assert second["interaction_id"] == "i-1"
    ann.post("skip", token=second["token"], reason="I do not speak this")
    assert Annotator(bench, "bob").next()["interaction_id"] == "i-0"
    third = ann.next()
    assert third["interaction_id"] == "i-2"
    ann.submit(third)
    back = ann.post("undo", draft={"answers": {"tone": "polite"}})
    assert back["item"]["interaction_id"] == "i-2" and back["item"]["draft"] == {"answers": {"tone": "polite"}}
    assert [row[6] for row in answers(bench) if row[0] == "i-2"] == ["retracted"]
    ann.submit(back["item"])
    assert [row[6] for row in answers(bench) if row[0] == "i-2"] == ["retracted", "vote"]
    undone = ann.post("undo", token=second["token"])
    assert undone["item"]["interaction_id"] == "i-1" and ann.submit(undone["item"])["state"] == "done"


def test_what_was_put_off_comes_when_nothing_else_is_left(bench: Bench) -> None:
    tell(bench, count=2)
    ann = Annotator(bench, "ann")
    ann.post("postpone", token=ann.next()["token"])
    ann.submit(ann.next())
    assert ann.next()["interaction_id"] == "i-0"


def test_a_store_that_was_lost_loses_places_and_no_answer(bench: Bench) -> None:
    tell(bench, count=1, stages=[{"k": 1}])
    ann, bob = Annotator(bench, "ann"), Annotator(bench, "bob")
    item = ann.next()
    with bench.control.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM leases")
    ref = {name: item[name] for name in ("interaction_id", "unit", "stage", "round")}
    ann.post("submit", 404, token=item["token"], answers={"tone": "polite"})
    told = ann.submit(item, item=ref)
    assert ann.submit(item, item=ref)["event_id"] == told["event_id"]
    assert len(answers(bench)) == 1
    with bench.control.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM leases")
    assert bob.next() is None and ann.next() is None, "the tables know who answered"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"answers": {"tone": "loud"}}, "invalid_answer"),
        ({"answers": {"better": {"outcome": "tie"}}}, "answer_missing"),
        ({"answers": {"tone": "rude", "unknown": 1}}, "invalid_answer"), ({"answers": [1]}, "invalid_json"),
        ({"answers": {"tone": "rude", "better": {"outcome": "chosen", "chosen": "i-9-c9"}}}, "invalid_answer"),
        ({"answers": {"tone": "rude"}, "comment": "x" * 5000}, "invalid_comment"),
        ({"answers": {"tone": "rude"}, "token": 7}, "no_token"),
        ({"answers": {"tone": "rude"}, "token": "x"}, "unknown_lease"),
        ({"answers": {"tone": "rude"}, "as": "nobody"}, "unknown_user"),
        ({"answers": {"tone": "rude"}, "as": "vic"}, "unknown_user"),
        ({"answers": {"tone": "rude"}, "as": None}, "no_person"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_the_draft_stays(bench: Bench, body: dict[str, Any], code: str) -> None:
    tell(bench, count=1)
    ann = Annotator(bench, "ann")
    item = ann.next()
    ann.post("draft", token=item["token"], draft={"answers": {"tone": "rude"}})
    answer = bench.app.test_client().post(
        f"/api/v1/tasks/{TASK}/submit", json={"as": "ann", "token": item["token"], **body},
        headers={"Authorization": f"Bearer {bench.secret}"},
    )  # fmt: skip
    assert 400 <= answer.status_code < 500
    assert answer.get_json()["error"]["code"] == code and answer.get_json()["error"]["hint"]
    assert answers(bench) == [] and ann.next()["draft"] == {"answers": {"tone": "rude"}}


def test_a_task_asks_people_of_its_tier(bench: Bench) -> None:
    tell(bench, count=1, stages=[{"tier": "expert"}])
    assert bench.get("work?as=ann") == {"items": [], "next": None}
    Annotator(bench, "ann").post("next", 403)
    bench.control.set_tier("ann", "expert")
    (told,) = bench.get("work?as=ann")["items"]
    assert (told["task_id"], told["title"], told["waiting"]) == (TASK, {"en": f"Task {TASK}", "zh": "判断语气"}, True)
    ann = Annotator(bench, "ann")
    ann.submit(ann.next())
    assert [row[5] for row in answers(bench)] == ["expert"]


def test_a_paused_task_gives_nothing_out(bench: Bench) -> None:
    tell(bench, count=1)
    bench.put(labelling.fact("pause", 5, {"type": "task.state", "task_id": TASK, "state": "paused"}))
    told = Annotator(bench, "ann").post("next")
    assert (told["item"], told["state"]) == (None, "paused")


def test_who_is_forgotten_leaves_no_draft(bench: Bench) -> None:
    tell(bench, count=2)
    ann = Annotator(bench, "ann")
    ann.submit(ann.next())
    item = ann.next()
    ann.post("draft", token=item["token"], draft={"answers": {"tone": "rude"}})
    bench.catch_up()
    key = {"Authorization": f"Bearer {bench.secret}"}
    answer = bench.app.test_client().post("/api/v1/forget", json={"actor": "ann"}, headers=key)
    assert answer.status_code == 202
    with bench.control.engine.connect() as connection:
        for table in ("drafts", "leases"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0, table


# -- guests


def link(bench: Bench, **body: Any) -> Any:
    answer = bench.app.test_client().post(
        f"/api/v1/tasks/{TASK}/guests", json=body, headers={"Authorization": f"Bearer {bench.secret}"}
    )
    return answer


def guest(bench: Bench, url: str) -> FlaskClient:
    client = bench.app.test_client()
    answer = client.get(url.removeprefix("http://localhost"))
    assert answer.status_code == 303 and answer.location == f"/label/{TASK}"
    return client


def token_of(page: str) -> str:
    found = re.search(r'data-csrf="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_guest_answers_one_task_under_a_pseudonym_and_opens_nothing_else(bench: Bench) -> None:
    tell(bench, count=1, stages=[{"tier": "crowd"}])
    bench.put(labelling.task("other", 6, stages=[{"tier": "crowd"}]), *labelling.items(1, "other", 7))
    made = link(bench).get_json()["items"][0]
    client = guest(bench, made["url"])
    page = client.get(f"/label/{TASK}")
    assert page.status_code == 200 and "default" not in re.sub(r"data-bench=\"[^\"]*\"", "", page.text)
    headers = {"X-CSRF-Token": token_of(page.text)}
    item = client.post(f"/api/v1/tasks/{TASK}/next", json={}, headers=headers).get_json()["item"]
    assert client.post(f"/api/v1/tasks/{TASK}/next", json={}).status_code == 403, "without the page's token"
    answer = client.post(
        f"/api/v1/tasks/{TASK}/submit", json={"token": item["token"], "answers": {"tone": "rude"}}, headers=headers
    )
    assert answer.status_code == 200
    assert [(row[4], row[5]) for row in answers(bench)] == [(made["person"], "crowd")]
    assert client.get("/label").location == f"/label/{TASK}"
    assert client.post("/api/v1/tasks/other/next", json={}, headers=headers).status_code == 403
    for address in ("/", "/interactions", "/datasets", "/label/other", "/api/v1/overview", "/api/v1/projects"):
        assert client.get(address).status_code == 403, address
    assert client.post("/login", data={"name": "ann", "password": "wrong"}).status_code == 401
    revoked = bench.app.test_client().post(
        f"/api/v1/guests/{made['link_id']}/revoke", headers={"Authorization": f"Bearer {bench.secret}"}
    )
    assert revoked.get_json()["state"] == "revoked"
    assert client.get(f"/label/{TASK}").status_code == 302, "to the login"
    assert bench.app.test_client().get(made["url"].removeprefix("http://localhost")).status_code == 410


@pytest.mark.parametrize("body", [{"days": 0}, {"days": 400}, {"count": 0}, {"count": "many"}])
def test_links_that_cannot_be_made_are_refused(bench: Bench, body: dict[str, Any]) -> None:
    tell(bench, count=1, stages=[{"tier": "crowd"}])
    assert link(bench, **body).status_code == 400
    assert link(bench).status_code == 201


def test_a_task_that_asks_nobody_of_the_crowd_has_no_links(bench: Bench) -> None:
    tell(bench, count=1)
    assert link(bench).get_json()["error"]["code"] == "no_crowd"


def test_a_manager_makes_and_revokes_links_on_their_page(bench: Bench, login: Callable[..., FlaskClient]) -> None:
    tell(bench, count=1, stages=[{"tier": "crowd"}])
    bench.control.create_user("mia", PASSWORD, "manager")
    client = login("mia")
    page = client.get(f"/tasks/{TASK}/guests")
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert csrf
    made = client.post(f"/tasks/{TASK}/guests", data={"csrf": csrf[1], "days": "2", "count": "2"}).text
    found = re.findall(r"/guest/[\w-]+", made)
    assert len(found) == 2 and "shown only once" in made
    assert "/guest/" not in client.get(f"/tasks/{TASK}/guests").text
    assert client.post(f"/tasks/{TASK}/guests", data={"csrf": csrf[1], "days": "x"}).status_code == 400
    action = re.search(rf"/tasks/{TASK}/guests/[0-9a-f]+/revoke", made)
    assert action and client.post(action[0], data={"csrf": csrf[1]}).status_code == 303
    assert bench.app.test_client().get(found[0]).status_code == 410
    assert login("rei").get(f"/tasks/{TASK}/guests").status_code == 403
