"""Delivery from Chromium to a real collector: what is given arrives, once, whatever happens to network, page and tab.

Every page stands under a strict Content-Security-Policy with trusted types. The collector's log holds an event as often
as it was sent, so that it shows doubles too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.browser.site import DAY_MS, Site, open_site
from tests.console.bench import open_bench
from tests.waiting import eventually

pytestmark = pytest.mark.browser
OFFLINE = ["ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION", "Failed to load resource", "ERR_FAILED"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


def names(first: int, last: int) -> list[str]:
    return [f"c-{n}" for n in range(first, last)]


def empty(page: Any) -> bool:
    return bool(page.evaluate("waiting() === 0"))


def test_feedback_given_offline_goes_when_the_network_is_back(site: Site, page: Any) -> None:
    page.expected_errors += OFFLINE
    page.goto(site.page("offline"))
    page.context.set_offline(True)
    page.locator(".thumb.up").click()
    page.evaluate("give(1, 6)")
    assert page.evaluate("waiting()") == 6
    page.wait_for_timeout(500)
    assert site.sent("offline") == []
    page.context.set_offline(False)
    site.wait("offline", 6)
    eventually(lambda: empty(page))
    assert site.candidates("offline") == names(0, 6)
    assert page.evaluate("problems") == []


def test_a_queue_outlives_a_reload_while_the_collector_is_away(site: Site, page: Any) -> None:
    page.expected_errors += OFFLINE
    page.goto(site.page("reload"))
    with site.down():
        page.evaluate("give(0, 5)")
        page.reload()
        page.evaluate("give(5, 7)")
        assert page.evaluate("waiting()") == 7
    site.wait("reload", 7)
    eventually(lambda: empty(page))
    assert site.candidates("reload") == names(0, 7)


def test_what_a_full_queue_dropped_is_reported_also_by_the_next_visit(site: Site, page: Any) -> None:
    page.expected_errors += OFFLINE
    page.goto(site.page("full", maxEvents=5))
    with site.down():
        page.evaluate("give(0, 12)")
        assert page.evaluate("client.dropped") == {"queue_full": 7}
        page.reload()
    site.wait("full", 5)
    assert sorted(site.candidates("full")) == sorted(names(7, 12))
    (report,) = eventually(site.given_up)
    assert "7" in report and "queue_full" in report
    eventually(lambda: empty(page))
    assert page.evaluate("Object.keys(localStorage).filter(name => !name.startsWith('thumbwheel.claim.'))") == []


def test_a_tab_closed_right_after_the_click_has_sent_it(site: Site, chromium: Any) -> None:
    context = chromium.new_context()
    page = context.new_page()
    # A request that would end with its page is none.
    page.add_init_script("const send = fetch; window.fetch = (url, how) => how.keepalive ? send(url, how) : send()")
    page.goto(site.page("closed"))
    page.evaluate(
        "() => { document.querySelector('thumbwheel-thumbs').shadowRoot.querySelector('.up').click(); give(1, 40) }"
    )
    page.close()
    site.wait("closed", 40)
    context.close()
    assert site.candidates("closed") == names(0, 40)


def test_a_browser_without_keepalive_sends_a_beacon_that_needs_no_preflight(site: Site, page: Any) -> None:
    page.add_init_script(
        """delete Request.prototype.keepalive;
        const beacon = navigator.sendBeacon.bind(navigator);
        navigator.sendBeacon = (url, body) => beacon(url, body) && (sessionStorage.beacon = typeof body) && true;"""
    )
    page.goto(site.page("beacon"))
    page.evaluate("() => { give(0, 10); location.href = '/empty' }")
    page.wait_for_url("**/empty")
    assert page.evaluate("sessionStorage.beacon") == "string"
    site.wait("beacon", 10)
    assert {event["candidate_id"] for event in site.sent("beacon")} == set(names(0, 10))


def test_more_than_a_closing_tab_may_send_waits_for_the_next_visit(site: Site, page: Any) -> None:
    page.goto(site.page("many"))
    page.evaluate("() => { give(0, 400); location.href = '/empty' }")
    # Two navigations at once: the later one may end the other.
    page.wait_for_url("**/empty")
    page.goto(site.page("many"))
    found = site.wait("many", 400)
    assert {event["candidate_id"] for event in found} == set(names(0, 400))
    eventually(lambda: empty(page))


def test_two_tabs_send_each_event_once(site: Site, chromium: Any) -> None:
    context = chromium.new_context()
    tabs = [context.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(site.page("tabs"))
    for n in range(30):
        tabs[n % 2].evaluate("n => give(n)", n)
    site.wait("tabs", 30)
    assert all(tab.evaluate("Thumbwheel.flush()") for tab in tabs)
    context.close()
    assert site.candidates("tabs") == names(0, 30)


@pytest.mark.parametrize("locks", [True, False], ids=["web locks", "plain http"])
def test_two_tabs_that_find_an_old_queue_send_it_once(site: Site, chromium: Any, locks: bool) -> None:
    name = f"heirs-{locks}"
    context = chromium.new_context()
    if not locks:
        context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    old = context.new_page()
    old.goto(site.page(name))
    with site.down():
        old.evaluate("give(0, 150)")
        old.close()
    heirs = [context.new_page() for _ in range(2)]
    for tab in heirs:
        tab.goto(f"{site.host}/empty")
    # Both start in the same instant.
    given = [{"url": site.collector, "key": site.key}, time.time() * 1000 + 1500]
    for tab in heirs:
        tab.evaluate(
            """([options, at]) => {
                const start = ({init}) => setTimeout(() => { window.client = init(options) }, at - Date.now());
                import("/core.mjs").then(start);
            }""",
            given,
        )
    site.wait(name, 150)
    eventually(lambda: all(tab.evaluate("client.flush()") for tab in heirs))
    context.close()
    assert site.candidates(name) == names(0, 150)


@pytest.mark.parametrize("days", [1, -1], ids=["ahead", "behind"])
def test_a_clock_a_day_off_keeps_three_times_and_the_order_of_votes(site: Site, page: Any, days: int) -> None:
    page.expected_errors += OFFLINE
    name = f"skew{days}"
    page.goto(site.page(name, skew_ms=days * DAY_MS))
    page.evaluate("give(0, 1, 'up')")
    site.wait(name, 1)
    page.evaluate("give(0, 1, 'down')")
    site.wait(name, 2)
    with site.down():
        page.evaluate("give(1, 2, 'down'); give(1, 2, 'up')")
    found = site.wait(name, 4)
    for event in found:
        occurred, sent, received = (
            datetime.fromisoformat(event[clock]) for clock in ("occurred_at", "sent_at", "received_at")
        )
        assert abs(sent - received - timedelta(days=days)) < timedelta(seconds=20)
        assert timedelta(0) <= sent - occurred < timedelta(minutes=2)
        assert abs(datetime.now(UTC) - received) < timedelta(minutes=5)
    with open_bench(site.home) as bench:
        bench.catch_up()
        votes = "SELECT candidate_id, value FROM feedback WHERE interaction_id = ? AND state = 'vote' ORDER BY 1"
        with bench.store.read() as cursor:
            assert cursor.execute(votes, [name]).fetchall() == [("c-0", "down"), ("c-1", "up")]


def test_a_full_storage_neither_stops_feedback_nor_loses_the_hosts_own(site: Site, page: Any) -> None:
    page.expected_errors += OFFLINE
    page.goto(site.page("quota"))
    page.evaluate(
        """() => {
            for (let size = 2 ** 20; size >= 1; size = size / 2)
                try { for (let n = 0; ; n++) localStorage.setItem(`host.${size}.${n}`, "x".repeat(size)) } catch { }
        }"""
    )
    before = page.evaluate("Object.keys(localStorage).sort()")
    page.locator(".thumb.up").click()
    site.wait("quota", 1)
    with site.down():
        page.evaluate("give(1, 4)")
        assert page.evaluate("Object.keys(localStorage).sort()") == before
    site.wait("quota", 4)
    assert site.candidates("quota") == names(0, 4)
    assert page.evaluate("Object.keys(localStorage).sort()") == before
    assert page.evaluate("problems") == []


def test_a_worker_gives_feedback_but_not_under_a_secret_key(site: Site, page: Any) -> None:
    page.goto(site.page("worker"))
    ask = """options => new Promise(done => {
        const worker = new Worker("/worker.js", {type: "module"});
        worker.onmessage = event => done(event.data);
        worker.postMessage(options);
    })"""
    page.evaluate("trustedTypes.createPolicy('default', {createScriptURL: url => url}) && 0")
    given = {"url": site.collector, "interaction_id": "worker"}
    answer = page.evaluate(ask, given | {"key": site.key})
    assert (answer["sent"], answer["problems"]) == (True, [])
    assert [event["event_id"] for event in site.wait("worker", 1)] == [answer["id"]]
    assert page.evaluate(ask, given | {"key": "tw_sec_x"})["problems"] == ["secret_key"]
    assert len(site.sent("worker")) == 1


def test_a_host_whose_handlers_throw_still_sends_and_hears_its_own_errors_only(site: Site, page: Any) -> None:
    page.expected_errors.append("host bug")
    page.goto(site.page("throws"))
    page.evaluate(
        """() => {
            window.caught = [];
            addEventListener("error", event => caught.push(event.message));
            addEventListener("unhandledrejection", event => caught.push("rejection " + event.reason));
            const bug = () => { throw new Error("host bug") };
            for (const name of ["submit", "undo", "error"]) document.addEventListener("thumbwheel-" + name, bug);
            client.subscribe(bug);
            Thumbwheel.init({...client.options, onError: bug, beforeSend: event => ({...event, labels: ["seen"]})});
            const odd = [null, 7, {choices: null, error: "no such model"}, {interaction_id: "x", candidates: [null]}];
            const last = {interaction_id: "throws", candidates: [{candidate_id: "c-0"}]};
            for (const given of [...odd, {id: "y", choices: [null]}, last]) thumbs.interaction = given;
        }"""
    )
    page.locator(".thumb.down").click()
    page.get_by_role("button", name="Undo").click()
    found = site.wait("throws", 2)
    assert [(event["type"], event["labels"]) for event in found] == [("thumb", ["seen"]), ("retract", ["seen"])]
    assert page.evaluate("caught.every(one => one.includes('host bug'))")


def test_importing_touches_no_global(site: Site, page: Any) -> None:
    page.goto(f"{site.host}/empty")
    changed = page.evaluate(
        """async () => {
            const state = () => Reflect.ownKeys(globalThis).map(key => {
                const held = Reflect.getOwnPropertyDescriptor(globalThis, key)?.value;
                const inner = held?.prototype ?? held;
                const own = Object(inner) === inner && inner !== globalThis ? Reflect.ownKeys(inner) : [];
                return [String(key), ...own.map(String)].join();
            });
            const before = new Set(state());
            const [core, elements] = await Promise.all([import("/core.mjs"), import("/elements.mjs")]);
            core.init({url: "http://127.0.0.1:9", key: "tw_pub_x", actor: "u"});
            elements.defineElements();
            return state().filter(one => !before.has(one));
        }"""
    )
    assert changed == []


def test_without_consent_nothing_is_stored_or_sent(site: Site, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if site.collector in request.url else None)
    page.goto(site.page("consent", consent="required"))
    page.locator(".thumb.up").click()
    page.evaluate("give(1, 3)")
    page.evaluate(
        """async () => {
            const bench = document.createElement("thumbwheel-workbench");
            const candidates = ["A", "B"].map(content => ({candidate_id: "c-" + content, content}));
            bench.interaction = {interaction_id: "consent", candidates};
            document.querySelector("main").append(bench);
            await client.campaign({interaction_id: "consent"});
        }"""
    )
    page.get_by_role("article", name="Reply 2").click()
    page.keyboard.press("e")
    page.keyboard.type("Not for keeping")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert asked == []
    page.evaluate("Thumbwheel.optIn(); give(3)")
    site.wait("consent", 1)
    page.evaluate("Thumbwheel.optOut(); give(4)")
    page.reload()
    page.evaluate("give(5)")
    assert page.evaluate("Object.values(localStorage)") == ['"denied"']
    assert site.candidates("consent") == ["c-3"]
