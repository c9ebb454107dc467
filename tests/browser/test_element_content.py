"""Images, text that is still arriving, right-to-left text and input methods in the elements; keys and looks."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import heard, item, show
from tests.waiting import eventually

pytestmark = pytest.mark.browser
ARABIC = "مرحبا، ستصل الشحنة غدًا."
SIZES = [(40, 400), (1600, 200), (300, 300), (10, 12)]
SHIFTS = """() => { window.shifts = 0; new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts += entry.value;
}).observe({type: "layout-shift", buffered: true}) }"""


def pictures(host: str) -> list[Any]:
    names = [f"{width}x{height}" for width, height in SIZES] + ["broken"]
    return [[{"type": "image_url", "image_url": {"url": f"{host}/{name}.svg"}}] for name in names]


def boxes(element: Any) -> list[dict[str, float]]:
    return [box.bounding_box() for box in element.locator("article, button").all()]


@pytest.fixture
def images(page: Any) -> Any:
    """Answers the requests for images once released, and counts them."""
    released, asked = threading.Event(), []
    held: list[Any] = []

    def answer(route: Any) -> None:
        name = route.request.url.rpartition("/")[2].removesuffix(".svg")
        if name == "broken":
            route.fulfill(status=404)
            return
        width, height = name.split("x")
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"/>'
        route.fulfill(body=svg, content_type="image/svg+xml")

    def ask(route: Any) -> None:
        asked.append(route.request.url)
        answer(route) if released.is_set() else held.append(route)

    def release() -> list[str]:
        released.set()
        while held:
            answer(held.pop())
        return asked

    page.route("**/*.svg", ask)
    return release


@pytest.mark.parametrize("tag", ["thumbwheel-choice", "thumbwheel-workbench"])
def test_images_of_unequal_size_and_a_broken_one_move_nothing(
    page: Any, stub: Any, mount: Callable[..., Any], images: Any, tag: str
) -> None:
    page.expected_errors += ["404"]
    element = mount(tag, item(replies=pictures(stub.host)))
    page.evaluate(SHIFTS)
    element.evaluate("node => node.focus()")
    before = boxes(element)
    asked = images()
    eventually(
        lambda: element.evaluate("node => [...node.shadowRoot.querySelectorAll('img')].every(i => i.naturalWidth)")
    )
    element.get_by_text("The image could not be loaded.").wait_for()
    assert boxes(element) == before
    assert element.locator("img").first.get_attribute("alt") == "Reply 1"
    page.keyboard.press("3")
    page.keyboard.press("Control+Enter")
    assert stub.wait(1)[0]["chosen"] == "i-1.c3"
    assert page.evaluate("shifts") == 0
    assert len(asked) == 5


def test_more_text_leaves_focus_selection_and_decision_alone(page: Any, stub: Any, mount: Callable[..., Any]) -> None:
    choice = mount("thumbwheel-choice", item(replies=["One two", ""]))
    choice.get_by_role("button", name="This one Reply 2").focus()
    choice.evaluate(
        """node => {
            const text = node.shadowRoot.querySelector(".text").firstChild;
            getSelection().setBaseAndExtent(text, 4, text, 7);
        }"""
    )
    for n in range(1, 30):
        show(page, item(replies=["One two" + " three" * n, "b" * n]))
    assert choice.locator(".text").all_inner_texts() == ["One two" + " three" * 29, "b" * 29]
    assert page.evaluate("getSelection().toString()") == "two"
    choice.get_by_role("button", name="This one Reply 2").focus()
    page.keyboard.press("2")
    show(page, item(replies=["One two, and the rest", "b" * 40]))
    assert choice.get_by_role("button", name="This one Reply 2").get_attribute("aria-pressed") == "true"
    assert choice.locator(".text").first.inner_text() == "One two, and the rest"
    assert stub.wait(1)[0]["chosen"] == "i-1.c2"


def test_a_host_may_grow_its_own_object(page: Any, mount: Callable[..., Any]) -> None:
    choice = mount("thumbwheel-choice", item(replies=["a", "b"]))
    choice.evaluate(
        "node => { const own = node.interaction; own.candidates[1].content += 'c'; node.interaction = own }"
    )
    assert choice.locator(".text").all_inner_texts() == ["a", "bc"]


def test_text_arriving_does_not_disturb_whoever_edits(page: Any, stub: Any, mount: Callable[..., Any]) -> None:
    bench = mount("thumbwheel-workbench", item(replies=["Dear customer", "Hello"]))
    bench.evaluate("node => node.focus()")
    page.keyboard.press("1")
    page.keyboard.press("e")
    page.keyboard.press("Control+Home")
    show(page, item(replies=["Dear customer, thank you", "Hello"]))
    editor = bench.get_by_label("Your reply")
    assert editor.input_value() == "Dear customer, thank you"
    page.keyboard.type("My ")
    show(page, item(replies=["Dear customer, thank you for waiting.", "Hello there"]))
    page.keyboard.type("very ")
    assert editor.input_value() == "My very Dear customer, thank you"
    page.keyboard.press("Control+Enter")
    assert stub.wait(1)[0]["edited_text"] == "My very Dear customer, thank you"


def test_a_comment_being_written_outlives_more_of_the_answer(page: Any, mount: Callable[..., Any]) -> None:
    thumbs = mount("thumbwheel-thumbs", item(replies=["Hel"]))
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_label("Comment").fill("wrong date")
    page.keyboard.press("Home")
    show(page, item(replies=["Hello"]))
    page.keyboard.type("The ")
    assert thumbs.get_by_label("Comment").input_value() == "The wrong date"


def test_undo_brings_a_comment_back_with_its_thumb(page: Any, stub: Any, mount: Callable[..., Any]) -> None:
    thumbs = mount("thumbwheel-thumbs")
    thumbs.get_by_role("button", name="Bad answer").click()
    thumbs.get_by_role("button", name="Incorrect").click()
    thumbs.get_by_label("Comment").fill("wrong date")
    page.keyboard.press("Control+Enter")
    stub.wait(2, "thumb")
    thumbs.get_by_role("button", name="Undo").click()
    thumbs.get_by_role("button", name="Bad answer").click()
    assert thumbs.get_by_label("Comment").input_value() == "wrong date"
    assert thumbs.get_by_role("button", name="Incorrect").get_attribute("aria-pressed") == "true"


def test_right_to_left_replies_read_from_the_right_in_either_page(
    page: Any, stub: Any, mount: Callable[..., Any]
) -> None:
    bench = mount("thumbwheel-workbench", item(replies=[f"{ARABIC}\nRef. 4711", "In English."]))
    edges = """([node, line]) => {
        const text = node.shadowRoot.querySelectorAll(".text")[line[0]], range = document.createRange();
        range.setStart(text.firstChild, line[1]); range.setEnd(text.firstChild, line[2]);
        const at = range.getBoundingClientRect(), box = text.getBoundingClientRect();
        return [Math.round(at.left - box.left), Math.round(box.right - at.right)];
    }"""

    def margins(reply: int, first: int, last: int) -> list[int]:
        return list(page.evaluate(edges, [bench.element_handle(), [reply, first, last]]))

    for page_dir in ("ltr", "rtl"):
        page.evaluate("dir => { document.documentElement.dir = dir }", page_dir)
        assert margins(0, 0, len(ARABIC))[1] == 0
        assert margins(0, len(ARABIC) + 1, len(ARABIC) + 10)[0] == 0
        assert margins(1, 0, 11)[0] == 0
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    bench.evaluate("node => node.focus()")
    page.keyboard.press("1")
    page.keyboard.press("e")
    assert bench.locator("textarea").evaluate("node => node.matches(':dir(rtl)')")
    page.keyboard.press("Control+Enter")
    assert stub.wait(1)[0]["chosen"] == "i-1.c1"


# -- input methods: Chromium composes for real, told through its debugging protocol


def test_composed_chinese_submits_only_when_the_input_method_is_done(
    page: Any, stub: Any, mount: Callable[..., Any]
) -> None:
    bench = mount("thumbwheel-workbench", lang="zh-CN")
    bench.evaluate("node => node.focus()")
    page.keyboard.press("b")
    ime = page.context.new_cdp_session(page)
    for typed in ("n", "ni", "ni h", "ni hao"):
        ime.send("Input.imeSetComposition", {"text": typed, "selectionStart": len(typed), "selectionEnd": len(typed)})
    show(page, item())
    for key in ("Control+Enter", "Escape"):
        page.keyboard.press(key)
    assert heard(page, "submit") == []
    editor = bench.get_by_label("您的回复")
    assert editor.is_visible()
    ime.send("Input.insertText", {"text": "你好"})
    page.keyboard.press("Control+Enter")
    event = stub.wait(1, "pick")[0]
    assert (event["outcome"], event["edited_text"]) == ("none", "你好")
    assert [key for key in heard(page, "host key") if key != "Control"] == []


# -- keys and looks


def test_a_key_that_acts_is_not_heard_outside_not_even_its_release(page: Any, mount: Callable[..., Any]) -> None:
    bench = mount("thumbwheel-workbench")
    page.evaluate("document.addEventListener('keyup', e => heard.push(['host key', 'up ' + e.key]))")
    bench.evaluate("node => node.focus()")
    for key in ("2", "e", "x", "Escape", "Control+Enter"):
        page.keyboard.press(key)
    assert heard(page, "host key") == ["Control", "up Control"]
    page.keyboard.press("x")
    assert heard(page, "host key")[2:] == ["x", "up x"]


def test_keys_switched_off_by_the_host_are_the_hosts(page: Any, stub: Any, mount: Callable[..., Any]) -> None:
    choice = mount("thumbwheel-choice", keys="off")
    choice.evaluate("node => node.focus()")
    for key in ("1", "t", "b", "?"):
        page.keyboard.press(key)
    assert heard(page, "host key") == ["1", "t", "b", "?"]
    choice.evaluate("node => node.setAttribute('keys', 'on')")
    page.keyboard.press("2")
    assert stub.wait(1)[0]["chosen"] == "i-1.c2"


def test_properties_and_parts_give_an_element_the_look_of_its_page(page: Any, mount: Callable[..., Any]) -> None:
    choice = mount("thumbwheel-choice")
    page.evaluate(
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(`body { font: 20px serif } main { --thumbwheel-surface: rgb(1, 2, 3) }
                thumbwheel-choice { --thumbwheel-radius: 3px; --thumbwheel-image-ratio: 1 }
                thumbwheel-choice::part(heading) { letter-spacing: 2px }
                thumbwheel-choice::part(candidate chosen) { border-color: rgb(4, 5, 6) }`);
            document.adoptedStyleSheets = [sheet];
        }"""
    )
    choice.evaluate("node => node.focus()")
    page.keyboard.press("1")

    def look(selector: str, name: str) -> str:
        return str(choice.locator(selector).first.evaluate("(node, name) => getComputedStyle(node)[name]", name))

    assert look(".card", "backgroundColor") == "rgb(1, 2, 3)"
    assert look(".card", "borderTopLeftRadius") == "3px"
    assert look(".card.chosen", "borderTopColor") == "rgb(4, 5, 6)"
    assert look("h2", "letterSpacing") == "2px"
    assert (look("button", "fontSize"), look("button", "fontFamily")) == ("20px", "serif")


