"""Headless Chromium, a recording stand-in for the collector, and the real processes of `thumbwheel up`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.kafka_broker import free_port
from tests.stack import link_base
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
DIST = ROOT / "sdk" / "js" / "dist"
REPLIES = [
    "Your parcel is late.\nSorry about that.",
    "Please wait two more days.",
    "I will look into it for you.",
    "您的包裹明天会送到。",
]
MODULES = ("/sdk/thumbwheel-elements.js", "/sdk/thumbwheel-label.js")
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of a fresh profile. The test fails when the console shows an error or a script throws."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    opened = context.new_page()
    opened.set_default_timeout(5000)
    errors: list[str] = []
    expected: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.expected_errors = expected
    yield opened
    context.close()
    assert [text for text in errors if not any(part in text for part in expected)] == []


@dataclass
class Stub:
    """A collector and a host page on two origins. The collector records bodies and answers as told."""

    collector: str = ""
    host: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] | None = None

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        seen = {event["event_id"]: event for body in list(self.bodies) for event in body["events"]}
        return [event for event in seen.values() if kind in (None, event["type"])]

    def wait(self, count: int, kind: str | None = None) -> list[dict[str, Any]]:
        eventually(lambda: len(self.events(kind)) >= count)
        return self.events(kind)


def _accept(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 202, {"results": [{"event_id": event["event_id"], "status": "accepted"} for event in body["events"]]}


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def reply(self, status: int, body: bytes, kind: str, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/sdk/thumbwheel.js":
                self.reply(200, (DIST / "thumbwheel.iife.js").read_bytes(), "text/javascript; charset=utf-8")
            elif self.path in MODULES:
                self.reply(200, (DIST / self.path.removeprefix("/sdk/")).read_bytes(), "text/javascript; charset=utf-8")
            elif self.path == "/page":
                policy = (
                    f"default-src 'none'; script-src {stub.collector}; connect-src {stub.collector}; "
                    "style-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'"
                )
                html = (
                    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Host</title>'
                    '<link rel="icon" href="data:,"><h1>Host</h1><main></main>'
                    f'<script src="{stub.collector}/sdk/thumbwheel.js"></script>'
                )
                self.reply(200, html.encode(), "text/html; charset=utf-8", Content_Security_Policy=policy)
            else:
                self.reply(404, b"", "text/plain")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.bodies.append(body)
            status, answer = (stub.answer or _accept)(body)
            self.reply(status, json.dumps(answer).encode(), "application/json")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    made.collector, made.host = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def item(name: str = "i-1", replies: list[Any] = REPLIES) -> dict[str, Any]:
    candidates = [{"candidate_id": f"{name}.c{n}", "content": text} for n, text in enumerate(replies, 1)]
    return {"interaction_id": name, "conversation_id": "k-1", "candidates": candidates}


@pytest.fixture
def mount(page: Any, stub: Any) -> Iterator[Callable[..., Any]]:
    """Opens the host page and puts one element into it; answers with the element's locator."""

    def open_page(tag: str, interaction: dict[str, Any] | None = None, **attributes: str) -> Any:
        page.goto(f"{stub.host}/page")
        page.evaluate(
            """([tag, url, interaction, attributes]) => {
                window.heard = [];
                for (const name of ["submit", "undo", "error", "skip", "back"])
                    document.addEventListener("thumbwheel-" + name, e => heard.push([name, e.detail]));
                document.addEventListener("keydown", e => heard.push(["host key", e.key]));
                Thumbwheel.init({url, key: "tw_pub_test", actor: "u-1"});
                const element = document.createElement(tag);
                for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
                element.interaction = interaction;
                document.querySelector("main").append(element);
            }""",
            [tag, stub.collector, interaction or item(), {k.replace("_", "-"): v for k, v in attributes.items()}],
        )
        return page.locator(tag)

    yield open_page
    # What is on its way when the collector goes would end as an error in the console.
    page.evaluate("window.Thumbwheel?.flush()")


def heard(page: Any, name: str) -> list[Any]:
    return [detail for kind, detail in page.evaluate("heard") if kind == name]


def show(page: Any, interaction: dict[str, Any] | None) -> None:
    page.evaluate("x => { document.querySelector('main').firstChild.interaction = x }", interaction)


@dataclass(frozen=True)
class Stack:
    """Addresses and credentials of running processes."""

    home: Path
    collector: str
    console: str
    gateway: str
    demo: str
    keys: dict[str, str]
    login: dict[str, str]

    def console_json(self, path: str) -> Any:
        key = {"Authorization": f"Bearer {self.keys['secret']}"}
        request = urllib.request.Request(self.console + path, headers=key)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def free_ports(count: int) -> list[int]:
    first = free_port(count)
    return list(range(first, first + count))


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, demo_base: Path) -> Iterator[Stack]:
    """`thumbwheel up` on free ports with a home of its own; stopped as Ctrl-C would."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")
    home = tmp_path_factory.mktemp("home")
    link_base(home, demo_base)
    names = ("COLLECTOR", "CONSOLE", "GATEWAY", "DEMO")
    binds = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(4), strict=True)}
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {"THUMBWHEEL_HOME": str(home), **{f"THUMBWHEEL_{name}_BIND": bind for name, bind in binds.items()}}
    output = (home / "up.txt").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up"], cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    checks = [f"http://{binds[name]}/readyz" for name in names[:3]] + [f"http://{binds['DEMO']}/healthz"]
    try:
        deadline = time.monotonic() + 180
        while not all(is_ready(check) for check in checks):
            said = (home / "up.txt").read_text()[-3000:]
            assert process.poll() is None, f"`thumbwheel up` ended: {said}"
            assert time.monotonic() < deadline, f"`thumbwheel up` is not ready after 180 s: {said}"
            time.sleep(0.3)
        dev = tomllib.loads((home / "dev.toml").read_text())
        urls = [f"http://{binds[name]}" for name in names]
        yield Stack(home, *urls, keys=dev["keys"], login=dev["console"])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.close()
