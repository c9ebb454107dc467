"""The demo product's journeys against the real processes of `thumbwheel up`, with the real model."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser.conftest import Stack
from tests.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def sent(page: Any) -> Callable[[int], list[dict[str, Any]]]:
    """Waits for so many events from the page's elements, seen by listeners as a host has them."""
    page.add_init_script(
        """window.sentEvents = [];
        for (const name of ["submit", "undo"]) document.addEventListener("thumbwheel-" + name,
            e => window.sentEvents.push(name === "undo" ? e.detail.retract : e.detail.event))"""
    )
    page.set_default_timeout(60_000)

    def wait(count: int) -> list[dict[str, Any]]:
        eventually(lambda: len(page.evaluate("sentEvents")) >= count)
        events: list[dict[str, Any]] = page.evaluate("sentEvents")
        return events

    return wait


def visible(stack: Stack, event: dict[str, Any], seconds: float = 5.0) -> None:
    path = f"/api/v1/visible?event_id={quote(event['event_id'])}"
    eventually(lambda: stack.console_json(path) == {"missing": []}, seconds)


def interaction(stack: Stack, event: dict[str, Any]) -> str:
    """Everything the console tells of the event's interaction, as text."""
    return str(stack.console_json(f"/api/v1/interactions/{quote(event['interaction_id'])}"))


def test_thumb_on_a_streamed_answer_is_in_the_console_within_two_seconds(page: Any, stack: Stack, sent: Any) -> None:
    page.goto(stack.demo)
    page.get_by_label("Message").fill("How do I return a pair of shoes?")
    page.keyboard.press("Enter")
    page.locator("thumbwheel-thumbs").get_by_role("button", name="Good answer").click()
    [thumb] = sent(1)
    visible(stack, thumb, 2.0)
    known = interaction(stack, thumb)
    assert "How do I return a pair of shoes?" in known
    assert thumb["candidate_id"] in known


def test_two_answers_and_a_choice(page: Any, stack: Stack, sent: Any) -> None:
    page.goto(stack.demo)
    page.get_by_label("Always show two answers").check()
    page.get_by_label("Message").fill("Where is my parcel?")
    page.keyboard.press("Enter")
    page.locator("thumbwheel-choice").get_by_role("button", name="This one Reply 1").click()
    [choice] = sent(1)
    visible(stack, choice)
    assert choice["chosen"] == choice["shown"][0]


def test_workbench_pick_edit_undo_and_pick_again(page: Any, stack: Stack, sent: Any) -> None:
    page.goto(f"{stack.demo}/workbench")
    bench = page.locator("thumbwheel-workbench")
    bench.get_by_role("article").nth(3).wait_for()
    bench.evaluate("node => node.focus()")
    for key in ("3", "e", "Control+End"):
        page.keyboard.press(key)
    page.keyboard.type(" Kind regards, 1 b t")
    page.keyboard.press("Control+Enter")
    [pick] = sent(1)
    assert pick["edited_text"].endswith(" Kind regards, 1 b t")
    page.keyboard.press("Control+z")
    _, retract = sent(2)
    assert retract["target"] == pick["event_id"]
    assert bench.get_by_label("Your reply").input_value() == pick["edited_text"]
    page.keyboard.press("Control+Enter")
    again = sent(3)[2]
    for event in (pick, retract, again):
        visible(stack, event)
    pairs = eventually(lambda: stack.console_json("/api/v1/pairs?limit=500")["items"])
    events = {pair["event_id"] for pair in pairs}
    assert again["event_id"] in events
    assert pick["event_id"] not in events


def test_the_page_learns_nothing_about_models_before_the_vote(page: Any, stack: Stack) -> None:
    received: list[Any] = []
    page.on("response", lambda answer: received.append(answer) if answer.url.startswith(stack.demo) else None)
    page.set_default_timeout(60_000)
    page.goto(f"{stack.demo}/workbench")
    page.locator("thumbwheel-workbench").get_by_role("article").nth(3).wait_for()
    said = {answer: answer.text() for answer in received}
    assert any(answer.url.endswith("/workbench/replies") and "candidate_id" in said[answer] for answer in said)
    for answer, text in said.items():
        if "candidate_id" not in text:
            continue
        if answer.url.endswith("/workbench/replies"):
            shown = json.loads(text)
            assert shown.keys() == {"interaction_id", "candidates"}
            assert all(candidate.keys() == {"candidate_id", "content"} for candidate in shown["candidates"])
            ids = [candidate["candidate_id"] for candidate in shown["candidates"]]
            assert len({(key_id, *map(len, rest)) for _, key_id, *rest in (one.split(".") for one in ids)}) == 1
            # What a reply says is the model's own text, in which any word may stand; an id may hold any three signs.
            text = f"{shown['interaction_id']} {ids}"
        around = f"{answer.all_headers()} {text}"
        assert not re.search(r'SmolLM|champion|challenger|baseline|ad-[0-9a-f]{12}|"model"', around)


def test_language_of_the_page_is_that_of_the_elements(page: Any, stack: Stack) -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{stack.demo}/workbench?lang=zh-Hans")
    page.locator("thumbwheel-workbench").get_by_role("button", name="都不好").wait_for()
