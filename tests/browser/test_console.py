"""The console in a real browser: every page in both languages and colours, without an error; content never runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console import story
from tests.console.bench import PASSWORD, Bench, open_bench

pytestmark = pytest.mark.browser
PAGES = (
    "/", "/interactions", "/interactions/pick-4", "/interactions/hostile", "/interactions?show=orphans", "/pairs",
    "/datasets", "/runs", "/runs/run-1", "/adapters", f"/adapters/{story.CHALLENGER}", "/campaigns", "/rejected",
    "/?project=empty",
)  # fmt: skip
# Contrast of every text against what is behind it, by the rule of WCAG 2.2 (1.4.3); returns those below 4.5.
_CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (css) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return rgba(getComputedStyle(document.body).backgroundColor); };
  const low = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !e.checkVisibility() || e.closest('svg, script, option')) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const text = texts.currentNode.textContent.trim().slice(0, 40);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${e.className} ${text}`);
  }
  return low;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, str]]:
    home: Path = tmp_path_factory.mktemp("console")
    with open_bench(home) as bench:
        story.tell(bench)
        with bench.served() as address:
            yield bench, address


@pytest.fixture
def console(served: tuple[Bench, str], page: Any) -> Any:
    """A page of the console, logged in by typing."""
    page.base = served[1]
    page.goto(page.base)
    page.fill("[name=name]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_every_page_in_both_languages_and_colours(console: Any, lang: str, theme: str) -> None:
    console.goto(f"{console.base}/?lang={lang}")
    console.goto(f"{console.base}/?theme={theme}")
    for address in PAGES:
        answer = console.goto(console.base + address)
        assert answer.status == 200, address
        assert console.locator("html").get_attribute("lang") == lang.replace("_", "-")
        assert console.locator("h1").count() == 1, address
        assert console.evaluate("window.hacked") is None, address
        assert console.evaluate(_CONTRAST) == [], address
        assert not console.evaluate("document.documentElement.scrollWidth > innerWidth"), address
    if lang == "zh_Hans":
        assert float(console.evaluate("parseFloat(getComputedStyle(document.body).lineHeight) / 14")) >= 1.6


def test_charts_are_drawn_and_have_a_table(console: Any) -> None:
    console.goto(f"{console.base}/runs/run-1")
    assert console.locator(".uplot canvas").count() == 4
    console.click("details.twin summary")
    assert console.locator("details.twin tbody tr").count() == 18


def test_filter_answers_in_place_and_more_rows_are_added(console: Any) -> None:
    console.goto(f"{console.base}/interactions")
    assert console.locator("#rows tr").count() == 50
    console.click("#more-link")
    console.locator("#rows tr").nth(50).wait_for()
    console.locator("[name=q]").press_sequentially("blender", delay=20)
    console.wait_for_url("**q=blender*")
    assert 0 < console.locator("#rows tr").count() < 20
    assert console.evaluate("document.activeElement.name") == "q"


def test_back_leads_to_the_rows_that_were_added_last(console: Any) -> None:
    console.goto(f"{console.base}/interactions")
    console.click("#more-link")
    shown = console.locator("#rows tr a[href^='/interactions/']").nth(50)
    shown.wait_for()
    console.wait_for_url("**cursor=*")
    address = shown.get_attribute("href")
    shown.click()
    console.wait_for_url(f"**{address}")
    console.go_back()
    console.locator(f"#rows tr a[href='{address}']").wait_for()
    console.get_by_role("link", name="From the start").click()
    console.wait_for_url("**/interactions")
    assert console.locator("#rows tr").count() == 50


def test_hostile_content_shows_and_does_not_run_when_opened(console: Any) -> None:
    console.goto(f"{console.base}/interactions/hostile")
    for summary in console.locator("details summary").all():
        summary.click()
    assert "<script>window.hacked=1</script>" in console.locator("main").inner_text()
    console.goto(f"{console.base}/rejected")
    for summary in console.locator("details summary").all():
        summary.click()
    assert console.evaluate("window.hacked") is None


def test_promotion_asks_first_and_can_be_done_by_keyboard(console: Any, served: tuple[Bench, str]) -> None:
    console.goto(f"{console.base}/adapters")
    console.get_by_role("button", name="Promote").first.focus()
    console.keyboard.press("Enter")
    assert console.locator(".dialog:popover-open h2").inner_text() == f"Let {story.CHALLENGER} answer from now on?"
    console.keyboard.press("Escape")
    assert console.locator(".dialog:popover-open").count() == 0
    console.keyboard.press("Enter")
    console.keyboard.type("the agents prefer it")
    console.keyboard.press("Enter")
    console.wait_for_selector("text=Asked the trainer to promote.")
    served[0].catch_up()
    (wish,) = served[0].get("requests")["items"]
    assert wish["body"]["reason"] == "the agents prefer it"


def test_a_vote_is_taken_back_by_keyboard_after_a_question(console: Any, served: tuple[Bench, str]) -> None:
    served[0].put(
        story.asked("undone", 600, ["base"], "hello"),
        story.event("thumb", "undone thumb", 601, interaction_id="undone", candidate_id="undone-0", value="up"),
    )
    console.goto(f"{console.base}/interactions/undone")
    console.get_by_role("button", name="Take back the vote of u-17").focus()
    console.keyboard.press("Enter")
    assert console.locator(".dialog:popover-open h2").inner_text() == "Take back this vote of u-17?"
    console.keyboard.press("Escape")
    assert console.locator(".dialog:popover-open").count() == 0
    console.keyboard.press("Enter")
    console.keyboard.type("a test of ours")
    console.keyboard.press("Enter")
    console.wait_for_selector("[role=status] >> text=The vote is taken back.")
    served[0].catch_up()
    console.reload()
    assert console.locator("#votes tr").first.locator("td").nth(4).inner_text() == "taken back"
    assert console.get_by_role("button", name="Take back").count() == 0
    (undo,) = [e["body"] for e in served[0].get("interactions/undone")["events"] if e["type"] == "retract"]
    assert (undo["actor"]["id"], undo["context"]) == ("ada", {"reason": "a test of ours"})


def test_overview_refreshes_by_itself(console: Any, served: tuple[Bench, str]) -> None:
    console.goto(f"{console.base}/?project=fresh")
    assert console.locator("h2").first.inner_text() == "Nothing has arrived in project fresh yet"
    served[0].put(story.asked("first", 500, ["base"], "hello", project="fresh"))
    console.wait_for_selector(".tiles", timeout=9000)


def test_narrow_screens_keep_everything_reachable(console: Any) -> None:
    console.set_viewport_size({"width": 380, "height": 800})
    for address in PAGES:
        console.goto(console.base + address)
        assert not console.evaluate("document.documentElement.scrollWidth > innerWidth"), address
    assert console.get_by_role("link", name="Adapters").is_visible()
