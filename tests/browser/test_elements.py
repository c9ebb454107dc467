"""The three elements in a host page with a strict Content-Security-Policy, across origins from the collector."""

import time
from typing import Any

import pytest

from tests.browser.conftest import REPLIES, heard, item, show
from tests.waiting import eventually

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> & "quotes"'


def compose(element: Any, selector: str, key: str, **init: Any) -> None:
    """A key as an input method sends it while it composes."""
    element.locator(selector).evaluate(
        """(node, init) => node.dispatchEvent(
            new KeyboardEvent("keydown", {bubbles: true, composed: true, cancelable: true, ...init}))""",
        {"key": key, **init},
    )


# -- thumbs


def test_thumb_is_sent_at_once_and_reasons_replace_it(page: Any, stub: Any, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs")
    thumbs.get_by_role("button", name="Bad answer").click()
    first = stub.wait(1)[0]
    assert (first["type"], first["value"], first["candidate_id"]) == ("thumb", "down", "i-1.c1")
    assert first["conversation_id"] == "k-1"
    thumbs.get_by_role("button", name="Incorrect").click()
    thumbs.get_by_label("Comment").fill("The date is wrong")
    thumbs.get_by_role("button", name="Send").click()
    second = stub.wait(2)[1]
    assert second["reasons"] == ["incorrect"]
    assert second["comment"] == "The date is wrong"
    assert thumbs.get_by_role("status").inner_text() == "Thank you"


def test_change_of_mind_and_undo(page: Any, stub: Any, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs")
    up, down = thumbs.get_by_role("button", name="Good answer"), thumbs.get_by_role("button", name="Bad answer")
    up.click()
    down.click()
    assert (up.get_attribute("aria-pressed"), down.get_attribute("aria-pressed")) == ("false", "true")
    assert [event["value"] for event in stub.wait(2, "thumb")] == ["up", "down"]
    thumbs.get_by_role("button", name="Undo").click()
    retract = stub.wait(1, "retract")[0]
    assert retract["target"] == stub.events("thumb")[1]["event_id"]
    assert retract["interaction_id"] == "i-1"
    assert down.get_attribute("aria-pressed") == "false"
    up.click()
    up.click()
    assert len(stub.wait(2, "retract")) == 2


def test_thumbs_take_a_chat_completion(stub: Any, mount: Any) -> None:
    completion = {"id": "chat-7", "choices": [{"candidate_id": "tw1.x", "message": {"content": "Hello"}}]}
    mount("thumbwheel-thumbs", completion).get_by_role("button", name="Good answer").click()
    event = stub.wait(1)[0]
    assert (event["interaction_id"], event["candidate_id"]) == ("chat-7", "tw1.x")


def test_rejected_feedback_is_said_where_it_happened(page: Any, stub: Any, mount: Any) -> None:
    error = {"code": "type_not_allowed", "message": "This key may not write thumbs.", "hint": "Use another key."}
    stub.answer = lambda body: (
        207,
        {"results": [{"event_id": e["event_id"], "status": "rejected", "error": error} for e in body["events"]]},
    )
    thumbs = mount("thumbwheel-thumbs")
    thumbs.get_by_role("button", name="Good answer").click()
    alert = thumbs.get_by_role("alert").filter(has_text="may not write")
    alert.wait_for()
    assert alert.inner_text() == "Not saved. This key may not write thumbs. Use another key."
    assert heard(page, "error")[0]["error"]["code"] == "type_not_allowed"


def test_host_may_cancel_the_submission(page: Any, stub: Any, mount: Any) -> None:
    thumbs = mount("thumbwheel-thumbs")
    page.evaluate("document.addEventListener('thumbwheel-submit', e => e.preventDefault())")
    thumbs.get_by_role("button", name="Good answer").click()
    time.sleep(0.2)
    assert stub.bodies == []
    assert len(heard(page, "submit")) == 1


# -- choice


@pytest.mark.parametrize(
    ("key", "outcome", "chosen"),
    [("2", "chosen", "i-1.c2"), ("0", "tie", None), ("t", "tie", None), ("b", "none", None)],
)
def test_choice_by_key(page: Any, stub: Any, mount: Any, key: str, outcome: str, chosen: str | None) -> None:
    choice = mount("thumbwheel-choice", item(replies=REPLIES[:2]))
    choice.evaluate("node => node.focus()")
    page.keyboard.press(key)
    event = stub.wait(1, "choice")[0]
    assert (event["outcome"], event["chosen"], event["shown"]) == (outcome, chosen, ["i-1.c1", "i-1.c2"])
    assert event["context"]["dwell_ms"] >= 0
    assert heard(page, "host key") == []
    page.keyboard.press("Control+z")
    assert stub.wait(1, "retract")[0]["target"] == event["event_id"]
    assert choice.locator("button:disabled").count() == 0


def test_choice_among_images_with_a_broken_one(page: Any, stub: Any, mount: Any) -> None:
    page.expected_errors += ["404", "Failed to load resource", "violates the following Content Security Policy"]
    good = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='40' height='80'/%3E"
    urls = (good, f"{stub.host}/none.png", "javascript:1")
    images = [[{"type": "image_url", "image_url": {"url": url}}] for url in urls]
    choice = mount("thumbwheel-choice", item(replies=images))
    choice.get_by_text("The image could not be loaded.").nth(1).wait_for()
    assert choice.locator("img").count() == 1
    choice.get_by_role("button", name="This one Reply 1").click()
    assert stub.wait(1)[0]["chosen"] == "i-1.c1"


# -- workbench


def test_pick_by_key_edit_and_submit(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.evaluate("node => node.focus()")
    page.keyboard.press("1")
    page.keyboard.press("e")
    editor = bench.get_by_label("Your reply")
    assert editor.input_value() == REPLIES[0]
    page.keyboard.press("Control+Home")
    page.keyboard.type("Hello! 1 2 b ")
    bench.locator(".diff ins").get_by_text("Hello! 1 2 b ", exact=True).wait_for()
    page.keyboard.press("Control+Enter")
    event = stub.wait(1)[0]
    assert (event["type"], event["outcome"], event["chosen"], event["sent"]) == ("pick", "chosen", "i-1.c1", True)
    assert event["edited_text"] == "Hello! 1 2 b " + REPLIES[0]
    assert event["dwell_ms"] > 0
    assert heard(page, "submit")[0]["text"] == event["edited_text"]
    assert heard(page, "host key") == []


def test_unedited_pick_carries_no_edited_text(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("article", name="Reply 3").click()
    page.keyboard.press("Control+Enter")
    event = stub.wait(1)[0]
    assert event["chosen"] == "i-1.c3"
    assert "edited_text" not in event
    assert heard(page, "submit")[0]["text"] == REPLIES[2]


def test_none_is_good_opens_an_empty_editor_and_tie_the_focused_reply(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("button", name="Pick").nth(1).focus()
    page.keyboard.press("t")
    editor = bench.get_by_label("Your reply")
    assert editor.input_value() == REPLIES[1]
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    assert editor.input_value() == ""
    page.keyboard.type("My own answer")
    page.keyboard.press("Control+Enter")
    event = stub.wait(1)[0]
    assert (event["outcome"], event["chosen"], event["edited_text"]) == ("none", None, "My own answer")


def test_undo_brings_the_item_back_with_its_draft(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.evaluate("node => node.focus()")
    for key in ("2", "e", "End", "!", "Control+Enter"):
        page.keyboard.press(key)
    pick = stub.wait(1, "pick")[0]
    show(page, item("i-2"))
    assert bench.evaluate("node => node.shadowRoot.activeElement.localName") == "h2"
    page.keyboard.press("Control+z")
    retract = stub.wait(1, "retract")[0]
    assert (retract["target"], retract["interaction_id"]) == (pick["event_id"], "i-1")
    assert bench.get_by_label("Your reply").input_value() == pick["edited_text"]
    assert heard(page, "undo")[0]["interaction"]["interaction_id"] == "i-1"
    page.keyboard.press("Control+Enter")
    assert stub.wait(2, "pick")[1]["edited_text"] == pick["edited_text"]


def test_submitted_undo_bar_stays_until_the_next_submit(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    for name in ("i-1", "i-2"):
        show(page, item(name))
        bench.get_by_role("article", name="Reply 1").click()
        page.keyboard.press("Control+Enter")
        assert bench.get_by_role("status").inner_text() == "Submitted"
        assert bench.get_by_role("button", name="Undo").count() == 1
    bench.get_by_role("button", name="Undo").click()
    assert stub.wait(1, "retract")[0]["interaction_id"] == "i-2"
    assert bench.get_by_role("button", name="Undo").count() == 0


def test_undo_goes_after_undo_seconds(page: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench", undo_seconds="0.3")
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.press("Control+Enter")
    assert bench.get_by_role("button", name="Undo").count() == 1
    bench.get_by_role("button", name="Undo").wait_for(state="detached")


def test_draft_survives_a_reload(page: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("article", name="Reply 4").click()
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type("谢谢")
    bench = mount("thumbwheel-workbench")
    assert bench.get_by_label("Your reply").input_value() == REPLIES[3] + "谢谢"
    assert bench.locator(".card.chosen").get_attribute("aria-label") == "Reply 4"


def test_chinese_edit_is_compared_per_character(page: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench", lang="zh-CN")
    bench.get_by_role("article", name="回复 4").click()
    page.keyboard.press("e")
    bench.get_by_label("您的回复").fill("您的包裹后天会送到。")
    assert bench.locator(".diff del").inner_text() == "明"
    assert bench.locator(".diff ins").inner_text() == "后"
    assert "删除" in bench.locator(".legend").inner_text()


def test_an_input_method_that_composes_neither_submits_nor_closes(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.press("e")
    editor = bench.get_by_label("Your reply")
    compose(bench, "textarea", "Enter", isComposing=True, ctrlKey=True)
    compose(bench, "textarea", "Process", keyCode=229, ctrlKey=True)
    compose(bench, "textarea", "Escape", isComposing=True)
    assert editor.is_visible()
    time.sleep(0.2)
    assert stub.bodies == []
    page.keyboard.press("Escape")
    assert not editor.is_visible()


def test_keys_act_only_inside_and_backspace_never(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    page.keyboard.press("1")
    assert bench.locator(".card.chosen").count() == 0
    assert heard(page, "host key") == ["1"]
    bench.evaluate("node => node.focus()")
    for key in ("Backspace", "x", "Alt+1", "Shift+Tab"):
        page.keyboard.press(key)
    assert bench.locator(".card.chosen").count() == 0


def test_held_submit_key_submits_once(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.down("Control")
    page.keyboard.down("Enter")
    show(page, item("i-2"))
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    time.sleep(0.2)
    assert len(stub.events("pick")) == 1


def test_submitting_without_a_pick_says_what_to_do(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.evaluate("node => node.focus()")
    page.keyboard.press("Control+Enter")
    assert bench.get_by_role("alert").inner_text().startswith("Nothing is picked yet.")
    page.keyboard.press("1")
    assert bench.get_by_role("alert").inner_text() == ""


def test_arrows_ask_the_host_for_another_item(page: Any, mount: Any) -> None:
    mount("thumbwheel-workbench").evaluate("node => node.focus()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert heard(page, "skip")[0]["interaction"]["interaction_id"] == "i-1"
    assert len(heard(page, "back")) == 1


def test_question_mark_lists_the_keys_and_switches_them_off(page: Any, stub: Any, mount: Any) -> None:
    bench = mount("thumbwheel-workbench")
    bench.evaluate("node => node.focus()")
    page.keyboard.press("?")
    assert "submit and go on" in bench.locator("[part=keys]").inner_text()
    bench.get_by_role("checkbox").uncheck()
    page.keyboard.press("2")
    assert bench.locator(".card.chosen").count() == 0
    bench.get_by_role("checkbox").check()
    page.keyboard.press("2")
    assert bench.locator(".card.chosen").get_attribute("aria-label") == "Reply 2"
    page.keyboard.press("Escape")
    assert not bench.locator("[part=keys]").is_visible()


# -- what every element does


@pytest.mark.parametrize("tag", ["thumbwheel-choice", "thumbwheel-workbench"])
def test_hostile_text_is_shown_and_not_executed(page: Any, stub: Any, mount: Any, tag: str) -> None:
    element = mount(tag, item(replies=[HOSTILE, "fine"]))
    assert element.get_by_text(HOSTILE).count() == 1
    if tag == "thumbwheel-workbench":
        element.get_by_role("article", name="Reply 2").click()
        page.keyboard.press("e")
        element.get_by_label("Your reply").fill(HOSTILE)
        page.wait_for_timeout(50)
    assert element.locator("img, script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_without_a_client_the_element_says_so(page: Any, mount: Any) -> None:
    page.expected_errors.append("ERR_")
    thumbs = mount("thumbwheel-thumbs")
    page.evaluate("Object.defineProperty(document.querySelector('thumbwheel-thumbs'), 'client', {value: null})")
    thumbs.get_by_role("button", name="Good answer").click()
    assert "has not said where feedback goes" in thumbs.get_by_role("alert").inner_text()


def test_feedback_given_offline_is_sent_after_a_reload(page: Any, stub: Any, mount: Any) -> None:
    page.expected_errors += ["ERR_INTERNET_DISCONNECTED", "Failed to load resource", "ERR_FAILED"]
    thumbs = mount("thumbwheel-thumbs")
    page.route("**/v1/events", lambda route: route.abort())
    thumbs.get_by_role("button", name="Good answer").click()
    time.sleep(0.2)
    assert stub.bodies == []
    page.unroute("**/v1/events")
    mount("thumbwheel-thumbs")
    assert stub.wait(1)[0]["value"] == "up"
    stored = "Object.keys(localStorage).filter(k => k.startsWith('thumbwheel.1.')).length"
    # A page that is left while it sends leaves its claim behind, which holds for 20 s.
    eventually(lambda: page.evaluate(stored) == 0, 40)


def test_feedback_given_while_leaving_arrives(page: Any, stub: Any, mount: Any) -> None:
    mount("thumbwheel-thumbs")
    page.evaluate(
        """() => {
            for (let n = 0; n < 50; n++)
                Thumbwheel.thumb({interaction_id: "i-1", candidate_id: "c-" + n, value: "up"});
            location.href = "about:blank";
        }"""
    )
    assert len(stub.wait(50)) == 50


def test_two_tabs_send_each_event_once(chromium: Any, stub: Any) -> None:
    context = chromium.new_context()
    tabs = [context.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(f"{stub.host}/page")
        tab.evaluate("url => { Thumbwheel.init({url, key: 'tw_pub_test', actor: 'u-1'}) }", stub.collector)
    for n in range(20):
        tabs[n % 2].evaluate("n => { Thumbwheel.thumb({interaction_id: 'i', candidate_id: 'c' + n, value: 'up'}) }", n)
    stub.wait(20)
    assert all(tab.evaluate("Thumbwheel.flush()") for tab in tabs)
    sent = [event["event_id"] for body in stub.bodies for event in body["events"]]
    assert (len(sent), len(set(sent))) == (20, 20)
    context.close()


def test_a_secret_key_in_a_page_sends_nothing(page: Any, stub: Any, mount: Any) -> None:
    mount("thumbwheel-thumbs")
    got = page.evaluate(
        """url => new Promise(done => Thumbwheel.init({url, key: "tw_sec_x", actor: "u", onError: done})
            .thumb({interaction_id: "i", candidate_id: "c", value: "up"}))""",
        stub.collector,
    )
    assert got["code"] == "secret_key"
    assert stub.bodies == []
