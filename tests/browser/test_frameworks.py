"""The three elements in plain HTML, React, Vue, Svelte and a sandboxed frame, each a page that Vite built."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.framework_site import Site, serving
from tests.waiting import eventually

pytestmark = pytest.mark.browser

FRAMEWORKS = ["html", "react", "vue", "svelte"]
# What the frameworks themselves leave on `window`.
THEIRS = ("__VUE", "__svelte")
# Runs first in every document. A symbol, since the names on `window` are what is watched.
WATCH = """
const watch = (window[Symbol.for("watch")] = {
  names: new Set(Object.getOwnPropertyNames(window)), violations: [], shifts: [], input: -Infinity,
});
for (const name of ["keydown", "pointerdown"]) addEventListener(name, () => (watch.input = performance.now()), true);
document.addEventListener("securitypolicyviolation", (event) => watch.violations.push(event.violatedDirective));
// A loaded machine paints what a key or click changed long after the half second that the browser excuses by itself.
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.startTime - watch.input > 3000) watch.shifts.push(entry.value);
}).observe({ type: "layout-shift" });
"""
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("frameworks")) as served:
        yield served


def show(page: Any, url: str) -> Any:
    """Opens a page; answers with the document that holds the elements, once they show what they were given."""
    page.set_default_timeout(30_000)
    page.add_init_script(WATCH)
    page.goto(url)
    frame = page.query_selector("iframe")
    place = frame.content_frame() if frame else page
    for tag, part in (("thumbs", "thumb"), ("choice", "candidate"), ("workbench", "candidate")):
        place.locator(f"thumbwheel-{tag} [part~={part}]").nth(1).wait_for()
    place.evaluate(f"async () => {{ await {PAINTED}; window[Symbol.for('watch')].shifts.length = 0 }}")
    return place


def watched(place: Any) -> tuple[set[str], list[str], list[float]]:
    """Names added to `window`, violated directives, layout shifts that no key or click explains."""
    names, violations, shifts = place.evaluate(
        f"""async () => {{
            await {PAINTED};
            const watch = window[Symbol.for("watch")];
            const names = Object.getOwnPropertyNames(window).filter((name) => !watch.names.has(name));
            return [names, watch.violations, watch.shifts];
        }}"""
    )
    return {name for name in names if not name.startswith(THEIRS)}, violations, shifts


def focus(place: Any, tag: str) -> None:
    place.locator(tag).evaluate("element => element.focus()")


@pytest.mark.parametrize("name", [*FRAMEWORKS, "iframe"])
def test_feedback_given_by_click_and_keys_is_in_the_log_and_taken_back(page: Any, site: Site, name: str) -> None:
    before = set(site.events())
    place = show(page, site.url(f"{name}/"))
    place.get_by_role("button", name="Good answer").click()
    focus(place, "thumbwheel-choice")
    page.keyboard.press("2")
    focus(place, "thumbwheel-workbench")
    for key in ("3", "e", "Control+Home", "H", "i", "Control+Enter"):
        page.keyboard.press(key)
    page.get_by_role("status").get_by_text("Given: pick", exact=True).wait_for()
    page.keyboard.press("Control+z")
    page.get_by_role("status").get_by_text("Taken back: pick", exact=True).wait_for()

    def given() -> list[dict[str, Any]]:
        events = [event for event_id, event in site.events().items() if event_id not in before]
        return events if len(events) >= 4 else []

    events = eventually(given, 60)
    of = {event["type"]: event for event in events}
    assert len(events) == len(of) == 4
    assert {(event["project"], event["actor"]["id"], event["sdk"]["name"]) for event in events} == {
        ("default", "user-1", "thumbwheel-js")
    }
    thumb, choice, pick, retract = (of[kind] for kind in ("thumb", "choice", "pick", "retract"))
    assert (thumb["interaction_id"], thumb["candidate_id"], thumb["value"]) == ("example-answer", "a1", "up")
    assert (choice["interaction_id"], choice["outcome"], choice["chosen"]) == ("example-pair", "chosen", "p2")
    assert choice["shown"] == ["p1", "p2"]
    assert (pick["interaction_id"], pick["outcome"], pick["chosen"]) == ("example-replies", "chosen", "r3")
    assert (pick["shown"], pick["sent"]) == (["r1", "r2", "r3", "r4"], True)
    assert pick["edited_text"] == "HiWe are sorry. Would you like a new cup, or your money back?"
    assert (retract["interaction_id"], retract["target"]) == ("example-replies", pick["event_id"])
    assert watched(place) == (set(), [], [])


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_refusal_is_told_to_the_page(page: Any, site: Site, name: str) -> None:
    page.expected_errors.append("403")
    before = set(site.events())
    place = show(page, site.url(f"{name}/", "localhost"))
    place.get_by_role("button", name="Bad answer").click()
    told = place.locator("output").filter(has_text="Not saved")
    told.wait_for()
    assert told.inner_text() == f"Not saved. The origin 'http://localhost:{site.port}' is not allowed for this key."
    assert set(site.events()) == before


def test_the_frame_has_no_origin_and_no_storage(page: Any, site: Site) -> None:
    place = show(page, site.url("iframe/"))
    assert place.evaluate("origin") == "null"
    assert (
        place.evaluate("() => { try { return localStorage } catch (error) { return error.name } }") == "SecurityError"
    )


@pytest.mark.parametrize("name", ["html", "iframe"])
def test_what_is_watched_would_be_seen(page: Any, site: Site, name: str) -> None:
    page.expected_errors.append("Content Security Policy")
    place = show(page, site.url(f"{name}/"))
    place.evaluate(
        """() => {
            window.left = 1;
            const style = document.createElement("style");
            style.textContent = "p {}";
            const block = document.createElement("p");
            block.append("A late banner");
            document.body.prepend(style, block);
        }"""
    )
    assert eventually(lambda: watched(place)[2], 60)[0] > 0
    names, violations, _ = watched(place)
    assert (names, set(violations)) == ({"left"}, {"style-src-elem"})