@pytest.mark.parametrize(("theme", "system", "dark"), [("light", "dark", False), ("dark", "light", True)])
def test_a_theme_is_light_dark_or_the_systems(
    page: Any, mount: Callable[..., Any], theme: str, system: str, dark: bool
) -> None:
    page.emulate_media(color_scheme=system)
    choice = mount("thumbwheel-choice", theme=theme)

    def is_dark() -> bool:
        [red, *_] = choice.locator(".card").first.evaluate(
            "node => getComputedStyle(node).backgroundColor.match(/\\d+/g)"
        )
        return int(red) < 128

    assert is_dark() is dark
    choice.evaluate("node => node.setAttribute('theme', 'system')")
    assert is_dark() is not dark


def test_old_drafts_make_room_for_new_ones(page: Any, mount: Callable[..., Any]) -> None:
    bench = mount("thumbwheel-workbench")
    for n in range(4):
        show(page, item(f"long-{n}"))
        bench.get_by_role("article", name="Reply 1").click()
        page.keyboard.press("e")
        bench.get_by_label("Your reply").fill("x" * 100_000)
    drafts = "Object.keys(localStorage).filter(name => name.startsWith('thumbwheel.draft.')).sort()"
    assert [name.split(".")[3] for name in page.evaluate(drafts)] == ["long-2", "long-3"]
    show(page, item("long-3"))
    assert len(bench.get_by_label("Your reply").input_value()) == 100_000
