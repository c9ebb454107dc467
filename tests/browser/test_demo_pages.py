"""The demo product's pages against a stand-in gateway and collector: what users see, also when something is away."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.texts import TEXTS
from tests.browser.conftest import ROOT, free_ports, is_ready
from tests.browser.stub_gateway import StubGateway, stub_gateway
from tests.waiting import eventually

pytestmark = pytest.mark.browser


@pytest.fixture
def gateway() -> Iterator[StubGateway]:
    with stub_gateway() as served:
        yield served


@pytest.fixture
def demo(stub: Any, gateway: StubGateway) -> Iterator[str]:
    """The demo product in a process of its own; its address."""
    [port] = free_ports(1)
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {
        "THUMBWHEEL_DEMO_BIND": f"127.0.0.1:{port}",
        "THUMBWHEEL_COLLECTOR_URL": stub.collector,
        "THUMBWHEEL_GATEWAY_URL": gateway.url,
        "THUMBWHEEL_PUBLIC_KEY": "tw_pub_test",
        "THUMBWHEEL_SECRET_KEY": "tw_sec_test",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "sdk" / "python"), env.get("PYTHONPATH", "")]),
    }
    process = subprocess.Popen([sys.executable, "-m", "examples.demo"], cwd=ROOT, env=env)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: is_ready(f"{url}/healthz"), 20)
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


def say(page: Any, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")


def test_chat_streams_an_answer_and_takes_a_thumb(page: Any, stub: Any, gateway: StubGateway, demo: str) -> None:
    page.goto(demo)
    page.get_by_role("button", name="How do I return shoes that are too small?").click()
    thumbs = page.locator("thumbwheel-thumbs")
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_role("button", name="Incorrect").click()
    thumbs.get_by_role("button", name="Send").click()
    event = stub.wait(2, "thumb")[1]
    assert (event["interaction_id"], event["candidate_id"], event["reasons"]) == ("int-1", "tw1.c1.1", ["incorrect"])
    assert event["actor"]["id"].startswith("user-")
    path, asked = gateway.asked[0]
    assert path == "/v1/chat/completions"
    assert asked["thumbwheel"]["actor"] == event["actor"]
    assert asked["thumbwheel"]["conversation_id"] == event["conversation_id"]
    assert gateway.keys == {"Bearer tw_sec_test"}
    page.reload()
    assert page.get_by_text("<b>markup</b>").count() == 1
    assert thumbs.get_by_role("button", name="Bad answer").get_attribute("aria-pressed") == "true"


def test_every_third_turn_offers_two_answers_and_the_chosen_one_goes_on(
    page: Any, stub: Any, gateway: StubGateway, demo: str
) -> None:
    page.goto(demo)
    for n in (1, 2):
        say(page, f"question {n}")
        page.locator("thumbwheel-thumbs").nth(n - 1).wait_for()
    say(page, "question 3")
    page.locator("thumbwheel-choice").get_by_role("button", name="This one Reply 2").click()
    event = stub.wait(1, "choice")[0]
    assert (event["chosen"], event["shown"]) == ("tw1.c3.2", ["tw1.c3.1", "tw1.c3.2"])
    say(page, "question 4")
    eventually(lambda: len(gateway.asked) == 4)
    history = [message["content"] for message in gateway.asked[3][1]["messages"]]
    assert history[-2].startswith("Reply B of call 3")
    assert history[-1] == "question 4"
    page.reload()
    assert page.get_by_text("Reply B of call 3").count() == 1


def test_the_switch_gives_two_answers_from_the_first_turn(page: Any, demo: str) -> None:
    page.goto(demo)
    page.get_by_label("Always show two answers").check()
    say(page, "hello")
    page.locator("thumbwheel-choice").wait_for()


def test_stop_keeps_what_was_written_and_stops_the_model(page: Any, gateway: StubGateway, demo: str) -> None:
    gateway.delay_s = 0.1
    page.goto(demo)
    say(page, "one two three four five six seven eight nine ten " * 5)
    page.get_by_text("Answer 1").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. The answer is not complete.").wait_for()
    time.sleep(0.5)
    sent = gateway.pieces_sent
    time.sleep(0.5)
    assert gateway.pieces_sent <= sent + 1 < 30


def test_a_model_that_is_busy_says_so_and_retry_answers(page: Any, gateway: StubGateway, demo: str) -> None:
    gateway.broken = True
    page.goto(demo)
    say(page, "hello")
    page.get_by_text("The model is busy. Try again in a moment.").wait_for()
    gateway.broken = False
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("Answer 1").wait_for()
    assert [m["role"] for m in gateway.asked[0][1]["messages"]] == ["system", "user"]


def test_another_answer_after_a_failed_one_starts_without_its_vote(page: Any, stub: Any, demo: str) -> None:
    page.goto(demo)
    say(page, "hello")
    up = page.get_by_role("button", name="Good answer")
    up.click()
    stub.wait(1, "thumb")
    # As it is kept when the connection ends in the middle of an answer.
    page.evaluate(
        """() => {
            const state = JSON.parse(localStorage.getItem("harbour.chat"));
            state.turns[0].end = "failed";
            localStorage.setItem("harbour.chat", JSON.stringify(state));
        }"""
    )
    page.reload()
    assert up.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Try again").wait_for(state="detached")
    up.wait_for()
    assert up.get_attribute("aria-pressed") == "false"


def test_composing_chinese_does_not_send(page: Any, gateway: StubGateway, demo: str) -> None:
    page.goto(f"{demo}/?lang=zh-Hans")
    page.get_by_label("消息").fill("退款")
    page.get_by_label("消息").evaluate(
        "node => node.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    time.sleep(0.2)
    assert gateway.asked == []
    page.keyboard.press("Enter")
    page.get_by_role("button", name="回答得好").wait_for()


def test_chat_works_while_the_collector_is_away(page: Any, demo: str) -> None:
    page.expected_errors.append("ERR_FAILED")
    page.route("**/sdk/thumbwheel.js", lambda route: route.abort())
    page.goto(demo)
    assert page.get_by_role("alert").inner_text() == TEXTS["en"]["no_sdk"]
    say(page, "hello")
    page.get_by_text("Answer 1").wait_for()


def test_workbench_journey(page: Any, stub: Any, gateway: StubGateway, demo: str) -> None:
    page.goto(f"{demo}/workbench")
    bench = page.locator("thumbwheel-workbench")
    bench.get_by_role("article").nth(3).wait_for()
    eventually(lambda: len(gateway.asked) == 2)  # the next one's replies, while the first is read
    for key in ("2", "e", "Control+End", "!", "Control+Enter"):
        page.keyboard.press(key)
    event = stub.wait(1, "pick")[0]
    assert (event["chosen"], event["edited_text"][-1], event["actor"]["kind"]) == ("tw1.c1.2", "!", "agent")
    sent = page.get_by_role("complementary")
    assert sent.get_by_text("Parcel marked delivered · edited").count() == 1
    assert page.get_by_role("heading", name="Delivery is five days late").count() == 1
    page.keyboard.press("Control+z")
    assert stub.wait(1, "retract")[0]["target"] == event["event_id"]
    assert page.get_by_role("heading", name="Parcel marked delivered").count() == 1
    assert bench.get_by_label("Your reply").input_value() == event["edited_text"]
    assert sent.get_by_text("Nothing sent yet").count() == 1
    page.reload()
    assert bench.get_by_label("Your reply").input_value() == event["edited_text"]
    assert page.get_by_text("42 left").count() == 1


def test_skip_and_back_walk_the_queue(page: Any, gateway: StubGateway, demo: str) -> None:
    page.goto(f"{demo}/workbench")
    bench = page.locator("thumbwheel-workbench")
    bench.get_by_role("article").first.wait_for()
    bench.evaluate("node => node.focus()")
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="Delivery is five days late").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="Parcel marked delivered").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="想换大一码").wait_for()


def test_queue_shows_that_all_is_done_and_starts_again(page: Any, demo: str) -> None:
    page.goto(f"{demo}/workbench")
    page.locator("thumbwheel-workbench").get_by_role("article").first.wait_for()
    # The page writes its state once more when the next question's replies are there: not over what is written here.
    ready = """() => Object.keys(JSON.parse(localStorage.getItem("harbour.workbench")).ready).length === 2"""
    eventually(lambda: page.evaluate(ready))
    page.evaluate(
        """() => {
            const state = JSON.parse(localStorage.getItem("harbour.workbench"));
            const ids = Array.from({length: 42}, (_, n) => "q" + String(n + 1).padStart(2, "0"));
            state.sent = ids.map(id => ({question_id: id, interaction_id: id, outcome: "none", text: "sent"}));
            localStorage.setItem("harbour.workbench", JSON.stringify(state));
        }"""
    )
    page.reload()
    page.get_by_text("All questions are answered.").wait_for()
    page.get_by_role("button", name="Start the queue again").click()
    page.locator("thumbwheel-workbench").get_by_role("article").first.wait_for()


def test_customers_reaction_reaches_the_collector_from_the_backend(page: Any, stub: Any, demo: str) -> None:
    page.goto(f"{demo}/workbench")
    page.locator("thumbwheel-workbench").get_by_role("article").first.click()
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Solved", exact=True).click()
    event = stub.wait(1, "thumb")[0]
    assert (event["value"], event["actor"]["id"], event["candidate_id"]) == ("up", "customer-q01", "tw1.c1.1")
    assert stub.bodies[-1].get("key") != "tw_pub_test"


def test_pages_have_a_policy_without_inline_script(demo: str) -> None:
    for path in ("/", "/workbench"):
        with urllib.request.urlopen(demo + path) as answer:
            html, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html)
        assert "tw_sec" not in html


def test_no_text_is_empty_and_both_languages_say_the_same_things() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh-Hans"].keys()
    assert [name for texts in TEXTS.values() for name, text in texts.items() if not text.strip()] == []
