"""Tabs of one site, and what the browser keeps for them: one queue, one consent, whatever key the page has.

In: pages of one profile against a collector that is slow, away or refuses the origin. Out: what arrives, and how often.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.conftest import Stub
from tests.waiting import eventually

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
OFFLINE = ["ERR_", "Failed to load resource"]
WITHOUT_LOCKS = "Object.defineProperty(navigator, 'locks', {value: undefined})"
WAITING = "Object.keys(localStorage).filter(name => name.startsWith('thumbwheel.1.')).length"


@pytest.fixture
def tab(page: Any, stub: Stub) -> Open:
    """Opens tabs of one profile, each with a client of its own as `window.client`."""
    tabs: list[Any] = []

    def open_tab(key: str = "tw_pub_test", again: Any = None, **options: Any) -> Any:
        found = again or (page.context.new_page() if tabs else page)
        tabs.append(found)
        found.goto(f"{stub.host}/page")
        found.evaluate(
            """options => {
                window.client = Thumbwheel.init(options);
                window.give = (name, n = 1) => {
                    for (let at = 0; at < n; at++)
                        client.thumb({interaction_id: name, candidate_id: "c-" + at, value: "up"});
                };
            }""",
            {"url": stub.collector, "key": key, "actor": "u-1", **options},
        )
        return found

    return open_tab


def arrivals(stub: Stub) -> Counter[str]:
    return Counter(event["event_id"] for body in list(stub.bodies) for event in body["events"])


def accepted(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 202, {"results": [{"event_id": event["event_id"], "status": "accepted"} for event in body["events"]]}


@pytest.fixture
def gate(stub: Stub) -> Iterator[threading.Event]:
    """The collector answers only once the gate is open."""
    opened = threading.Event()

    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        opened.wait(30)
        return accepted(body)

    stub.answer = answer
    yield opened
    opened.set()


# -- one queue


@pytest.mark.parametrize("locks", [True, False], ids=["web locks", "plain http"])
def test_a_tab_does_not_send_what_another_is_sending(
    page: Any, stub: Stub, tab: Open, gate: threading.Event, locks: bool
) -> None:
    if not locks:
        page.context.add_init_script(WITHOUT_LOCKS)
    first = tab()
    first.evaluate("give('i-1', 5)")
    eventually(lambda: stub.bodies)
    second = tab()
    # Long enough for the second tab to take the events for left behind.
    second.wait_for_timeout(5000)
    gate.set()
    eventually(lambda: second.evaluate(WAITING) == 0)
    assert sorted(arrivals(stub).values()) == [1] * 5


@pytest.mark.parametrize("locks", [True, False], ids=["web locks", "plain http"])
def test_a_tab_does_not_send_what_a_hidden_tab_is_sending(
    page: Any, stub: Stub, tab: Open, gate: threading.Event, locks: bool
) -> None:
    if not locks:
        page.context.add_init_script(WITHOUT_LOCKS)
    first = tab()
    first.evaluate(
        """() => {
            Object.defineProperty(document, "visibilityState", {get: () => "hidden"});
            give("i-1", 5);
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    eventually(lambda: sum(len(body["events"]) for body in stub.bodies) >= 5)
    second = tab()
    second.wait_for_timeout(5000)
    gate.set()
    eventually(lambda: second.evaluate(WAITING) == 0)
    assert sorted(arrivals(stub).values()) == [1] * 5


@pytest.mark.parametrize("locks", [True, False], ids=["web locks", "plain http"])
def test_a_tab_does_not_send_its_own_while_another_adopts_it(
    page: Any, stub: Stub, tab: Open, gate: threading.Event, locks: bool
) -> None:
    page.expected_errors += OFFLINE
    if not locks:
        page.context.add_init_script(WITHOUT_LOCKS)
    first = tab()
    first.route("**/v1/events", lambda route: route.abort())
    first.evaluate("Math.random = () => 1; give('i-1', 5)")
    # The first tab waits longer and longer; the second takes its events for left behind.
    second = tab()
    eventually(lambda: first.evaluate("1") and stub.bodies, 15)
    first.unroute("**/v1/events")
    first.evaluate("dispatchEvent(new Event('online'))")
    first.wait_for_timeout(1500)
    gate.set()
    eventually(lambda: second.evaluate(WAITING) == 0)
    assert sorted(arrivals(stub).values()) == [1] * 5


def test_what_a_tab_left_behind_goes_also_without_locks(page: Any, stub: Stub, tab: Open) -> None:
    page.expected_errors += OFFLINE
    page.context.add_init_script(WITHOUT_LOCKS)
    first, keeper = tab(), page.context.new_page()
    stub.answer = lambda body: (503, {})
    first.evaluate("give('i-1', 120)")
    eventually(lambda: stub.bodies)
    first.close()
    # What a closing tab sends has arrived by then.
    keeper.wait_for_timeout(1000)
    stub.answer = None
    stub.bodies.clear()
    second = tab(again=keeper)
    # A tab that ends while it sends leaves its claim behind, which holds for 20 s.
    eventually(lambda: len(arrivals(stub)) == 120, 40)
    eventually(lambda: second.evaluate(WAITING) == 0)
    assert set(arrivals(stub).values()) == {1}


# -- one state, whatever the key


def test_a_new_key_strands_no_vote_and_forgets_no_opt_out(page: Any, stub: Stub, tab: Open) -> None:
    page.expected_errors += OFFLINE
    first = tab()
    page.context.set_offline(True)
    first.evaluate("give('i-1', 3)")
    page.context.set_offline(False)
    page.route("**/v1/events", lambda route: route.abort())
    tab("tw_pub_next", again=first)
    page.unroute("**/v1/events")
    page.evaluate("dispatchEvent(new Event('online'))")
    eventually(lambda: len(arrivals(stub)) == 3, 15)
    assert {body["key"] for body in stub.bodies if body["events"]} <= {"tw_pub_next", "tw_pub_test"}
    page.evaluate("client.optOut()")
    tab("tw_pub_third", again=page)
    page.evaluate("give('i-2', 2)")
    page.wait_for_timeout(300)
    assert len(arrivals(stub)) == 3
    assert page.evaluate("client.dropped") == {"consent": 2}


def test_projects_with_names_share_neither_queue_nor_consent(page: Any, stub: Stub, tab: Open) -> None:
    page.expected_errors += OFFLINE
    stub.answer = lambda body: (503, {})
    tab("tw_pub_one", project="one").evaluate("give('i-1', 2)")
    eventually(lambda: stub.bodies)
    tab("tw_pub_two", again=page, project="two")
    stub.answer = None
    stub.bodies.clear()
    page.evaluate("client.optOut()")
    page.wait_for_timeout(4500)
    assert arrivals(stub) == Counter()
    tab("tw_pub_one", again=page, project="one")
    # A page that is left while it sends leaves its claim behind, which holds for 20 s.
    eventually(lambda: len(arrivals(stub)) == 2, 40)
    assert {body["key"] for body in stub.bodies} == {"tw_pub_one"}


def test_two_keys_in_one_page_without_names_are_told_apart_and_told(page: Any, stub: Stub, tab: Open) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    tab("tw_pub_one")
    page.evaluate(
        """url => {
            const vote = {interaction_id: "i-1", candidate_id: "c-1", value: "up"};
            const other = Thumbwheel.init({url, key: "tw_pub_two", actor: "u-1"});
            other.optOut();
            client.thumb(vote);
            window.kept = other.thumb(vote);
        }""",
        stub.collector,
    )
    stub.wait(1)
    assert page.evaluate("kept") is None
    assert {body["key"] for body in stub.bodies} == {"tw_pub_one"}
    assert len(said) == 1 and "project" in said[0]


def test_state_of_the_release_before_is_taken_over(page: Any, stub: Stub, tab: Open) -> None:
    tab()
    page.evaluate(
        """url => {
            const mix = (value, one) => Math.imul(value ^ one.charCodeAt(0), 0x01000193);
            const fnv = text => [...text].reduce(mix, 0x811c9dc5) >>> 0;
            const old = key => fnv(url + "/v1/events" + key).toString(36);
            const id = "01930000-0000-7000-8000-000000000001";
            const event = {
                event_id: id, type: "thumb", interaction_id: "old", candidate_id: "c", value: "up", actor: {id: "u"},
                occurred_at: new Date().toISOString(), sdk: {name: "thumbwheel-js", version: "0.0.9"},
            };
            localStorage.clear();
            localStorage.setItem(`thumbwheel.1.${old("tw_pub_test")}.${id}`, JSON.stringify(event));
            localStorage.setItem(`thumbwheel.dropped.${old("tw_pub_test")}`, JSON.stringify({open: {queue_full: 2}}));
            localStorage.setItem(`thumbwheel.consent.${old("tw_pub_no")}`, '"denied"');
            localStorage.setItem("thumbwheel.keys", "on");
            localStorage.setItem("thumbwheel", "host");
        }""",
        stub.collector,
    )
    tab(again=page)
    (event,) = eventually(lambda: stub.events(), 10)
    assert event["interaction_id"] == "old"
    assert [body["dropped"]["counts"] for body in stub.bodies if "dropped" in body] == [{"queue_full": 2}]
    eventually(lambda: page.evaluate(WAITING) == 0)
    tab("tw_pub_no", again=page)
    assert page.evaluate("client.allowed") is False
    kept = page.evaluate("['thumbwheel.keys', 'thumbwheel'].map(name => localStorage.getItem(name))")
    assert kept == ["on", "host"]


def test_an_opt_out_reaches_the_other_open_tabs(page: Any, stub: Stub, tab: Open, gate: threading.Event) -> None:
    first, second = tab(), tab()
    second.evaluate("client.subscribe(() => 0)")
    first.evaluate(
        """() => {
            const bench = document.createElement("thumbwheel-workbench");
            bench.interaction = {interaction_id: "i-9", candidates: [{candidate_id: "a", content: "a"}]};
            document.querySelector("main").append(bench);
        }"""
    )
    first.get_by_role("article", name="Reply 1").click()
    assert first.evaluate("Object.keys(localStorage).some(name => name.startsWith('thumbwheel.draft.'))")
    second.evaluate("client.optOut()")
    eventually(lambda: first.evaluate("client.allowed") is False)
    first.evaluate("give('i-1', 3)")
    assert first.evaluate("client.dropped") == {"consent": 3}
    time.sleep(0.5)
    assert stub.bodies == []
    assert first.evaluate("Object.values(localStorage)") == ['"denied"']
    gate.set()
    second.evaluate("client.optIn()")
    eventually(lambda: first.evaluate("client.allowed") is True)
    first.evaluate("give('i-2')")
    assert stub.wait(1)[0]["interaction_id"] == "i-2"


# -- what the page is told


def test_a_refused_origin_is_named_as_what_may_be_wrong(page: Any, stub: Stub, tab: Open) -> None:
    page.expected_errors += OFFLINE
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "warning" else None)
    # As a browser does where the collector answers without Access-Control-Allow-Origin.
    page.route("**/v1/events", lambda route: route.abort("accessdenied"))
    tab()
    page.evaluate("Math.random = () => 0.05; give('i-1')")
    (warning,) = eventually(lambda: page.evaluate("1") and said, 15)
    assert stub.host in warning and "thumbwheel keys create public --origin" in warning
    page.wait_for_timeout(1500)
    assert len(said) == 1
    page.unroute("**/v1/events")
    page.evaluate("client.flush()")
    assert stub.wait(1)[0]["interaction_id"] == "i-1"


