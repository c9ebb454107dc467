"""Which origins were refused, and why: kept beside the rejected events, bounded whatever origins are made up."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.app import create_app
from collector.refusals import MOST_ORIGINS, MOST_RECORDS, Refusals
from contract.errors import ThumbwheelError
from contract.topics import REJECTED
from eventlog.log import Record
from eventlog.rejected import read_rejected, revive
from tests.waiting import eventually

from .conftest import SHOP, Bench, events, thumb


@pytest.fixture
def refusals(bench: Bench) -> Iterator[Refusals]:
    """What keeps refusals, as slow as it is quick to close; the bench's collector counts into it."""
    found = Refusals(bench.log, first_s=3600, every_s=3600)
    bench.client = create_app(bench.settings, bench.log, bench.control, refusals=found).test_client()
    yield found
    found.close()


def kept(bench: Bench, refusals: Refusals) -> list[dict[str, Any]]:
    refusals.flush()
    return [row | json.loads(b64decode(row["raw"])) for row in events(bench.log, REJECTED)]


def test_a_refused_origin_is_kept_with_its_key_and_the_number_of_requests(bench: Bench, refusals: Refusals) -> None:
    for _ in range(3):
        assert bench.post_from("http://localhost:4321", [thumb()]).status_code == 403
    assert bench.post_from(None, [thumb()]).status_code == 403
    assert bench.post_from(SHOP, [thumb()]).status_code == 202
    key = bench.control.find_key(bench.public)
    (row,) = kept(bench, refusals)
    assert key is not None and (row["project"], row["key_id"]) == ("default", key.key_id)
    assert row["code"] == "refused.origin_not_allowed" and row["message"].startswith("4 requests were refused")
    assert row["origins"] == {"http://localhost:4321": 3, "": 1}


def test_reasons_and_keys_are_told_apart_and_an_unknown_key_belongs_to_no_project(
    bench: Bench, refusals: Refusals
) -> None:
    assert bench.post([thumb()], "tw_pub_unknown", {"Origin": SHOP}).status_code == 401
    assert bench.post(b"{", headers={"Origin": SHOP}).status_code == 400
    assert bench.client.get(f"/v1/campaigns?key={bench.public}", headers={
        "Authorization": f"Bearer {bench.public}", "Origin": "http://localhost:4321"
    }).status_code == 403  # fmt: skip
    rows = {row["code"]: row for row in kept(bench, refusals)}
    assert set(rows) == {"refused.invalid_key", "refused.invalid_body", "refused.origin_not_allowed"}
    assert rows["refused.invalid_key"]["project"] is None and rows["refused.invalid_key"]["origins"] == {SHOP: 1}
    assert "tw_pub_unknown" not in json.dumps(list(rows.values()))


def test_made_up_origins_and_keys_take_no_room(bench: Bench, refusals: Refusals) -> None:
    for n in range(500):
        bench.post_from(f"https://{'x' * 300}{n}.example", [thumb()])
        bench.post_from(f"https://{n}.example", [thumb()])
    for n in range(300):
        refusals.add("origin_not_allowed", "events", "default", f"k{n}", "https://a.example")
    rows = kept(bench, refusals)
    assert len(rows) <= MOST_RECORDS + 1
    assert sum(row["requests"] for row in rows) == 1300, "all are counted"
    assert all(len(row["origins"]) <= MOST_ORIGINS + 1 for row in rows)
    assert max(len(row["raw"]) for row in rows) < MOST_ORIGINS * 600


@pytest.mark.parametrize(("code", "route"), [
    ("overloaded", "events"), ("internal_error", "events"), ("too_slow", "events"), ("not_found", "other"),
    ("invalid_body", "sdk"), ("control_unavailable", "events"),
])  # fmt: skip
def test_what_no_product_can_mend_is_not_kept(bench: Bench, refusals: Refusals, code: str, route: str) -> None:
    refusals.add(code, route, "default", "k", "https://a.example")
    assert kept(bench, refusals) == []


def test_what_the_log_did_not_take_is_counted_on(bench: Bench, refusals: Refusals) -> None:
    class Away:
        def append(self, entries: list[Any], timeout_s: float) -> list[None]:
            return [None] * len(entries)

    refusals._log = Away()  # type: ignore[assignment]
    bench.post_from("http://localhost:4321", [thumb()])
    refusals.flush()
    bench.post_from("http://localhost:4321", [thumb()])
    refusals._log = bench.log
    (row,) = kept(bench, refusals)
    assert row["requests"] == 2
    assert kept(bench, refusals) == [row], "and not counted again"


def test_the_count_of_refusals_is_no_event_to_be_tried_again(bench: Bench, refusals: Refusals) -> None:
    bench.post_from("http://localhost:4321", [thumb()])
    refusals.flush()
    reader = bench.log.reader({(REJECTED, 0): 0})
    (record,) = reader.poll(10, 0)
    reader.close()
    assert isinstance(record, Record) and read_rejected(record) is not None
    with pytest.raises(ThumbwheelError, match="no event is in it"):
        revive(record, lambda _: None, lambda *_: None)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_running_collector_keeps_them_within_seconds_and_at_its_end(start: Callable[..., Any], workers: str) -> None:
    import urllib.error
    import urllib.request

    def post() -> None:
        headers = {"Authorization": f"Bearer {running.public}", "Origin": "http://localhost:4321"}
        request = urllib.request.Request(
            running.url + "/v1/events", json.dumps({"events": [thumb()]}).encode(), headers
        )
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=5)

    with start(COLLECTOR_WORKERS=workers) as running:
        post()
        log = running.log()
        eventually(lambda: events(log, REJECTED), 10)
        for _ in range(20):
            post()
    rows = [json.loads(b64decode(row["raw"])) for row in events(log, REJECTED)]
    assert sum(row["requests"] for row in rows) == 21
    log.close()
