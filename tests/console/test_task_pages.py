"""The pages of tasks: a form becomes a task, the count and the cost are those of the tables, what is stuck says why."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from processor.queries.curation.book import KEPT
from tests.console.bench import Bench
from tests.console.story import asked, event, fact

Login = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]


@pytest.fixture
def ready(bench: Bench) -> Bench:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    bench.app.test_client().post("/api/v1/labels", headers=headers, json={"path": "tone", "kind": "bool"})
    bench.put(*(asked(f"i-{n}", n, ["base", "base"], f"Where is it {n}?", labels=["refund"] if n < 2 else [])
                for n in range(4)))  # fmt: skip
    return bench


def text(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_a_form_becomes_a_task_with_its_stages_and_items(ready: Bench, login: Login, csrf: Csrf) -> None:
    client = login()
    form: dict[str, Any] = {
        "csrf": csrf(client), "task_id": "tone", "title": "Tone", "title_zh": "语气", "labels": ["tone"],
        "unit": "candidate", "order": "random", "include_labels": "refund, delivery", "live": "1", "k": "2",
        "extra": "1", "agree": "70", "tier": "crowd", "people": "ann, bob", "review": "20", "sample": "50",
        "reject_above": "2", "since": "2026-03-01", "description": "Look at the tone.",
    }  # fmt: skip
    assert client.post("/tasks", data=form | {"labels": []}).status_code == 400
    answer = client.post("/tasks", data=form)
    assert (answer.status_code, answer.location) == (303, "/tasks/tone")
    ready.catch_up()
    made = ready.get("tasks/tone")
    first, review, batch = made["stages"]
    assert (first["k"], first["extra"], first["agree"], first["tier"]) == (2, 1, 0.7, "crowd")
    assert (first["assignment"], first["people"]) == ("named", ["ann", "bob"])
    assert (review["kind"], review["rate"]) == ("review", 0.2)
    assert (batch["kind"], batch["sample"], batch["reject_above"]) == ("batch", 50, 2)
    assert made["query"] == {"include_labels": ["refund", "delivery"], "since": "2026-03-01T00:00:00Z"}
    assert made["title"] == {"en": "Tone", "zh": "语气"} and made["live"] and made["order"] == "random"
    assert made["progress"]["items"] == 4
    assert client.post("/tasks", data=form | {"csrf": "stale", "task_id": "other"}).status_code == 403
    assert login("rei").post("/tasks", data=form).status_code == 403


def test_the_count_and_the_cost_follow_the_form(ready: Bench, login: Login) -> None:
    client = login()
    page = text(client.get("/tasks/new?k=3&include_labels=refund&labels=tone").get_data(as_text=True))
    assert "2 items match now. 6 answers are needed. How long that takes is known after" in page
    ready.put(*(event("annotation", f"past {n}", 20 + n, interaction_id=f"i-{n % 4}", answers={"tone": True},
                      task_id=f"t-{n}", via="console", active_ms=20_000 + n, actor=("u", "agent"))
                for n in range(5)))  # fmt: skip
    page = text(client.get("/tasks/new?k=3&unit=pair&labels=tone").get_data(as_text=True))
    assert "4 items match now. 12 answers are needed. About 4 minutes of work, at 20 seconds an answer." in page
    assert "1 item matches now." in text(client.get("/tasks/new?k=1&q=it+3").get_data(as_text=True))


def test_a_task_says_how_far_it_is_what_is_stuck_and_why(ready: Bench, login: Login, csrf: Csrf) -> None:
    stages = [{"k": 2, "agree": 0.9}]
    ready.put(
        fact("definition.task", "t", 10, task_id="t", title="Tone", labels=["tone"], stages=stages, version=1),
        fact("task.items", "items", 11, task_id="t", items=[{"interaction_id": f"i-{n}"} for n in range(3)]),
        *(event("annotation", f"{who} {item}", 12, interaction_id=item, task_id="t", answers={"tone": value},
                via="console", actor=(who, "agent"))
          for who, item, value in (("ann", "i-0", True), ("bob", "i-0", False), ("ann", "i-1", True))),
    )  # fmt: skip
    client = login()
    page = text(client.get("/tasks/t").get_data(as_text=True))
    assert re.search(r"3 items *; *open: 2 *; *people disagree: 1", page)
    assert "People agree too little: somebody of the next tier decides. ann, bob" in page
    listed = text(client.get("/tasks/t?state=open").get_data(as_text=True))
    assert "1 / 2" in listed and "0 / 2" in listed
    client.post("/tasks/t/state", data={"csrf": csrf(client), "state": "closed"})
    ready.catch_up()
    assert "closed" in text(client.get("/tasks").get_data(as_text=True))


def test_of_more_tasks_than_have_books_the_newest_are_counted(ready: Bench, login: Login) -> None:
    ready.put(*(fact("definition.task", f"t{n}", 10 + n, task_id=f"t-{n}", labels=["tone"], stages=[{"k": 1}])
                for n in range(KEPT + 2)))  # fmt: skip
    page = login().get("/tasks").get_data(as_text=True)
    assert page.count("/tasks/t-") == KEPT + 2 and page.count('<td class="number muted">–</td>') == 6
