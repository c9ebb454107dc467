"""A task is made, watched, paused and opened by keys alone, in both languages; the count follows what is typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_axe import axe, log_in, violations
from tests.console import story
from tests.console.bench import Bench, open_bench

pytestmark = pytest.mark.browser
__all__ = ["axe"]
WORDS = {
    "en": {"count": "items match now", "stuck": "Nothing is stuck.", "paused": "paused"},
    "zh_Hans": {"count": "现在命中", "stuck": "没有停滞的条目。", "paused": "已暂停"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, str]]:
    home: Path = tmp_path_factory.mktemp("console")
    with open_bench(home) as bench:
        story.tell(bench)
        bench.put(story.event("definition.label", "label", 1, actor=("ada", "expert"), path="tone"))
        with bench.served() as address:
            yield bench, address


def to(page: Any, name: str) -> None:
    """Press Tab until the field of this name has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name || document.activeElement.id") == name:
            return
    raise AssertionError(f"no field {name!r} is reached by Tab")


@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_a_task_is_made_by_keys_and_its_count_follows_the_filter(
    served: tuple[Bench, str], page: Any, lang: str
) -> None:
    bench, address = served
    words = WORDS[lang]
    # Nobody takes the log into the tables here until `catch_up`.
    page.expected_errors.append("404")
    log_in(page, address, lang, "light")
    page.goto(f"{address}/tasks/new")
    all_of_them = page.locator("#count strong").inner_text()
    assert words["count"] in all_of_them
    to(page, "title")
    page.keyboard.type(f"Tone {lang}")
    to(page, "task_id")
    page.keyboard.type(f"tone-{lang[:2]}")
    to(page, "labels")
    page.keyboard.press("Space")
    to(page, "q")
    page.keyboard.type("blender")
    page.wait_for_function("text => document.querySelector('#count strong').innerText !== text", arg=all_of_them)
    assert "csrf" not in page.url
    to(page, "k")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tasks/tone-{lang[:2]}")
    bench.catch_up()
    page.reload()
    assert page.locator("h1").inner_text().startswith(f"Tone {lang}")
    assert words["stuck"] in page.locator("main").inner_text()
    made = bench.get(f"tasks/tone-{lang[:2]}")
    assert made["stages"][0]["k"] == 3 and made["query"] == {"q": "blender"} and made["labels"] == ["tone"]
    to(page, "state")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    bench.catch_up()
    page.reload()
    assert words["paused"] in page.locator("h1").inner_text()


@pytest.mark.slow
def test_axe_finds_nothing_on_a_new_task_with_a_problem(served: tuple[Bench, str], page: Any, axe: str) -> None:
    _, address = served
    log_in(page, address, "en", "light")
    page.expected_errors.append("400")
    page.goto(f"{address}/tasks/new")
    page.locator("button.main").click()
    page.locator(".problem").first.wait_for()
    assert violations(page, axe) == []
