"""The annotator's page in a real browser: every kind of question by keys alone, drafts, undo, Chinese input."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_axe import AXE, violations
from tests.console import labelling
from tests.console.bench import PASSWORD, Bench, open_bench
from tests.console.labelling import KINDS
from tests.waiting import eventually

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, str]]:
    home: Path = tmp_path_factory.mktemp("labelling")
    with open_bench(home) as bench:
        bench.put(*labelling.LABELS, labelling.GUIDELINE, *labelling.interactions(30, 3))
        labelling.people(bench)
        with bench.served() as address:
            yield bench, address


Open = Callable[..., Any]


@pytest.fixture
def work(page: Any, served: tuple[Bench, str], request: pytest.FixtureRequest) -> Open:
    """Opens the page of a new task of the test's own, as a person."""
    bench, address = served
    name = f"t-{abs(hash(request.node.name)) % 10**9}"

    def open_task(
        labels: tuple[str, ...], person: str = "ann", lang: str = "en", items: int = 4, unit: str = "",
        browser_page: Any = None, **fields: Any,
    ) -> Any:  # fmt: skip
        here = browser_page or page
        if browser_page is None:
            fields.setdefault("stages", [{"k": 1}])
            bench.put(labelling.task(name, 5, labels, **fields), *labelling.items(items, name, 6, unit))
        here.goto(f"{address}/login?lang={lang}")
        here.fill("[name=name]", person)
        here.fill("[name=password]", PASSWORD)
        here.keyboard.press("Enter")
        here.wait_for_selector("nav")
        here.goto(f"{address}/label/{name}")
        here.wait_for_selector("#label-item:not([hidden]), #label-empty:not([hidden])")
        here.task = name
        return here

    return open_task


def said(bench: Bench, task: str) -> list[tuple[str, str, Any, str]]:
    """Return (interaction, label, value, state) of what the tables hold."""
    bench.catch_up()
    with bench.store.read() as cursor:
        found = cursor.execute(
            "SELECT interaction_id, label, value, state FROM answers WHERE task_id = ? ORDER BY ALL", [task]
        ).fetchall()
    return [(interaction, label, json.loads(value), state) for interaction, label, value, state in found]


def wait_said(bench: Bench, task: str, count: int) -> list[tuple[str, str, Any, str]]:
    eventually(lambda: len(said(bench, task)) >= count, 10)
    return said(bench, task)


def prompt(page: Any) -> str:
    text: str = page.locator("#label-messages .said").first.inner_text()
    return text


def test_every_kind_of_question_is_answered_by_keys_alone(work: Open, served: tuple[Bench, str]) -> None:
    page = work(tuple(path for path in KINDS if path != "fix"))
    replies = [node.inner_text() for node in page.locator(".reply .said").all()]
    keys = page.keyboard
    for key in ("2", "1", "2", "j", "5", "1"):  # tone; both faults; score; safe
        keys.press(key)
    keys.press("e")
    keys.type("Too short, 太短。")
    keys.press("Escape")
    for key in ("j", "3", "Shift+2", "j", "ArrowDown", "Alt+ArrowUp", "ArrowDown", "="):
        keys.press(key)
    keys.press("j")
    span = page.locator("[data-span]").first
    assert span.evaluate("node => node === document.activeElement")
    text = span.input_value()
    keys.press("Control+Home")
    for _ in range(6):
        keys.press("Shift+ArrowRight")
    keys.type("xyz")
    assert span.input_value() == text, "nothing can be typed into it"
    keys.press("Control+Home")
    for _ in range(6):
        keys.press("Shift+ArrowRight")
    keys.press("Enter")
    assert page.locator(".marks mark").inner_text() == text[:6]
    before = prompt(page)
    keys.press("Control+Enter")
    page.wait_for_function("text => document.querySelector('#label-messages .said').innerText !== text", arg=before)
    bench = served[0]
    found = {label: value for _, label, value, _ in wait_said(bench, page.task, 8)}
    names = {f"{labelling.REPLIES[m]} (0)": f"i-0-c{m}" for m in range(3)}
    shown = [names[reply] for reply in replies]
    assert found["tone"] == "rude" and found["faults"] == ["late", "wrong"] and found["score"] == 5
    assert found["safe"] is True and found["reason"] == "Too short, 太短。"
    assert found["better"] == {"outcome": "chosen", "chosen": shown[2], "strength": 2}
    assert found["order"] == [shown[1], [shown[0], shown[2]]] or found["order"] == [[shown[1], shown[0]], shown[2]]
    assert [(mark["start"], mark["end"], mark["text"]) for mark in found["claims"]] == [(0, 6, text[:6])]


