"""An interaction with any number of votes, and a project with any number of labels, have pages one can read."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from processor.queries.reading import MAX_CHOICES
from processor.steps.limit import PEOPLE
from tests.console.bench import Bench
from tests.console.story import asked, event

Login = Callable[..., FlaskClient]
VOTES = 700


def thumb(number: int, at: float, **fields: Any) -> Any:
    given = {"via": "public", "actor": (f"u-{number}", "user"), "interaction_id": "hot", "candidate_id": "hot-0"}
    return event("thumb", f"vote {number}", at, value="up", comment=f"said {number}.", **given | fields)


@pytest.fixture
def hot(bench: Bench) -> Bench:
    """A reply that 700 people voted on, four of a time."""
    bench.put(asked("hot", 0, ["base"], "Is it hot?"), *[thumb(n, 1 + n // 4) for n in range(VOTES)])
    return bench


def walked(bench: Bench, name: str, place: str, limit: int) -> Iterator[Any]:
    address = f"interactions/hot?limit={limit}"
    while True:
        found = bench.get(address)
        yield from found[name]
        if found[f"{name}_next"] is None:
            return
        assert len(found[name]) == limit
        address = f"interactions/hot?limit={limit}&{place}={quote(found[f'{name}_next'])}"


def test_the_page_is_short_says_how_many_do_not_count_and_why(hot: Bench, login: Login) -> None:
    client = login()
    text = client.get("/interactions/hot").text
    assert len(text) < 120_000
    assert text.count('<td class="time">') == 50 and text.count("<details") == 50
    assert f"{VOTES - PEOPLE} more votes were not counted: on one interaction those of 500 people count" in text
    assert f"thumb up × {PEOPLE}" in text
    client.set_cookie("thumbwheel_lang", "zh_Hans")
    assert f"另有 {VOTES - PEOPLE} 票未计入：一次交互最多计 500 人的投票" in client.get("/interactions/hot").text


def test_every_vote_is_on_one_page_of_the_api_and_of_the_console(hot: Bench, login: Login) -> None:
    found = list(walked(hot, "feedback", "cursor", 90))
    assert sorted(int(row["comment"][5:-1]) for row in found) == list(range(VOTES))
    assert [row["received_at"] for row in found] == sorted(row["received_at"] for row in found)
    assert sum(row["state"] == "over_limit" for row in found) == VOTES - PEOPLE
    events = list(walked(hot, "events", "events", 90))
    assert len({row["event_id"] for row in events}) == len(events) == VOTES + 1
    assert {row["over_limit"] for row in events[-100:]} == {"votes"} and events[-1]["body"]["comment"]
    client, address, said = login(), "/interactions/hot", []
    while address:
        text = client.get(address).text
        said += re.findall(r"said (\d+)\.<", re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL))
        link = re.search(r'id="more-votes-link"[^>]* href="([^"]+)"', text)
        address = html.unescape(link[1]) if link else ""
    assert sorted(map(int, said)) == list(range(VOTES))


def test_pages_stay_as_they_are_while_votes_arrive(hot: Bench) -> None:
    first = hot.get("interactions/hot?limit=100")
    rest = f"interactions/hot?limit=100&cursor={first['feedback_next']}"
    before = hot.get(rest)["feedback"]
    hot.put(*[thumb(n, 5000) for n in range(1000, 1050)], thumb(2000, 5000, verified=True))
    changed = [row | {"state": ""} for row in before]
    assert [row | {"state": ""} for row in hot.get(rest)["feedback"]] == changed


@pytest.mark.parametrize("place", ["cursor", "events"])
@pytest.mark.parametrize("cursor", ["W10", "é", "\x00", "9" * 400, "MXwx", "LTF8YQ", "a" * 5000])
def test_a_cursor_that_is_none_of_ours_is_refused(hot: Bench, login: Login, place: str, cursor: str) -> None:
    answer = hot.get(f"interactions/hot?{place}={quote(cursor)}")
    assert answer["error"]["code"] == "bad_cursor" and answer["error"]["hint"]
    page = login().get(f"/interactions/hot?{place}={quote(cursor)}")
    assert page.status_code == 400 and "The cursor is not one of ours." in page.text


def test_what_does_not_count_is_still_found_by_its_id(hot: Bench) -> None:
    last = list(walked(hot, "events", "events", 400))[-1]
    assert hot.get(f"visible?event_id={last['event_id']}") == {"missing": []}
    assert hot.get(f"lineage/{last['event_id']}")["event"]["state"] == "over_limit"
    preview = hot.app.test_client().post(
        "/api/v1/forget/preview", json={"actor": last["actor_id"]}, headers={"Authorization": f"Bearer {hot.secret}"}
    )
    assert preview.get_json()["counts"]["feedback"] == 1


def test_filters_of_any_number_of_labels_stay_short_and_take_any(bench: Bench, login: Login) -> None:
    many = [f"label-{n:04}" for n in range(MAX_CHOICES * 3)]
    some = [many[start : start + 30] for start in range(0, len(many), 30)]
    bench.put(*[asked(f"i-{n}", n, ["base"], "q", labels=labels, source=f"shop-{n}") for n, labels in enumerate(some)])
    bench.put(*[asked(f"often-{n}", 20 + n, ["base"], "q", labels=["the/most"]) for n in range(2)])
    text = login().get("/interactions?label=label-0299").text
    choices = text[: text.index('id="results"')]
    assert choices.count('<option value="label-') == MAX_CHOICES - 1 and '<option value="the/most">' in choices
    assert 'name="label" value="label-0299"' in choices and text.count("<tr>") == 2
    assert choices.count('<option value="shop-') == 10 and '<select name="source">' in choices


def test_labels_are_listed_by_pages(bench: Bench) -> None:
    bench.put(asked("i-1", 1, ["base"], "q", labels=["b", "a/x", "中文"]), asked("i-2", 2, ["base"], "q", labels=["b"]))
    first = bench.get("labels?limit=2")
    assert first["items"] == [{"label": "a/x", "interactions": 1}, {"label": "b", "interactions": 2}]
    assert bench.get(f"labels?cursor={first['next']}") == {
        "items": [{"label": "中文", "interactions": 1}],
        "next": None,
    }
    assert bench.get("labels?cursor=%C3%A9")["error"]["code"] == "bad_cursor"


def test_more_rows_put_the_place_into_the_address_which_leads_back_to_it(told: Bench, login: Login) -> None:
    client = login()
    text = client.get("/interactions").text
    link = re.search(r'<a id="more-link".*?</a>', text)
    assert link and 'hx-replace-url="true"' in link[0] and "From the start" not in text
    address = re.search(r'href="([^"]+)"', link[0])
    assert address
    back = client.get(html.unescape(address[1])).text
    start = re.search(r'href="([^"]+)">From the start', back)
    assert start and "cursor" not in start[1]
    listed = re.compile(r'href="(/interactions/[^"?]+)"')
    assert not set(listed.findall(text)) & set(listed.findall(back))
