"""axe finds nothing: in the three elements, and on every console page, in both colours and languages.

THUMBWHEEL_SCREENSHOTS=1 .venv/bin/python -m pytest tests/browser/test_axe.py -k elements
writes docs/images/elements-*.png.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT
from tests.browser.test_console import PAGES
from tests.console import story
from tests.console.bench import PASSWORD, open_bench

pytestmark = pytest.mark.browser
AXE = ROOT / "sdk" / "js" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = ROOT / "docs" / "images"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.flatMap(
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


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_axe_finds_nothing_on_the_console(page: Any, served: str, axe: str, lang: str, theme: str) -> None:
    page.goto(f"{served}/?lang={lang}")
    found = violations(page, axe)
    page.fill("[name=name]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1")
    page.goto(f"{served}/?lang={lang}")
    page.goto(f"{served}/?theme={theme}")
    page.goto(f"{served}/datasets")
    dataset = page.locator("tbody a").first.get_attribute("href")
    for address in (*PAGES, dataset):
        page.goto(served + address)
        found += [f"{address} {one}" for one in violations(page, axe)]
    page.goto(f"{served}/adapters")
    page.locator("button[popovertarget]").first.click()
    page.locator(".dialog:popover-open").wait_for()
    assert found + violations(page, axe) == []
