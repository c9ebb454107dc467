"""An element shows an interaction and its replies: feedback is about what is on the screen, never about what was.

In: the three elements, reused for other replies by the host page. Out: the events a collector gets, and what stands.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import REPLIES, Stub, heard, item, show
from tests.waiting import eventually

pytestmark = pytest.mark.browser


def one(reply: str, name: str = "i-1") -> dict[str, Any]:
    """An interaction with one reply, as a page shows one of several siblings."""
    return {"interaction_id": name, "candidates": [{"candidate_id": reply, "content": f"Text of {reply}"}]}


def pressed(thumbs: Any) -> list[str]:
    return [str(button.get_attribute("title")) for button in thumbs.locator(".thumb[aria-pressed=true]").all()]


# -- thumbs


@pytest.mark.parametrize("how", ["another reply", "another candidate-id"])
def test_a_thumb_for_one_reply_is_none_for_the_next(page: Any, stub: Stub, mount: Any, how: str) -> None:
    both = {"interaction_id": "i-1", "candidates": [{"candidate_id": "r1"}, {"candidate_id": "r2"}]}
    thumbs = mount("thumbwheel-thumbs", one("r1") if how == "another reply" else both)
    turn = {
        "another reply": lambda reply: show(page, one(reply)),
        "another candidate-id": lambda reply: thumbs.evaluate(
            "(node, id) => node.setAttribute('candidate-id', id)", reply
        ),
    }[how]
    up = thumbs.get_by_role("button", name="Good answer")
    up.click()
    stub.wait(1)
    turn("r2")
    assert pressed(thumbs) == []
    assert thumbs.get_by_role("button", name="Undo").count() == 0
    thumbs.evaluate("node => node.focus()")
    page.keyboard.press("Control+z")
    up.click()
    events = stub.wait(2)
    assert [(event["type"], event["candidate_id"], event["value"]) for event in events] == [
        ("thumb", "r1", "up"),
        ("thumb", "r2", "up"),
    ]
    turn("r1")
    assert pressed(thumbs) == ["Good answer"]
    up.click()
    retract = stub.wait(1, "retract")[0]
    assert retract["target"] == events[0]["event_id"]
    assert pressed(thumbs) == []


def test_a_comment_stays_with_the_reply_it_was_written_about(page: Any, stub: Stub, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs", one("r1"))
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_role("button", name="Incorrect").click()
    thumbs.get_by_label("Comment").fill("about r1")
    show(page, one("r2"))
    assert thumbs.get_by_label("Comment").count() == 0
    thumbs.get_by_role("button", name="Bad answer").click()
    assert thumbs.get_by_label("Comment").input_value() == ""
    thumbs.get_by_label("Comment").fill("about r2")
    page.keyboard.press("Control+Enter")
    show(page, None)
    show(page, one("r1"))
    assert thumbs.get_by_label("Comment").input_value() == "about r1"
    thumbs.get_by_role("button", name="Send").click()
    said = [event for event in stub.wait(4) if "comment" in event]
    assert [(event["candidate_id"], event["comment"], event["reasons"]) for event in said] == [
        ("r2", "about r2", []),
        ("r1", "about r1", ["incorrect"]),
    ]


def test_what_became_of_another_replys_thumb_is_told_but_not_shown(page: Any, stub: Stub, mount: Any) -> None:
    error = {"code": "invalid_event", "message": "Refused.", "hint": "No."}
    stub.answer = lambda body: (
        207,
        {"results": [{"event_id": e["event_id"], "status": "rejected", "error": error} for e in body["events"]]},
    )
    thumbs = mount("thumbwheel-thumbs", one("r1"))
    thumbs.evaluate(
        """(node, next) => { node.shadowRoot.querySelector(".up").click(); node.interaction = next }""", one("r2")
    )
    eventually(lambda: heard(page, "error"))
    assert heard(page, "error")[0]["event"]["candidate_id"] == "r1"
    assert thumbs.get_by_role("alert").inner_text() == ""


def test_a_restored_thumb_is_cleared_by_one_click(page: Any, stub: Stub, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs", one("r1"))
    thumbs.evaluate("node => { node.vote = 'up' }")
    thumbs.get_by_role("button", name="Good answer").click()
    assert pressed(thumbs) == []
    given, taken = stub.wait(2)
    assert (given["type"], given["candidate_id"], given["value"]) == ("thumb", "r1", "up")
    assert (taken["type"], taken["target"]) == ("retract", given["event_id"])
    assert (len(heard(page, "submit")), len(heard(page, "undo"))) == (0, 1)
    assert thumbs.get_by_role("status").inner_text() == "Taken back"
    thumbs.get_by_role("button", name="Bad answer").click()
    assert pressed(thumbs) == ["Bad answer"]


def test_a_candidate_id_left_over_from_another_reply_does_not_count(page: Any, stub: Stub, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs", one("r1"), candidate_id="r1")
    show(page, one("r2", "i-2"))
    thumbs.get_by_role("button", name="Good answer").click()
    event = stub.wait(1)[0]
    assert (event["interaction_id"], event["candidate_id"]) == ("i-2", "r2")


def test_a_thumb_goes_to_what_was_shown_also_when_the_host_changes_its_object(
    page: Any, stub: Stub, mount: Any
) -> None:
    thumbs = mount("thumbwheel-thumbs")
    page.evaluate("x => { window.own = x; document.querySelector('main').firstChild.interaction = own }", one("r1"))
    page.evaluate("() => { own.interaction_id = 'i-9'; own.candidates[0].candidate_id = 'r9' }")
    thumbs.get_by_role("button", name="Good answer").click()
    event = stub.wait(1)[0]
    assert (event["interaction_id"], event["candidate_id"]) == ("i-1", "r1")


def test_what_was_set_before_the_script_loaded_holds(page: Any, stub: Stub, mount: Any) -> None:
    page.expected_errors += ["ERR_FAILED", "Failed to load resource"]
    page.route("**/sdk/thumbwheel.js", lambda route: route.abort())
    page.goto(f"{stub.host}/page")
    page.evaluate(
        """([first, second, pair]) => {
            const main = document.querySelector("main");
            for (const name of ["thumbs", "choice", "workbench"])
                main.append(document.createElement("thumbwheel-" + name));
            const [thumbs, choice, bench] = main.children;
            thumbs.setAttribute("candidate-id", "r1");
            const reasons = {down: [{value: "dull", label: "Dull"}]};
            Object.assign(thumbs, {vote: "down", interaction: first, reasons});
            thumbs.setAttribute("candidate-id", "r2");
            thumbs.interaction = second;
            choice.interaction = bench.interaction = pair;
        }""",
        [one("r1"), one("r2"), item(replies=REPLIES[:2])],
    )
    page.unroute("**/sdk/thumbwheel.js")
    page.evaluate(
        """url => new Promise(done => {
            trustedTypes.createPolicy("default", {createScriptURL: one => one});
            const script = document.createElement("script");
            script.src = url + "/sdk/thumbwheel.js";
            script.onload = () => done(Thumbwheel.init({url, key: "tw_pub_test", actor: "u-1"}) && 0);
            document.head.append(script);
        })""",
        stub.collector,
    )
    thumbs = page.locator("thumbwheel-thumbs")
    assert pressed(thumbs) == ["Bad answer"]
    thumbs.get_by_role("button", name="Good answer").click()
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_role("button", name="Dull").click()
    thumbs.get_by_role("button", name="Send").click()
    assert {event["candidate_id"] for event in stub.wait(3)} == {"r2"}
    page.locator("thumbwheel-choice").get_by_role("button", name="This one Reply 2").click()
    assert stub.wait(1, "choice")[0]["chosen"] == "i-1.c2"
    assert page.locator("thumbwheel-workbench article").count() == 2


# -- choice


def test_a_choice_among_new_answers_is_open_again(page: Any, stub: Stub, mount: Any) -> None:
    choice = mount("thumbwheel-choice", item(replies=REPLIES[:2]))
    choice.get_by_role("button", name="This one Reply 1").click()
    stub.wait(1, "choice")
    again = item(replies=REPLIES[2:])
    for n, candidate in enumerate(again["candidates"]):
        candidate["candidate_id"] = f"new-{n}"
    show(page, again)
    assert choice.locator("button[aria-pressed=true], button:disabled").count() == 0
    choice.get_by_role("button", name="This one Reply 2").click()
    second = stub.wait(2, "choice")[1]
    assert (second["chosen"], second["shown"]) == ("new-1", ["new-0", "new-1"])
    page.keyboard.press("Control+z")
    assert stub.wait(1, "retract")[0]["target"] == second["event_id"]


def test_undo_of_a_choice_shows_the_answers_it_was_about(page: Any, stub: Stub, mount: Any) -> None:
    choice = mount("thumbwheel-choice", item(replies=REPLIES[:2]))
    choice.get_by_role("button", name="This one Reply 1").click()
    show(page, item(replies=REPLIES[:3]))
    choice.get_by_role("button", name="Undo").click()
    assert choice.locator("article").count() == 2
    choice.get_by_role("button", name="This one Reply 2").click()
    assert stub.wait(2, "choice")[1]["shown"] == ["i-1.c1", "i-1.c2"]


# -- workbench


def test_new_replies_to_the_same_question_begin_without_the_old_pick(page: Any, stub: Stub, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("article", name="Reply 4").click()
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type("!")
    again = item(replies=["New one", "New two"])
    for n, candidate in enumerate(again["candidates"]):
        candidate["candidate_id"] = f"new-{n}"
    show(page, again)
    assert bench.locator(".card.chosen").count() == 0
    page.keyboard.press("Control+Enter")
    assert bench.get_by_role("alert").inner_text().startswith("Nothing is picked yet.")
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.press("Control+Enter")
    pick = stub.wait(1, "pick")[0]
    assert (pick["chosen"], pick["shown"], "edited_text" in pick) == ("new-0", ["new-0", "new-1"], False)
    show(page, item())
    assert bench.get_by_label("Your reply").input_value() == REPLIES[3] + "!"
    assert bench.locator(".card.chosen").get_attribute("aria-label") == "Reply 4"
    page.keyboard.press("Control+z")
    assert bench.locator("article").count() == 2
    assert stub.wait(1, "retract")[0]["target"] == pick["event_id"]


def test_a_draft_of_the_release_before_is_taken_over_where_it_fits(page: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    page.evaluate(
        """() => {
            for (const [name, id] of [["old-1", "old-1.c2"], ["old-2", "gone"]])
                localStorage.setItem("thumbwheel.draft." + name, JSON.stringify({
                    outcome: "chosen", chosen: id, base: id, editing: true, texts: {[id]: "Kept"}, dwell: 5,
                    saved: Date.now(),
                }));
        }"""
    )
    show(page, item("old-1"))
    assert bench.get_by_label("Your reply").input_value() == "Kept"
    show(page, item("old-2"))
    assert bench.locator(".card.chosen").count() == 0
    assert not bench.get_by_label("Your reply").is_visible()


def test_an_item_that_another_tab_sent_is_not_sent_again(page: Any, stub: Stub, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    other = page.context.new_page()
    other.goto(f"{stub.host}/page")
    other.evaluate(
        """([url, given]) => {
            Thumbwheel.init({url, key: "tw_pub_test", actor: "u-1"});
            const bench = document.createElement("thumbwheel-workbench");
            bench.interaction = given;
            document.querySelector("main").append(bench);
        }""",
        [stub.collector, item()],
    )
    for tab in (page, other):
        tab.bring_to_front()
        tab.get_by_role("article", name="Reply 1").click()
    page.bring_to_front()
    page.keyboard.press("Control+Enter")
    stub.wait(1, "pick")
    said = other.get_by_role("alert").filter(has_text="another tab")
    said.wait_for()
    other.bring_to_front()
    other.get_by_role("button", name="Send and next").click()
    page.wait_for_timeout(300)
    assert len(stub.events("pick")) == 1
    page.bring_to_front()
    bench.get_by_role("button", name="Undo").click()
    said.wait_for(state="detached")
    other.get_by_role("button", name="Send and next").click()
    assert len(stub.wait(2, "pick")) == 2


# -- the page around them


def test_the_elements_follow_the_pages_language(page: Any, stub: Stub, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs")
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_label("Comment").fill("wrong date")
    page.evaluate(
        """() => {
            const frame = document.createElement("div");
            const own = document.createElement("thumbwheel-choice");
            frame.attachShadow({mode: "open"}).append(own);
            own.interaction = {interaction_id: "i-2", candidates: [{candidate_id: "a", content: "a"}]};
            document.body.append(frame);
            document.documentElement.lang = "zh-CN";
        }"""
    )
    thumbs.get_by_role("button", name="回答得不好").wait_for()
    assert thumbs.get_by_label("补充说明").input_value() == "wrong date"
    assert page.locator("thumbwheel-choice").get_by_role("heading").inner_text() == "哪个回答更好？"
    page.evaluate("document.documentElement.lang = 'en'")
    thumbs.get_by_role("button", name="Good answer").wait_for()


def test_the_workbench_takes_the_focus_where_the_page_asks_for_it(page: Any, stub: Stub, mount: Any) -> None:
    bench = mount("thumbwheel-workbench", autofocus="")
    page.keyboard.press("2")
    assert bench.locator(".card.chosen").get_attribute("aria-label") == "Reply 2"
    bench = mount("thumbwheel-workbench", item("i-2"))
    page.keyboard.press("2")
    assert bench.locator(".card.chosen").count() == 0 and heard(page, "host key") == ["2"]


def test_the_workbenchs_buttons_stay_in_sight(page: Any, stub: Stub, mount: Any) -> None:
    bench = mount("thumbwheel-workbench", item(replies=["long\n" * 120, "short"]))
    submit = bench.get_by_role("button", name="Send and next")
    box = submit.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 900
    bench.get_by_role("button", name="Pick").first.focus()
    under = bench.evaluate(
        """node => {
            const at = node.shadowRoot.activeElement.getBoundingClientRect();
            const bar = node.shadowRoot.querySelector(".actions").getBoundingClientRect();
            return at.bottom > bar.top && at.top < bar.bottom;
        }"""
    )
    assert not under
