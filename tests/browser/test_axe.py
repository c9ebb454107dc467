"""axe finds nothing: in the three elements, on every console page and the demo's, in both colours and languages.

THUMBWHEEL_SCREENSHOTS=1 .venv/bin/python -m pytest tests/browser/test_axe.py -k elements
writes docs/images/elements-*.png; THUMBWHEEL_LOOK=FOLDER keeps a picture of every other page there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo.texts import TEXTS as DEMO_TEXTS
from tests.browser.conftest import ROOT
from tests.browser.stub_gateway import StubGateway
from tests.browser.test_console import PAGES
from tests.browser.test_demo_pages import demo, gateway
from tests.console import greek, story
from tests.console.bench import PASSWORD, open_bench
from tests.console.test_languages import PAGES as ALL_PAGES

__all__ = ["demo", "gateway"]

pytestmark = pytest.mark.browser
AXE = ROOT / "sdk" / "js" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = ROOT / "docs" / "images"
# The rules of WCAG 2.2 AA: the size of targets among them is off unless it is asked for by name.
RUN = """async () => (await axe.run(document, {
    resultTypes: ["violations"], rules: {"target-size": {enabled: true}},
    runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
})).violations.flatMap(
    ({id, nodes}) => nodes.map(node => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`))"""
TEXTS: dict[str, dict[str, Any]] = {
    "en": {
        "title": "Support",
        "answer": "Your parcel left our warehouse on Monday. It should reach you by Thursday.",
        "choice": [
            "You can return the shoes within 30 days, free of charge.",
            "Returns are possible. Please see our terms.",
        ],
        "replies": [
            "I am sorry that the parcel is late. I have asked the carrier where it is and will write to you today.",
            "Your parcel is late. Please wait.",
            "The carrier has had a delay. Your parcel will come on Friday.",
            "Please check the tracking page.",
        ],
        "edit": ("will write to you today", "will call you this afternoon"),
    },
    "zh-CN": {
        "title": "客服",
        "answer": "您的包裹已于周一从仓库发出，预计周四送达。",
        "choice": ["三十天内可以免费退鞋，我们承担运费。", "可以退货，详情请看我们的条款。"],
        "replies": [
            "很抱歉包裹晚到了。我已向快递公司查询，今天之内给您答复。",
            "您的包裹晚到了，请耐心等待。",
            "快递公司有延误，您的包裹周五送达。",
            "请查看物流页面。",
        ],
        "edit": ("今天之内给您答复", "今天下午给您回电"),
    },
}
HOST = """([url, texts, lang, dark]) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
        :root { color-scheme: ${dark ? "dark" : "light"} }
        body { margin: 0; padding: 28px; font: 15px/1.6 system-ui, "Noto Sans CJK SC", sans-serif;
            background: light-dark(#f7f8f9, #12171b); color: light-dark(#1b2126, #e6eaee) }
        h1 { font-size: 1.2em; margin: 0 0 -.6em } p { margin: 0 0 .4em }
        main { display: grid; gap: 28px }`);
    document.adoptedStyleSheets = [sheet];
    document.documentElement.lang = lang;
    const title = document.querySelector("h1");
    title.textContent = document.title = texts.title;
    document.querySelector("main").append(title);
    Thumbwheel.init({url, key: "tw_pub_test", actor: "u-1"});
    const shown = (id, replies) =>
        ({interaction_id: id, candidates: replies.map((content, n) => ({candidate_id: `${id}.c${n + 1}`, content}))});
    const add = (tag, interaction) => {
        const element = document.createElement("thumbwheel-" + tag);
        element.interaction = interaction;
        document.querySelector("main").append(element);
        return element;
    };
    const answer = document.createElement("p");
    answer.textContent = texts.answer;
    const turn = document.createElement("section");
    document.querySelector("main").append(turn);
    turn.append(answer, add("thumbs", shown("thumbs", [texts.answer])));
    add("choice", shown("choice", texts.choice));
    add("workbench", shown("bench", texts.replies));
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci in sdk/js")
    return AXE.read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    return list(page.evaluate(RUN))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_axe_finds_nothing_in_the_elements(page: Any, stub: Any, axe: str, lang: str, theme: str) -> None:
    texts = TEXTS[lang]
    page.set_viewport_size({"width": 960, "height": 600})
    page.goto(f"{stub.host}/page")
    page.evaluate(HOST, [stub.collector, texts, lang, theme == "dark"])
    assert violations(page, axe) == []
    thumbs, choice, bench = (page.locator(f"thumbwheel-{name}") for name in ("thumbs", "choice", "workbench"))
    thumbs.locator(".thumb.down").click()
    thumbs.locator(".chip").nth(0).click()
    choice.locator(".choose").nth(0).click()
    bench.evaluate("node => node.focus()")
    page.keyboard.press("1")
    page.keyboard.press("e")
    editor = bench.locator("textarea")
    editor.fill(editor.input_value().replace(*texts["edit"]))
    bench.locator(".diff ins").first.wait_for()
    assert violations(page, axe) == []
    if os.environ.get("THUMBWHEEL_SCREENSHOTS"):
        page.screenshot(path=IMAGES / f"elements-{theme}-{lang[:2]}.png", full_page=True)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    thumbs.evaluate("node => { node.client = {thumb() { throw new Error('away') }} }")
    thumbs.locator(".thumb.up").click()
    thumbs.locator("[role=alert]").filter(has_text="away").wait_for()
    assert violations(page, axe) == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("console")
    with open_bench(home) as bench:
        story.tell(bench)
        with bench.served() as address:
            yield address


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A console over a project that has all there is to show."""
    home: Path = tmp_path_factory.mktemp("everything")
    with open_bench(home) as bench:
        ids = greek.tell(bench)
        with bench.served() as address:
            yield address, ids


def log_in(page: Any, address: str, lang: str, theme: str) -> None:
    page.goto(f"{address}/?lang={lang}")
    page.fill("[name=name]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1")
    page.goto(f"{address}/?lang={lang}")
    page.goto(f"{address}/?theme={theme}")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_axe_finds_nothing_on_the_console(page: Any, served: str, axe: str, lang: str, theme: str) -> None:
    page.goto(f"{served}/?lang={lang}")
    found = violations(page, axe)
    log_in(page, served, lang, theme)
    page.goto(f"{served}/datasets")
    dataset = page.locator("tbody a").first.get_attribute("href")
    for address in (*PAGES, dataset):
        page.goto(served + address)
        found += [f"{address} {one}" for one in violations(page, axe)]
    page.goto(f"{served}/adapters")
    page.locator("button[popovertarget]").first.click()
    page.locator(".dialog:popover-open").wait_for()
    assert found + violations(page, axe) == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_axe_finds_nothing_where_a_page_has_all_it_can_have(
    page: Any, everything: tuple[str, dict[str, str]], axe: str, lang: str, theme: str
) -> None:
    served, ids = everything
    page.expected_errors += ["404"]
    log_in(page, served, lang, theme)
    found = []
    for address in (one.format(**ids) for pages in SHOWN.values() for one in pages):
        page.goto(served + address)
        for summary in page.locator("summary").all():
            summary.evaluate("node => node.parentElement.open = true")
        found += [f"{address} {one}" for one in violations(page, axe)]
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), address
        keep(page, "console" + address.replace("/", "-").partition("?")[0], lang, theme)
    page.goto(f"{served}/nowhere")
    assert found + violations(page, axe) == []


# Every page once, with the most there is to show on it.
SHOWN = {endpoint: pages[:1] for endpoint, pages in ALL_PAGES.items()} | {
    "interactions.detail": ALL_PAGES["interactions.detail"][1:3], "adapters.detail": ALL_PAGES["adapters.detail"],
    "runs.detail": ALL_PAGES["runs.detail"][1:4],
}  # fmt: skip


def keep(page: Any, name: str, lang: str, theme: str) -> None:
    """Keep a picture of the page where THUMBWHEEL_LOOK names a folder."""
    if folder := os.environ.get("THUMBWHEEL_LOOK"):
        page.screenshot(path=Path(folder) / f"{name}-{lang}-{theme}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
def test_axe_finds_nothing_on_the_demo(
    page: Any, demo: str, gateway: StubGateway, axe: str, lang: str, theme: str
) -> None:
    page.emulate_media(color_scheme=theme)
    texts = DEMO_TEXTS[lang]
    page.goto(f"{demo}/?lang={lang}")
    found = violations(page, axe)
    page.locator("#empty button").first.click()
    page.locator("thumbwheel-thumbs .thumb.down").click()
    page.locator("thumbwheel-thumbs .chip").first.wait_for()
    found += violations(page, axe)
    keep(page, "demo-chat", lang, theme)
    page.goto(f"{demo}/workbench?lang={lang}")
    bench = page.locator("thumbwheel-workbench")
    bench.locator(".choose").first.wait_for()
    found += violations(page, axe)
    bench.locator(".choose").first.click()
    found += violations(page, axe)
    keep(page, "demo-workbench", lang, theme)
    assert texts["workbench_title"] in page.title()
    assert found == []


def test_the_action_bar_has_the_colour_of_the_page_beneath_it(page: Any, demo: str, gateway: StubGateway) -> None:
    page.goto(f"{demo}/workbench")
    page.locator("thumbwheel-workbench .choose").first.wait_for()
    bar, beneath = page.evaluate(
        """() => [document.querySelector("thumbwheel-workbench").shadowRoot.querySelector(".actions"), document.body]
            .map(node => getComputedStyle(node).backgroundColor)"""
    )
    assert bar == beneath


@pytest.mark.parametrize("family", ["", '"Noto Sans CJK SC"'])
def test_an_english_apostrophe_leaves_no_gap_also_where_only_a_chinese_font_is_there(
    page: Any, served: str, demo: str, gateway: StubGateway, family: str
) -> None:
    for address in (f"{served}/login?lang=en", demo):
        page.goto(address)
        width = page.evaluate(
            """family => {
                if (family) document.documentElement.style.fontFamily = family;
                const mark = document.createElement("span");
                mark.textContent = "’"; mark.style.position = "absolute";
                document.body.append(mark);
                return mark.getBoundingClientRect().width / parseFloat(getComputedStyle(mark).fontSize);
            }""",
            family,
        )
        assert 0 < width < 0.45, address
