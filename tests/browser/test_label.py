"""The element that asks one label: every kind of question, in a strict page, and from it to a real collector's log."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import Stub, heard, item
from tests.browser.site import Site, open_site
from tests.browser.test_axe import axe, violations
from tests.waiting import eventually

__all__ = ["axe"]

pytestmark = pytest.mark.browser

POLITE = {
    "path": "tone/polite", "version": 3, "kind": "bool", "scope": "interaction", "min": None, "history": [],
    "title": {"en": "Is it polite?", "zh": "是否礼貌？"}, "description": {"en": "Wording, not content.", "zh": ""},
}  # fmt: skip
TONE = {
    "path": "tone", "version": 1, "kind": "choice", "title": {"en": "Tone", "zh": "语气"},
    "choices": [
        {"key": "kind", "title": {"en": "Kind", "zh": "友善"}, "shortcut": "k"},
        {"key": "gone", "title": {"en": "Gone"}, "archived": True},
        {"key": "rude", "title": {"en": "Rude", "zh": "生硬"}},
    ],
}  # fmt: skip
FLAWS = TONE | {"path": "flaws", "kind": "multi", "title": {"en": "What is wrong?", "zh": "哪里不好？"}}
HELPFUL = {"path": "helpful", "kind": "rating", "scope": "candidate", "title": "Helpful", "min": 1, "max": 5, "step": 1}
SURE = {"path": "sure", "version": 2, "kind": "rating", "title": "How sure?", "min": 0, "max": 100, "step": 5}
WHY = {"path": "why", "version": 0, "kind": "text", "title": {"en": "Why?", "zh": "为什么？"}}
DEFINE = """async ([label, url]) => {
    const element = document.querySelector("thumbwheel-label");
    // Set before its script has loaded, as a page may.
    if (element) Object.assign(element, {label, client: Thumbwheel.getClient()});
    (await import(url)).defineLabel();
}"""

Ask = Callable[..., Any]


@pytest.fixture
def ask(page: Any, stub: Stub, mount: Callable[..., Any]) -> Ask:
    """Puts a label into the host page; answers with the element's locator."""

    def asked(label: dict[str, Any], interaction: dict[str, Any] | None = None, **attributes: str) -> Any:
        element = mount("thumbwheel-label", interaction, **attributes)
        page.evaluate(DEFINE, [label, f"{stub.collector}/sdk/thumbwheel-label.js"])
        return element

    return asked


def pressed(element: Any) -> list[str]:
    """Return the answers that stand as given."""
    return list(element.locator("[aria-pressed=true]").all_inner_texts())


def annotations(stub: Stub, count: int) -> list[dict[str, Any]]:
    return stub.wait(count, "annotation")


