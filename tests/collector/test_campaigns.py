"""GET /v1/campaigns: what the SDKs of a project are told, and who may read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.resources.campaigns import OpenCampaigns
from control_store.campaigns import Campaigns, read_rule
from runtime.settings import Settings

from .conftest import SHOP, Bench, events, thumb


@pytest.fixture
def settings(tmp_path: Path, control_url: str) -> Settings:
    return Settings(home=tmp_path, control=control_url)


def make(bench: Bench, project: str = "default", **changes: Any) -> str:
    rule = read_rule({"name": "n", "surface": "chat"} | changes)
    return Campaigns(bench.control.engine).create(project, rule, "ada")


def ask(bench: Bench, key: str, **headers: str) -> Any:
    return bench.client.get("/v1/campaigns", headers={"Authorization": f"Bearer {key}"} | headers)


def test_only_the_open_campaigns_of_the_keys_project_are_told_and_no_more_than_is_needed(bench: Bench) -> None:
    now = datetime.now(UTC)
    told = make(bench, label="refund", rate=0.25, quota=10, cooldown_s=60, question="Was it clear?", name="secret plan")
    make(bench, active=False)
    make(bench, "other")
    make(bench, starts_at=(now + timedelta(days=1)).isoformat())
    make(bench, ends_at=(now - timedelta(days=1)).isoformat())
    full = make(bench, quota=1)
    Campaigns(bench.control.engine).put_answers("processor-0", {full: 1})
    answer = ask(bench, bench.secret)
    assert answer.status_code == 200
    assert answer.get_json() == {
        "campaigns": [{
            "campaign_id": told, "surface": "chat", "rate": 0.25, "cooldown_s": 60, "label": "refund",
            "question": "Was it clear?",
        }],
        "fresh_for_s": 60,
    }  # fmt: skip


def test_several_processors_answers_add_up(bench: Bench) -> None:
    campaign, store = make(bench, quota=5), Campaigns(bench.control.engine)
    store.put_answers("processor-0", {campaign: 3})
    store.put_answers("processor-1", {campaign: 1})
    assert store.find("default", campaign).answers == 4
    store.put_answers("processor-1", {campaign: 2})
    assert store.find("default", campaign).state(datetime.now(UTC)) == "full"


def test_an_unchanged_list_is_not_sent_again(bench: Bench) -> None:
    make(bench)
    first = ask(bench, bench.secret)
    assert "max-age=60" in first.headers["Cache-Control"] and "private" in first.headers["Cache-Control"]
    again = ask(bench, bench.secret, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("key", "headers", "status"),
    [
        ("", {}, 401), ("tw_sec_unknown", {}, 401), ("public", {}, 403),
        ("public", {"Origin": "https://evil.example"}, 403),
        ("public", {"Origin": SHOP}, 200), ("service", {}, 401),
    ],
)  # fmt: skip
def test_a_key_reads_where_it_may_write(bench: Bench, key: str, headers: dict[str, str], status: int) -> None:
    keys = {"public": bench.public, "service": bench.control.create_key("*", "service").key}
    answer = ask(bench, keys.get(key, key), **headers)
    assert answer.status_code == status
    assert status == 200 or answer.get_json()["error"]["hint"]


def test_a_page_of_an_allowed_origin_may_ask_and_read(bench: Bench) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    preflight = bench.client.options("/v1/campaigns", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert ask(bench, bench.public, Origin=SHOP).headers["Access-Control-Allow-Origin"] == SHOP


def test_what_is_known_stays_while_the_control_store_is_away(bench: Bench) -> None:
    campaign = make(bench)
    told = OpenCampaigns(Campaigns(bench.control.engine), cache_seconds=0.0)
    before = told.told("default").body
    assert campaign.encode() in before
    with bench.control.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE campaigns RENAME TO campaigns_away")
    assert told.told("default").body == before
    assert told.told("never asked before").body == b'{"campaigns":[],"fresh_for_s":60}'


def test_feedback_names_the_campaign_that_asked(bench: Bench) -> None:
    answer = bench.post([thumb(campaign="ca-1"), thumb(campaign="two words"), thumb()])
    assert [one["status"] for one in answer.get_json()["results"]] == ["accepted", "rejected", "accepted"]
    assert [event.get("campaign") for event in events(bench.log)] == ["ca-1", None]