# Of Prototype.js 1.6 and 1.7: what it puts into the prototypes that a script uses without knowing.
PROTOTYPE_JS = """(() => {
    const text = value => "text of " + typeof value;
    Array.prototype.toJSON = function () { return "[" + [...this].map(text).join(", ") + "]" };
    Date.prototype.toJSON = function () { return '"' + this.toISOString() + '"' };
    String.prototype.toJSON = Number.prototype.toJSON = function () { return text(this) };
    Array.from = from => from.toArray ? from.toArray() : [...from];
    Array.prototype.reduce = function () { return this.length > 1 ? this : this[0] };
    Array.prototype.entries = Array.prototype.toArray = function () { return [...this] };
    Element.prototype.remove = function () { this.parentNode.removeChild(this); return this };
    for (const name of ["show", "hide", "update"])
        Element.prototype[name] = function () { throw new Error("host") };
})()"""


@pytest.mark.parametrize("with_it", [True, False])
def test_prototype_js_on_the_page_changes_nothing(page: Any, stub: Stub, tab: Open, with_it: bool) -> None:
    if with_it:
        page.add_init_script(PROTOTYPE_JS)
    tab(labels=["a/b", "c"], context={"at": 1, "list": [1, ["two"]]})
    page.evaluate(
        """() => {
            const candidates = [
                {candidate_id: "c-1", content: [{type: "text", text: "Hi"}]}, {candidate_id: "c-2", content: "Ho"},
            ];
            for (const name of ["thumbs", "choice", "workbench"]) {
                const element = document.createElement("thumbwheel-" + name);
                element.interaction = {interaction_id: name, candidates};
                document.querySelector("main").append(element);
            }
        }"""
    )
    thumbs, choice, bench = (page.locator(f"thumbwheel-{name}") for name in ("thumbs", "choice", "workbench"))
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_role("button", name="Incorrect").click()
    thumbs.get_by_role("button", name="Send").click()
    thumbs.get_by_role("button", name="Undo").click()
    choice.get_by_role("button", name="This one Reply 2").click()
    bench.get_by_role("article", name="Reply 1").click()
    page.keyboard.press("Control+Enter")
    events = stub.wait(5)
    assert {len(event["event_id"]) for event in events} == {36}
    (told,) = [event for event in events if event.get("reasons")]
    assert told["reasons"] == ["incorrect"]
    assert [event["shown"] for event in events if "shown" in event] == [["c-1", "c-2"]] * 2
    assert all(event["labels"] == ["a/b", "c"] for event in events)
    assert all(event["context"]["list"] == [1, ["two"]] for event in events if event["type"] != "choice")
    assert page.evaluate("Object.values(localStorage).every(text => typeof JSON.parse(text) === 'object')")