def test_a_press_answers_and_another_one_replaces_it(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(POLITE)
    assert element.get_by_role("group", name="Is it polite?").count() == 1
    assert element.get_by_text("Wording, not content.").count() == 1
    element.get_by_role("button", name="Yes").click()
    (first,) = annotations(stub, 1)
    assert (first["answers"], first["label_versions"]) == ({"tone/polite": True}, {"tone/polite": 3})
    assert (first["interaction_id"], first["conversation_id"], first["actor"]["kind"]) == ("i-1", "k-1", "user")
    assert "unit" not in first and "task_id" not in first
    element.get_by_role("button", name="No").click()
    assert annotations(stub, 2)[1]["answers"] == {"tone/polite": False}
    assert element.locator("[aria-pressed=true]").get_attribute("aria-keyshortcuts") == "N"
    assert element.get_by_role("status").inner_text() == "Thank you"
    assert [one["event"]["answers"]["tone/polite"] for one in heard(page, "submit")] == [True, False]


def test_undo_takes_the_answer_back_and_so_does_a_second_press(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(TONE)
    rude = element.get_by_role("button", name="Rude")
    rude.click()
    element.get_by_role("button", name="Undo").click()
    (given,) = annotations(stub, 1)
    (retract,) = stub.wait(1, "retract")
    assert (retract["target"], retract["interaction_id"]) == (given["event_id"], "i-1")
    assert pressed(element) == []
    rude.click()
    rude.click()
    assert stub.wait(2, "retract")[1]["target"] == annotations(stub, 2)[1]["event_id"]
    assert len(heard(page, "undo")) == 2


def test_an_answer_of_an_earlier_visit_is_shown_and_can_be_taken_back(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(TONE)
    element.evaluate("node => { node.answer = 'rude' }")
    assert element.evaluate("node => node.answer") == "rude"
    element.get_by_role("button", name="Rude").click()
    assert stub.wait(1, "retract")[0]["target"] == annotations(stub, 1)[0]["event_id"]
    assert element.evaluate("node => node.answer") is None


def test_several_choices_go_together_and_none_of_them_is_an_answer_too(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(FLAWS)
    assert element.get_by_role("button", name="Gone").count() == 0
    element.evaluate("node => node.focus()")
    page.keyboard.press("2")
    page.keyboard.press("k")
    assert stub.bodies == []
    page.keyboard.press("Control+Enter")
    assert annotations(stub, 1)[0]["answers"] == {"flaws": ["kind", "rude"]}
    page.keyboard.press("k")
    page.keyboard.press("2")
    element.get_by_role("button", name="Send").click()
    assert annotations(stub, 2)[1]["answers"] == {"flaws": []}
    element.get_by_role("button", name="Send").click()
    page.wait_for_timeout(100)
    assert len(heard(page, "submit")) == 2, "what was sent is not sent again"


def test_a_rating_of_one_reply_names_the_reply(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(HELPFUL, candidate_id="i-1.c2")
    assert element.locator(".answer").all_inner_texts() == ["1", "2", "3", "4", "5"]
    element.evaluate("node => node.focus()")
    page.keyboard.press("4")
    (event,) = annotations(stub, 1)
    assert (event["answers"], event["unit"], event["candidate_id"]) == ({"helpful": 4}, "i-1.c2", "i-1.c2")
    assert "label_versions" not in event
    element.evaluate("node => node.setAttribute('candidate-id', 'i-1.c3')")
    assert pressed(element) == [], "another reply has its own answer"
    element.evaluate("node => node.setAttribute('candidate-id', 'i-1.c2')")
    assert element.evaluate("node => node.answer") == 4


def test_a_number_off_the_scale_is_said_and_not_sent(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(SURE)
    field = element.get_by_role("spinbutton", name="How sure?")
    field.fill("33")
    element.get_by_role("button", name="Send").click()
    said = element.get_by_role("alert").inner_text()
    assert said == "That is not on the scale. Give a number from 0 to 100, in steps of 5."
    field.fill("35")
    page.keyboard.press("Control+Enter")
    assert annotations(stub, 1)[0]["answers"] == {"sure": 35}
    assert element.get_by_role("alert").inner_text() == ""


def test_composed_chinese_is_sent_only_when_the_input_method_is_done(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(WHY)
    field = element.get_by_role("textbox", name="Why?")
    element.get_by_role("button", name="Send").click()
    assert "Nothing is written yet." in element.get_by_role("alert").inner_text()
    field.focus()
    client = page.context.new_cdp_session(page)
    client.send("Input.imeSetComposition", {"text": "tai chang", "selectionStart": 9, "selectionEnd": 9})
    for init in ({"isComposing": True}, {"keyCode": 229}):
        field.evaluate(
            """(node, init) => node.dispatchEvent(new KeyboardEvent("keydown",
                {key: "Enter", ctrlKey: true, bubbles: true, composed: true, cancelable: true, ...init}))""",
            init,
        )
    client.send("Input.insertText", {"text": "太长"})
    assert stub.bodies == []
    page.keyboard.press("Control+Enter")
    (event,) = annotations(stub, 1)
    assert (event["answers"], event["label_versions"]) == ({"why": "太长"}, {"why": 0})
    assert heard(page, "submit")[0]["text"] == "太长"
    element.get_by_role("button", name="Undo").click()
    stub.wait(1, "retract")
    assert field.input_value() == "太长"
    element.get_by_role("button", name="Send").click()
    assert annotations(stub, 2)[1]["answers"] == {"why": "太长"}, "what was written stays, to be sent again"


def test_keys_act_only_inside_and_a_held_one_answers_once(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(POLITE)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("y")
    assert pressed(element) == []
    element.evaluate("node => node.focus()")
    for key in ("y", "y", "Enter", "Enter", "Enter"):
        page.keyboard.down(key)
    page.keyboard.up("y")
    page.keyboard.up("Enter")
    # The first Enter pressed the focused answer again, which took it back; the held ones did nothing.
    stub.wait(1, "retract")
    page.wait_for_timeout(100)
    assert (len(heard(page, "submit")), len(heard(page, "undo"))) == (1, 1)
    page.keyboard.press("n")
    page.keyboard.press("Control+z")
    assert stub.wait(2, "retract")[1]["target"] == annotations(stub, 2)[1]["event_id"]
    page.keyboard.press("?")
    assert "give this answer" in element.locator("[part=keys]").inner_text()
    assert [key for key in heard(page, "host key") if key in "ynz?"] == ["y"]


def test_the_question_speaks_the_pages_language(page: Any, ask: Ask) -> None:
    element = ask(POLITE)
    page.evaluate("document.documentElement.lang = 'zh-CN'")
    element.get_by_role("group", name="是否礼貌？").wait_for()
    assert element.locator(".answer").all_inner_texts() == ["Y\n是", "N\n否"]
    assert element.get_by_text("Wording, not content.").count() == 1, "what has no Chinese is said in English"
    page.evaluate("l => { document.querySelector('thumbwheel-label').label = l }", TONE)
    assert element.locator(".answer").all_inner_texts() == ["K\n友善", "2\n生硬"]


def test_another_question_begins_anew_and_new_words_leave_what_was_written(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(WHY)
    field = element.get_by_role("textbox")
    field.fill("Too long")
    set_label = "label => { document.querySelector('thumbwheel-label').label = label }"
    page.evaluate(set_label, WHY | {"version": 1, "title": "Why is that so?"})
    assert element.get_by_role("textbox", name="Why is that so?").input_value() == "Too long"
    element.evaluate("(node, x) => { node.interaction = x }", item("i-2"))
    assert field.input_value() == ""
    element.evaluate("(node, x) => { node.interaction = x }", item("i-1"))
    assert field.input_value() == "Too long"
    page.keyboard.press("Tab")
    element.get_by_role("button", name="Send").click()
    event = annotations(stub, 1)[0]
    assert (event["answers"], event["label_versions"]) == ({"why": "Too long"}, {"why": 1})
    page.evaluate(set_label, None)
    assert element.locator("[part=question]").count() == 0


def test_more_of_the_reply_leaves_whoever_writes_alone(page: Any, ask: Ask) -> None:
    element = ask(WHY)
    element.get_by_role("textbox").press_sequentially("Too")
    element.evaluate("(node, x) => { node.interaction = x }", item(replies=["It grew.", "a", "b", "c"]))
    page.keyboard.type(" long")
    assert element.get_by_role("textbox").input_value() == "Too long"


def test_without_a_client_of_its_own_it_uses_that_of_the_elements_bundle(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(POLITE)
    page.evaluate(
        """async url => {
            (await import(url + "/sdk/thumbwheel-elements.js")).init({url, key: "tw_pub_test", actor: "u-module"});
            document.querySelector("thumbwheel-label").client = null;
        }""",
        stub.collector,
    )
    element.get_by_role("button", name="Yes").click()
    assert annotations(stub, 1)[0]["actor"]["id"] == "u-module"


def test_what_cannot_be_asked_here_is_said(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(TONE | {"kind": "ranking"})
    assert element.get_by_role("alert").inner_text().startswith("This question cannot be asked here.")
    assert element.locator("button").count() == 0
    page.evaluate("l => { document.querySelector('thumbwheel-label').label = l }", TONE)
    assert element.get_by_role("alert").inner_text() == ""


def test_the_host_may_keep_an_answer_and_hears_of_a_refused_one(page: Any, stub: Stub, ask: Ask) -> None:
    error = {"code": "invalid_event", "message": "No such reply.", "hint": "Ask again."}
    stub.answer = lambda body: (
        207,
        {"results": [{"event_id": e["event_id"], "status": "rejected", "error": error} for e in body["events"]]},
    )
    element = ask(POLITE)
    element.get_by_role("button", name="Yes").click()
    element.get_by_role("alert").filter(has_text="Not saved. No such reply. Ask again.").wait_for()
    assert heard(page, "error")[0]["event"]["type"] == "annotation"
    page.evaluate("document.addEventListener('thumbwheel-submit', e => e.preventDefault())")
    element.get_by_role("button", name="No").click()
    page.wait_for_timeout(200)
    assert len(stub.events("annotation")) == 1


def test_a_client_of_the_hosts_own_without_annotate_is_said(page: Any, stub: Stub, ask: Ask) -> None:
    element = ask(POLITE)
    element.evaluate("node => { node.client = {thumb() {}, retract() {}} }")
    element.get_by_role("button", name="Yes").click()
    element.get_by_role("alert").filter(has_text="Not saved.").wait_for()
    assert heard(page, "error")[0]["event"]["answers"] == {"tone/polite": True}


def test_words_of_a_label_are_shown_and_not_executed(page: Any, ask: Ask) -> None:
    hostile = '<img src=x onerror="window.hacked=1">'
    element = ask(TONE | {"title": hostile, "description": hostile, "choices": [{"key": hostile}]})
    assert element.get_by_text(hostile).count() == 3
    assert element.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_axe_finds_nothing_in_any_question(page: Any, ask: Ask, axe: str, lang: str, theme: str) -> None:
    element = ask(POLITE)
    page.evaluate(
        """([lang, theme]) => {
            document.documentElement.lang = lang;
            document.querySelector("main").append(document.querySelector("h1"));
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(`:root { color-scheme: ${theme}; background: ${theme === "dark" ? "#12171b" : "#fff"};
                color: ${theme === "dark" ? "#e6eaee" : "#1b2126"} }`);
            document.adoptedStyleSheets = [sheet];
        }""",
        [lang, theme],
    )
    found = []
    for label in (POLITE, TONE, FLAWS, HELPFUL, SURE, WHY):
        page.evaluate("l => { document.querySelector('thumbwheel-label').label = l }", label)
        element.evaluate("node => node.focus()")
        element.locator("button").first.click()
        found += violations(page, axe)
    page.keyboard.press("?")
    assert found + violations(page, axe) == []


# -- to the log


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("label")) as opened:
        yield opened


def test_from_the_element_to_the_log_under_a_public_key(site: Site, page: Any) -> None:
    page.goto(site.page("i-label"))
    page.evaluate(
        """label => {
            const element = document.createElement("thumbwheel-label");
            element.interaction = {interaction_id: "i-label", candidates: [{candidate_id: "c-0", content: "Hello"}]};
            element.label = label;
            element.client = window.client;
            document.querySelector("main").append(element);
        }""",
        HELPFUL | {"version": 7},
    )
    page.evaluate(DEFINE, [HELPFUL | {"version": 7}, "/thumbwheel-label.js"])
    element = page.locator("thumbwheel-label")
    element.get_by_role("button", name="2").click()
    element.get_by_role("button", name="5").click()
    stored = site.wait("i-label", 2)
    assert [(event["type"], event["via"], event["answers"]) for event in stored] == [
        ("annotation", "public", {"helpful": 2}), ("annotation", "public", {"helpful": 5}),
    ]  # fmt: skip
    assert [(event["unit"], event["label_versions"]) for event in stored] == [("c-0", {"helpful": 7})] * 2
    element.get_by_role("button", name="Undo").click()
    assert site.wait("i-label", 3)[2]["target"] == stored[1]["event_id"]


def test_a_hostile_page_answers_for_no_task_and_for_no_expert(site: Site, page: Any) -> None:
    page.goto(site.page("i-hostile"))
    page.evaluate(
        """() => {
            const said = {interaction_id: "i-hostile", answers: {"tone/polite": true}};
            client.annotate({...said, task_id: "t-1"});
            client.annotate({...said, actor: {id: "u-1", kind: "expert"}});
            client.annotate(said);
        }"""
    )
    (stored,) = site.wait("i-hostile", 1)
    assert (stored["actor"]["kind"], stored.get("task_id")) == ("user", None)
    eventually(lambda: page.evaluate("problems.length") == 2)
    assert page.evaluate("problems") == ["not_allowed", "not_allowed"]
    assert [event["event_id"] for event in site.sent("i-hostile")] == [stored["event_id"]]
