"""What is final and what is not, and what one event or one project may not cost the others.

In: answers of a collector, and of proxies in its place. Out: what arrived, what was dropped and why.
"""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
import thumbwheel
from thumbwheel import Client

from tests.waiting import eventually

from .stub import KEY, Answer, Stub

BAD = {"code": "invalid_body", "message": "The body is not valid.", "hint": "Send JSON."}


@pytest.fixture(autouse=True)
def no_pauses() -> Any:
    """Backoff draws zero, so that retries follow at once."""
    with patch("thumbwheel.delivery.sender.random.random", return_value=0.0):
        yield


def names(stub: Stub) -> list[str]:
    return [event["candidate_id"] for event in stub.events]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        ("Great " + "👍".encode("utf-16-le")[:2].decode("utf-16-le", "surrogatepass"), "Great \ufffd"),
        ("\ud83d\u4f60", "\ufffd\u4f60"),
        ("\udc4d!", "\ufffd!"),
        ("\ud83d\udc4d", "👍"),
        ("你好 👍", "你好 👍"),
    ],
)
def test_half_of_an_emoji_arrives_as_a_replacement_character(stub: Stub, sync: bool, given: str, arrives: str) -> None:
    client = Client(stub.url, KEY, "u-1", sync=sync)
    client.thumb("i-1", "c-1", "up", comment=given, context={given: [given]})
    assert client.flush()
    (event,) = stub.events
    assert (event["comment"], event["context"]) == (arrives, {arrives: [arrives]})
    assert client.dropped == {}
    client.shutdown()


def test_one_event_that_spoils_a_request_is_dropped_alone(stub: Stub) -> None:
    stub.answer = lambda events: (
        Answer(400, body=json.dumps({"error": BAD}))
        if any(event["candidate_id"] == "c-17" for event in events)
        else Answer()
    )
    client = Client(stub.url, KEY, "u-1")
    for number in range(41):
        client.thumb("i-1", f"c-{number}", "up")
    assert client.flush()
    assert client.dropped == {"invalid_body": 1}
    assert client.stats().accepted == 40
    client.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, body="<html>Not found</html>"),
        Answer(403, body="<html>Forbidden</html>"),
        Answer(400, body="<html>Bad request</html>"),
        Answer(302, {"Location": "/login"}, body=""),
        Answer(401, body='{"error": {"code": "Unauthorized", "message": "No"}}'),
        Answer(401, body='{"error": "no"}'),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:12]}",
)
@pytest.mark.parametrize("sync", [False, True])
def test_what_a_proxy_says_is_waited_out(stub: Stub, answer: Answer, sync: bool) -> None:
    stub.answers = [answer] * 3
    client = Client(stub.url, KEY, "u-1", sync=sync)
    client.thumb("i-1", "c-1", "up")
    assert client.flush()
    assert names(stub) == ["c-1"] * 4
    assert client.dropped == {}
    client.shutdown()


def test_an_event_that_a_proxy_blocks_holds_up_no_other(stub: Stub) -> None:
    blocks = [True]
    stub.answer = lambda events: (
        Answer(403, body="<html>Blocked</html>") if blocks and any("comment" in event for event in events) else Answer()
    )
    client = Client(stub.url, KEY, "u-1")
    client.thumb("i-1", "c-0", "up", comment="<script>")
    for number in range(1, 6):
        client.thumb("i-1", f"c-{number}", "up")
    eventually(lambda: client.stats().accepted == 5)
    blocks.clear()
    assert client.flush()
    assert client.dropped == {}
    assert client.stats().accepted == 6
    client.shutdown()


def test_a_report_counts_as_told_only_where_the_collector_took_it(stub: Stub) -> None:
    client = Client(stub.url, KEY)
    client.thumb("i-1", "c-1", "up")
    stub.answers = [Answer(200, body="<html>Log in</html>")]
    client.thumb("i-1", "c-1", "up", actor="u-1")
    assert client.flush()
    assert [body["dropped"]["counts"] for body in stub.bodies if "dropped" in body] == [{"actor": 1}, {"actor": 1}]
    client.shutdown()


def test_init_for_another_project_leaves_the_first_client_at_work(stub: Stub) -> None:
    first = thumbwheel.init(stub.url, KEY, "u-1")
    second = thumbwheel.init(stub.url, "tw_sec_other", "u-1")
    assert first.thumb("i-1", "first", "up") and second.thumb("i-1", "second", "up")
    assert first.flush() and thumbwheel.flush()
    assert sorted(names(stub)) == ["first", "second"]
    again = thumbwheel.init(stub.url, KEY, "u-1")
    assert first.thumb("i-1", "late", "up") is None
    assert first.dropped == {"closed": 1}
    assert second.thumb("i-1", "second", "up") and again.thumb("i-1", "again", "up")
    assert second.shutdown() and thumbwheel.shutdown()
