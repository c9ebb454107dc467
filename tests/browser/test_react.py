"""The React wrapper on a page that a server rendered, with the oldest React it supports and with today's."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DIST, ROOT
from tests.browser.framework_site import EXAMPLES, build, need_vite, serve

pytestmark = pytest.mark.browser

REACTS = {"18": ROOT / "sdk" / "js" / "node_modules", "19": EXAMPLES / "node_modules"}


@pytest.mark.parametrize("version", REACTS)
def test_a_hydrated_component_takes_properties_and_calls_handlers(page: Any, tmp_path: Path, version: str) -> None:
    need_vite()
    alias = {name: str(REACTS[version] / name) for name in ("react", "react-dom")}
    alias["@thumbwheel/sdk/react"] = str(DIST / "thumbwheel-react.js")
    config = {"root": str(Path(__file__).parent / "react_page"), "resolve": {"alias": alias}}
    (tmp_path / "vite.config.mjs").write_text(f"export default {json.dumps(config)}")
    # React's development build says on the console what it does not like.
    build(tmp_path / "out", {"NODE_ENV": "development"}, "--config", str(tmp_path / "vite.config.mjs"))
    with serve(tmp_path / "out") as url:
        page.set_default_timeout(30_000)
        page.goto(url)
        thumbs = page.locator("thumbwheel-thumbs")
        voted = thumbs.locator("button.thumb[aria-pressed=true]")
        voted.and_(thumbs.get_by_role("button", name="Bad answer")).wait_for()
        assert page.title().startswith(f"{version}.")
        assert thumbs.get_attribute("class") == "mine"
        thumbs.get_by_role("button", name="Good answer").click()
        comment = thumbs.get_by_label("Comment").element_handle()
        page.get_by_role("button", name="Again").click()
        page.locator("output").get_by_text("[1 thumb i-1 c-2][again]", exact=True).wait_for()
        # The same interaction in another object: neither the vote nor what is being written is touched.
        assert voted.get_attribute("title") == "Good answer"
        assert comment.evaluate("field => field.isConnected")
        # Another reply of the same interaction: the vote on the first one is none on it, but the page has one.
        page.get_by_role("button", name="Sibling").click()
        voted.and_(thumbs.get_by_role("button", name="Bad answer")).wait_for()
        assert voted.count() == 1 and thumbs.get_by_label("Comment").count() == 0
        choice = page.locator("thumbwheel-choice")
        choice.get_by_role("button", name="This one Reply 2").click()
        page.get_by_role("button", name="Next").click()
        voted.and_(thumbs.get_by_role("button", name="Bad answer")).wait_for()
        assert thumbs.get_by_role("button", name="Undo").count() == 0
        page.get_by_role("button", name="Focus").click()
        page.keyboard.press("Control+z")
        page.get_by_role("button", name="Again").click()
        heard = "[1 thumb i-1 c-2][again][1 choice i-1 c-2][2 undo i-1][again]"
        page.locator("output").get_by_text(heard, exact=True).wait_for()
        # An undo brings its item back, and it stays until the page has another one to show.
        assert choice.evaluate("element => element.interaction.interaction_id") == "i-1"
        kept = thumbs.element_handle()
        page.get_by_role("button", name="Leave").click()
        thumbs.wait_for(state="detached")
        kept.evaluate("element => element.dispatchEvent(new CustomEvent('thumbwheel-submit', {detail: {event: {}}}))")
        assert page.locator("output").inner_text() == heard