def test_marks_are_counted_in_code_points(work: Open, served: tuple[Bench, str]) -> None:
    page = work(("claims",), items=1)
    area = page.locator("[data-span$=c0]")
    area.evaluate("node => { node.focus(); const at = node.value.indexOf('Bye'); node.setSelectionRange(at, at + 3); }")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    (mark,) = wait_said(served[0], page.task, 1)[0][2]
    whole = f"{labelling.REPLIES[0]} (0)"
    assert whole[mark["start"] : mark["end"]] == mark["text"] == "Bye"


def test_a_tie_none_and_a_correction_by_keys(work: Open, served: tuple[Bench, str]) -> None:
    page = work(("better",), items=2)
    page.keyboard.press("t")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 1')")
    page.keyboard.press("b")
    page.keyboard.press("Control+Enter")
    page.locator("#label-empty").filter(has_text="All done").wait_for()
    assert [value for _, _, value, _ in wait_said(served[0], page.task, 2)] == [{"outcome": "tie"}, {"outcome": "none"}]


def test_a_correction_begins_with_the_reply(work: Open, served: tuple[Bench, str]) -> None:
    page = work(("fix",), items=1, unit="i-{n}-c1")
    page.keyboard.press("e")
    assert page.evaluate("document.activeElement.value") == "Please wait. (0)"
    page.keyboard.press("Control+End")
    page.keyboard.type(" Until Friday.")
    page.keyboard.press("Control+Enter")
    assert wait_said(served[0], page.task, 1)[0][1:3] == ("fix", "Please wait. (0) Until Friday.")


def test_chinese_input_never_submits_and_no_key_acts_while_it_composes(work: Open, served: tuple[Bench, str]) -> None:
    page = work(("tone", "reason"), lang="zh_Hans")
    page.keyboard.press("1")
    page.keyboard.press("e")
    client = page.context.new_cdp_session(page)
    client.send("Input.imeSetComposition", {"text": "bu", "selectionStart": 2, "selectionEnd": 2})
    for key, code, held in (("Enter", 13, 0), ("Enter", 13, 2), ("s", 83, 0), ("2", 50, 0)):
        client.send("Input.dispatchKeyEvent", {
            "type": "rawKeyDown", "key": key, "windowsVirtualKeyCode": 229 if held == 0 else code, "modifiers": held,
        })  # fmt: skip
    assert prompt(page).endswith("0?") and not page.locator("#label-skip:popover-open").count()
    client.send("Input.insertText", {"text": "不够礼貌"})
    assert page.locator("#label-questions textarea").input_value() == "不够礼貌"
    page.keyboard.press("Enter")
    assert prompt(page).endswith("0?"), "Enter alone never submits"
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 1')")
    found = {label: value for _, label, value, _ in wait_said(served[0], page.task, 2)}
    assert found == {"tone": "polite", "reason": "不够礼貌\n"}


