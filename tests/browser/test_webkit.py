"""Delivery and storage in WebKit (Debian's webkit2gtk-driver), against a real collector, on a screen of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.site import DAY_MS, Site, open_site
from tests.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[[], Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A screen nobody sees; its DISPLAY."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed (Debian: xvfb)")
    command = [program, "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    yield f":{process.stdout.readline().decode().strip()}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def webkit(screen: str) -> Iterator[Open]:
    """Starts a browser with a storage of its own, closed after the test."""
    driver = shutil.which("WebKitWebDriver")
    browser = next(iter(sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))), None)
    if driver is None or browser is None:
        pytest.skip("WebKitWebDriver or MiniBrowser is not installed (Debian: webkit2gtk-driver)")
    selenium = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    from selenium.webdriver.webkitgtk.service import Service

    with ExitStack() as opened:

        def start() -> Any:
            options = selenium.WebKitGTKOptions()
            options.binary_location = str(browser)
            options.add_argument("--automation")
            made = selenium.WebKitGTK(options=options, service=Service(driver, env=os.environ | {"DISPLAY": screen}))
            opened.callback(made.quit)
            made.set_page_load_timeout(30)
            made.set_script_timeout(30)
            return made

        yield start


def candidates(first: int, last: int) -> list[str]:
    return [f"c-{n}" for n in range(first, last)]


def waiting(browser: Any) -> int:
    return int(browser.execute_script("return waiting()"))


def new_tab(browser: Any, address: str) -> str:
    browser.switch_to.new_window("tab")
    browser.get(address)
    return str(browser.current_window_handle)


def click_thumb(browser: Any) -> None:
    thumbs = browser.find_element("css selector", "thumbwheel-thumbs")
    thumbs.shadow_root.find_element("css selector", ".thumb.up").click()


def test_a_queue_outlives_a_reload_while_the_collector_is_away(site: Site, webkit: Open) -> None:
    browser = webkit()
    browser.get(site.page("reload"))
    with site.down():
        click_thumb(browser)
        browser.execute_script("give(1, 5)")
        browser.refresh()
        browser.execute_script("give(5, 7)")
        assert waiting(browser) == 7
    site.wait("reload", 7, 60)
    eventually(lambda: waiting(browser) == 0)
    assert site.candidates("reload") == candidates(0, 7)
    assert browser.execute_script("return problems") == []


def test_a_tab_closed_right_after_the_click_has_sent_it(site: Site, webkit: Open) -> None:
    browser = webkit()
    browser.get(site.page("other"))
    new_tab(browser, site.page("closed"))
    browser.execute_script("thumbs.shadowRoot.querySelector('.up').click(); give(1, 40)")
    browser.close()
    site.wait("closed", 40)
    browser.switch_to.window(browser.window_handles[0])
    assert site.candidates("closed") == candidates(0, 40)


def test_two_tabs_send_each_event_once(site: Site, webkit: Open) -> None:
    browser = webkit()
    browser.get(site.page("tabs"))
    tabs = [browser.current_window_handle, new_tab(browser, site.page("tabs"))]
    for n in range(20):
        browser.switch_to.window(tabs[n % 2])
        browser.execute_script("give(arguments[0])", n)
    site.wait("tabs", 20)
    eventually(lambda: waiting(browser) == 0)
    assert site.candidates("tabs") == candidates(0, 20)


def test_two_tabs_that_find_an_old_queue_send_it_once(site: Site, webkit: Open) -> None:
    browser = webkit()
    browser.get(site.page("heirs"))
    old = browser.current_window_handle
    with site.down():
        browser.execute_script("give(0, 150)")
        new_tab(browser, f"{site.host}/empty")
        browser.switch_to.window(old)
        browser.close()
    [first] = browser.window_handles
    browser.switch_to.window(first)
    browser.get(site.page("heirs"))
    new_tab(browser, site.page("heirs"))
    site.wait("heirs", 150)
    eventually(lambda: waiting(browser) == 0)
    assert site.candidates("heirs") == candidates(0, 150)


@pytest.mark.parametrize("days", [1, -1], ids=["ahead", "behind"])
def test_a_clock_a_day_off_keeps_three_times(site: Site, webkit: Open, days: int) -> None:
    browser = webkit()
    name = f"skew{days}"
    browser.get(site.page(name, skew_ms=days * DAY_MS))
    browser.execute_script("give(0, 1, 'up')")
    site.wait(name, 1)
    with site.down():
        browser.execute_script("give(0, 1, 'down')")
    found = site.wait(name, 2, 60)
    assert [event["value"] for event in found] == ["up", "down"]
    for event in found:
        occurred, sent, received = (
            datetime.fromisoformat(event[clock]) for clock in ("occurred_at", "sent_at", "received_at")
        )
        assert abs(sent - received - timedelta(days=days)) < timedelta(seconds=20)
        assert timedelta(0) <= sent - occurred < timedelta(minutes=2)


def test_a_full_storage_neither_stops_feedback_nor_loses_the_hosts_own(site: Site, webkit: Open) -> None:
    browser = webkit()
    browser.get(site.page("quota"))
    browser.execute_script(
        """for (let size = 2 ** 20; size >= 1; size = size / 2)
            try { for (let n = 0; ; n++) localStorage.setItem(`host.${size}.${n}`, "x".repeat(size)) } catch { }"""
    )
    stored = "return Object.keys(localStorage).sort()"
    before = browser.execute_script(stored)
    click_thumb(browser)
    site.wait("quota", 1)
    with site.down():
        browser.execute_script("give(1, 4)")
        assert browser.execute_script(stored) == before
    site.wait("quota", 4, 60)
    assert site.candidates("quota") == candidates(0, 4)
    assert browser.execute_script("return [...problems]") == []
