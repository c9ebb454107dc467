"""By keys alone, in both languages: two people answer, disagree, a third decides; a review sends back, and accepts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_axe import axe, log_in, violations
from tests.console.bench import Bench, open_bench
from tests.console.test_reviewing import said, state, tell

pytestmark = pytest.mark.browser
__all__ = ["axe"]
WORDS = {
    "en": {"kept": "Your decision is kept", "nothing": "Nothing waits for you.", "differ": "people disagree"},
    "zh_Hans": {"kept": "你的决定已记下", "nothing": "没有等你处理的条目。", "differ": "意见不一"},
}


@pytest.fixture(params=["en", "zh_Hans"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Bench, str, str]]:
    with open_bench(tmp_path) as bench:
        tell(bench)
        with bench.served() as address:
            yield bench, address, request.param


def press(bench: Bench, page: Any, *keys: str, text: str = "") -> str:
    """Press keys, write, send with Enter; return what the page then says."""
    for key in keys:
        page.keyboard.press(key)
    if text:
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    page.wait_for_url("**done=**")
    bench.catch_up()
    page.reload()
    told: str = page.locator("main").inner_text()
    return told


def test_a_conflict_is_adjudicated_and_reviews_send_back_and_accept(
    served: tuple[Bench, str, str], page: Any, axe: str
) -> None:
    bench, address, lang = served
    words = WORDS[lang]
    log_in(page, address, lang, "light")
    page.goto(f"{address}/adjudicate")
    before = page.locator("main").inner_text()
    assert words["differ"] in before and "ann" not in before and "rei" not in before
    assert violations(page, axe) == []
    second = page.locator("article mark").nth(1).inner_text()
    told = press(bench, page, "b")
    assert violations(page, axe) == []
    assert words["kept"] in told and "ann" in told and "rei" in told and words["nothing"] in told
    assert state(bench, "i-1")["values"] == {"tone": f'"{second}"'}

    page.goto(f"{address}/review")
    assert "bob" not in page.locator("main").inner_text()
    page.keyboard.press("o")
    assert violations(page, axe) == []
    told = press(bench, page, text="Too hasty. 太急了。")
    assert words["kept"] in told and "bob" in told
    assert (state(bench, "i-0")["state"], state(bench, "i-0")["others"]) == ("returned", True)
    bench.put(said("cyd", "i-0", at=40, round=1), said("dan", "i-0", "a", at=41, round=1))

    page.goto(f"{address}/review?task=tone&interaction=i-0")
    page.keyboard.press("f")
    page.keyboard.press("b")
    told = press(bench, page, "Tab", text="4")
    assert "cyd" in told and state(bench, "i-0")["values"] == {"score": "4", "tone": '"b"'}
    page.goto(f"{address}/review")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    told = press(bench, page, "a")
    assert words["nothing"] in told and state(bench, "i-2")["state"] == "settled"


def test_the_figures_come_into_the_page_of_a_task_and_pass_axe(
    served: tuple[Bench, str, str], page: Any, axe: str
) -> None:
    _, address, lang = served
    log_in(page, address, lang, "light")
    for place in ("tasks/tone", "labels/tone"):
        page.goto(f"{address}/{place}")
        page.locator(".lazy #quality table").first.wait_for()
        assert "ann" in page.locator(".lazy").inner_text()
        page.locator(".lazy summary").first.click()
        assert violations(page, axe) == []