def test_a_draft_outlives_the_browser_and_opens_on_another_machine(
    work: Open, served: tuple[Bench, str], chromium: Any
) -> None:
    page = work(("tone", "reason"))
    page.keyboard.press("3")
    page.keyboard.press("e")
    page.keyboard.type("四百字 " * 20)
    page.locator("#label-status").filter(has_text="Draft saved").wait_for()
    other = chromium.new_context().new_page()
    work(("tone", "reason"), browser_page=other)
    assert other.locator("#label-questions textarea").input_value() == "四百字 " * 20
    assert other.locator("input[value=on]:checked, input:checked").count() >= 1
    assert other.locator("#label-status").inner_text() == "Your draft was kept."
    other.context.close()


def test_what_is_needed_is_asked_for_and_skip_postpone_undo_note_and_guideline_have_keys(
    work: Open, served: tuple[Bench, str]
) -> None:
    page = work(("tone", "reason"))
    page.keyboard.press("Control+Enter")
    assert "Answer “Tone”" in page.locator("#label-alert").inner_text()
    page.keyboard.press("g")
    page.locator("#label-guideline").filter(has_text="Polite means").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 1')")
    page.keyboard.press("s")
    page.keyboard.type("not my language")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 2')")
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.type("look again")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 3')")
    bench = served[0]
    assert [one[:3] for one in wait_said(bench, page.task, 2)] == [
        ("i-1", "@skipped", "not my language"), ("i-2", "tone", "polite"),
    ]  # fmt: skip
    page.keyboard.press("Control+z")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 2')")
    assert page.locator("#label-comment").input_value() == "look again"
    assert page.locator("#label-questions input:checked").count() == 1
    assert [one[3] for one in said(bench, page.task) if one[0] == "i-2"] == ["retracted"]
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 3')")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 0')")


def test_single_keys_can_be_switched_off(work: Open) -> None:
    page = work(("tone",), items=1)
    page.keyboard.press("?")
    page.locator("#label-keys:popover-open").wait_for()
    page.locator("#label-single").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.locator("#label-questions input:checked").count() == 0
    page.evaluate("localStorage.clear()")


def test_what_was_submitted_while_the_console_is_away_is_sent_later(work: Open, served: tuple[Bench, str]) -> None:
    page = work(("tone",), items=2)
    page.expected_errors += ["ERR_FAILED", "Failed to load"]
    page.wait_for_timeout(500)
    page.route("**/api/v1/**", lambda route: route.abort())
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 1')")
    page.locator("#label-alert").filter(has_text="1 not sent yet").wait_for()
    page.unroute("**/api/v1/**")
    assert [one[:3] for one in wait_said(served[0], page.task, 1)] == [("i-0", "tone", "polite")]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_axe_finds_nothing_on_an_item_its_guideline_and_its_dialogs(work: Open, lang: str, theme: str) -> None:
    axe = AXE.read_text("utf-8")
    page = work(KINDS, lang=lang, items=2)
    page.goto(f"{page.url}?theme={theme}")
    page.wait_for_selector(".question")
    found = violations(page, axe)
    page.keyboard.press("1")
    page.keyboard.press("g")
    page.locator("#label-guideline h3").wait_for()
    found += violations(page, axe)
    for key, dialog in (("?", "keys"), ("s", "skip")):
        page.keyboard.press(key)
        page.locator(f"#label-{dialog}:popover-open").wait_for()
        found += violations(page, axe)
        page.keyboard.press("Escape")
    page.locator("#label-title").focus()
    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.querySelector('#label-messages .said').innerText.includes('parcel 1')")
    assert found + violations(page, axe) == []


@pytest.mark.parametrize("lang", ["en", "zh_Hans"])
def test_how_it_looks(work: Open, lang: str) -> None:
    page = work(KINDS, lang=lang, items=1)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    if folder := os.environ.get("THUMBWHEEL_LOOK"):
        page.screenshot(path=Path(folder) / f"label-{lang}.png")
        page.set_viewport_size({"width": 420, "height": 900})
        page.screenshot(path=Path(folder) / f"label-narrow-{lang}.png", full_page=True)
    page.set_viewport_size({"width": 420, "height": 900})
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
