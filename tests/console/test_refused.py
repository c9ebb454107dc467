"""A newcomer's wrong origin or key is on a page, with what to do, and outsiders write nothing into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from collector.refusals import Refusals
from tests.console.bench import Bench

Login = Callable[..., FlaskClient]
WRONG = "http://localhost:4321"


@pytest.fixture
def refused(bench: Bench) -> Bench:
    """A console whose collector refused some requests."""
    kept = Refusals(bench.log, first_s=3600, every_s=3600)
    for _ in range(2):
        for _ in range(3):
            kept.add("origin_not_allowed", "events", "default", "kpage", WRONG)
        kept.add("origin_not_allowed", "events", "default", "kpage", None)
        kept.flush()
    kept.add("origin_not_allowed", "events", "default", "kpage", "http://x;reboot")
    kept.add("invalid_key", "events", None, "", "http://localhost:3000")
    kept.add("rate_limited", "events", "bank", "kbank", "https://bank.example")
    kept.close()
    bench.catch_up()
    return bench


def test_refusals_are_shown_by_reason_and_origin_with_the_command_that_allows_one(refused: Bench, login: Login) -> None:
    page = login().get("/rejected").text
    assert "Refused requests" in page and "origin not among those of the key" in page
    assert f"thumbwheel keys create public --origin {WRONG}" in page
    assert "http://x;reboot" in page and "--origin http://x" not in page, "no command is made of what anybody may send"
    assert "key missing, unknown or revoked" in page and "bank.example" not in page
    assert "No event was rejected." in page, "they are no events"


def test_they_are_no_rejected_events(refused: Bench) -> None:
    assert refused.get("rejected")["items"] == []
    assert refused.get("overview")["rejected"] == 0


def test_the_data_api_adds_them_up(refused: Bench) -> None:
    items = refused.get("refused", refused.service)["items"]
    found = {(item["code"], item["origin"]): item["requests"] for item in items}
    assert found == {
        ("origin_not_allowed", WRONG): 6, ("origin_not_allowed", None): 2, ("origin_not_allowed", "http://x;reboot"): 1,
        ("invalid_key", "http://localhost:3000"): 1,
    }  # fmt: skip
    own = refused.get("refused")["items"]
    assert {item["code"] for item in own} == {"origin_not_allowed"}, "an unknown key is of no project"


def test_an_empty_overview_says_that_requests_arrive_and_are_refused(refused: Bench, login: Login) -> None:
    page = login().get("/").text
    assert "Requests arrive, and are refused" in page and WRONG in page
    chinese = login()
    chinese.set_cookie("thumbwheel_lang", "zh_Hans")
    assert "有请求到达，但被拒绝了" in chinese.get("/").text
