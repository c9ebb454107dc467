"""Campaigns in the console, over the data API, at the collector's door, and counted from stored votes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from contract.events import decode_event, stamp
from contract.ids import uuid7
from control_store.campaigns import Campaigns
from processor.campaign_answers import AnswerCounter
from tests.console.bench import Bench

Login = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]


def call(bench: Bench, method: str, address: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    return bench.app.test_client().open(f"/api/v1/{address}", method=method, headers=headers, json=body)


def voted(campaign: str, actor: str, **changes: Any) -> Any:
    body = {
        "type": "thumb", "event_id": str(uuid7()), "occurred_at": datetime.now(UTC).isoformat(), "actor": {"id": actor},
        "interaction_id": f"i-{actor}", "candidate_id": "c-1", "value": "up", "campaign": campaign,
    } | changes  # fmt: skip
    body = {name: value for name, value in body.items() if value is not ...}
    return stamp(decode_event(body), project="default", key_id="k", via="public")


def test_a_campaign_made_in_the_form_is_listed_and_can_be_changed_and_paused(
    bench: Bench, login: Login, csrf: Csrf
) -> None:
    client = login()
    form = {
        "csrf": csrf(client), "name": "Late refunds", "surface": "choice", "label": "refund/late", "rate": "12.5",
        "quota": "300", "cooldown_h": "1.5", "starts": "2026-01-01", "ends": "2126-01-01", "active": "1",
    }  # fmt: skip
    assert client.post("/campaigns", data=form).status_code == 303
    (made,) = bench.get("campaigns")["items"]
    wanted = {
        "name": "Late refunds", "surface": "choice", "label": "refund/late", "scenario": None, "rate": 0.125,
        "quota": 300, "cooldown_s": 5400, "active": True, "state": "open", "answers": 0, "changed_by": "ada",
    }  # fmt: skip
    assert {name: made[name] for name in wanted} == wanted
    page = client.get(f"/campaigns/{made['campaign_id']}").get_data(as_text=True)
    assert 'value="12.5"' in page and 'value="1.5"' in page and 'value="2126-01-01"' in page
    changed = form | {"name": "Late & lost", "quota": ""}
    assert client.post(f"/campaigns/{made['campaign_id']}", data=changed).status_code == 303
    assert (
        client.post(f"/campaigns/{made['campaign_id']}", data={"csrf": form["csrf"], "switch": "1"}).status_code == 303
    )
    (now,) = bench.get("campaigns")["items"]
    assert (now["name"], now["quota"], now["state"]) == ("Late & lost", None, "paused")
    listed = client.get("/campaigns").get_data(as_text=True)
    assert "Late &amp; lost" in listed and "Resume" in listed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"), ({"rate": 1.5}, "rate"), ({"rate": float("nan")}, "rate"), ({"quota": 0}, "quota"),
        ({"quota": 2.5}, "quota"), ({"surface": "email"}, "surface"), ({"cooldown_s": -1}, "cooldown_s"),
        ({"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2026-02-01T00:00:00"}, "starts_at"), ({"colour": "red"}, None),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused_by_name(bench: Bench, changes: Any, field: str | None) -> None:
    answer = call(bench, "POST", "campaigns", {"name": "n", "surface": "chat"} | changes)
    assert answer.status_code == 400
    error = answer.get_json()["error"]
    assert (error["code"], error.get("field")) == ("invalid_campaign", field)
    assert bench.get("campaigns")["items"] == []


@pytest.mark.parametrize("body", [None, [], "x", 7])
def test_a_body_that_is_no_object_is_refused(bench: Bench, body: Any) -> None:
    assert call(bench, "POST", "campaigns", body).get_json()["error"]["code"] == "invalid_campaign"


def test_what_the_form_got_wrong_is_said_beside_it_and_nothing_typed_is_lost(
    bench: Bench, login: Login, csrf: Csrf
) -> None:
    client = login()
    for name, text in (("rate", "many"), ("rate", "nan"), ("quota", "inf"), ("ends", "soon"), ("quota", "0")):
        form = {"csrf": csrf(client), "name": "Kept name", "surface": "chat", name: text}
        answer = client.post("/campaigns", data=form)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 400 and "Kept name" in page and 'class="problem"' in page
    assert bench.get("campaigns")["items"] == []


def test_only_an_admin_edits_and_a_campaign_of_another_project_is_not_there(
    bench: Bench, login: Login, csrf: Csrf
) -> None:
    other = bench.control.create_key("other", "secret").key
    made = call(bench, "POST", "campaigns", {"name": "n", "surface": "chat"}).get_json()["campaign_id"]
    viewer = login("vic")
    assert viewer.get("/campaigns").status_code == 200
    assert viewer.post("/campaigns", data={"csrf": csrf(viewer), "name": "x", "surface": "chat"}).status_code == 403
    headers = {"Authorization": f"Bearer {other}"}
    for method in ("GET", "PUT"):
        answer = bench.app.test_client().open(
            f"/api/v1/campaigns/{made}", method=method, headers=headers, json={"name": "mine", "surface": "chat"}
        )
        assert answer.status_code == 404
    assert bench.get(f"campaigns/{made}")["name"] == "n"


def test_each_vote_that_stands_is_one_answer_and_the_quota_closes_the_campaign(bench: Bench) -> None:
    made = call(bench, "POST", "campaigns", {"name": "n", "surface": "chat", "quota": 3}).get_json()["campaign_id"]
    counter = AnswerCounter(bench.store, Campaigns(bench.control.engine))
    first, twice = voted(made, "u-1"), voted(made, "u-2")
    undone = voted(made, "u-3")
    retract = voted(made, "u-3", type="retract", target=undone.event_id, candidate_id=..., value=...)
    bench.put(first, first, twice, voted(made, "u-2", value="down"), undone, retract, voted("ca-unknown", "u-4"))
    assert counter.count() == {made: 2}
    assert bench.get(f"campaigns/{made}")["state"] == "open"
    bench.put(voted(made, "u-5"))
    counter.count()
    found = bench.get(f"campaigns/{made}")
    assert (found["answers"], found["state"]) == (3, "full")


def test_a_campaign_begins_and_ends_on_its_days(bench: Bench) -> None:
    now = datetime.now(UTC)
    times = {"later": (1, 2), "over": (-2, -1), "now": (-1, 1)}
    for name, (start, end) in times.items():
        rule = {
            "name": name, "surface": "chat", "starts_at": (now + timedelta(days=start)).isoformat(),
            "ends_at": (now + timedelta(days=end)).isoformat(),
        }  # fmt: skip
        assert call(bench, "POST", "campaigns", rule).status_code == 201
    states = {one["name"]: one["state"] for one in bench.get("campaigns")["items"]}
    assert states == {"later": "waiting", "over": "ended", "now": "open"}
