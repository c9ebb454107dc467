"""A real collector that can be stopped and started, and the pages of a host on another origin that send to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contract.topics import EVENTS, REJECTED
from control_store.control import Control
from eventlog.log import Log
from eventlog.opening import open_log
from runtime.settings import Settings
from tests.browser.conftest import DIST, ROOT, free_ports, is_ready
from tests.waiting import eventually

DAY_MS = 86_400_000
# `?skew=MS` sets the page's clock off before anything else runs; `give(n)` says n thumbs as a page's own button would.
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Host</title><link rel="icon" href="data:,">
<main data-url="{collector}" data-key="{key}"></main><script src="/skew.js"></script><script src="/sdk.js"></script>
<script src="/page.js"></script>"""
SKEW_JS = """
const off = Number(new URLSearchParams(location.search).get("skew"));
const RealDate = Date;
if (off) globalThis.Date = class extends RealDate {
  constructor(...given) { given.length ? super(...given) : super(RealDate.now() + off); }
  static now() { return RealDate.now() + off; }
};"""
PAGE_JS = """
const { url, key } = document.querySelector("main").dataset;
const asked = new URLSearchParams(location.search);
const interaction_id = asked.get("interaction");
const options = JSON.parse(asked.get("options") ?? "{}");
window.problems = [];
window.client = Thumbwheel.init({ url, key, actor: "u-1", onError: (one) => problems.push(one.code), ...options });
window.give = (from, to = from + 1, value = "up") => {
  for (let n = from; n < to; n++) client.thumb({ interaction_id, candidate_id: "c-" + n, value });
};
window.waiting = () => Object.keys(localStorage).filter((name) => name.startsWith("thumbwheel.1.")).length;
const thumbs = document.createElement("thumbwheel-thumbs");
thumbs.interaction = { interaction_id, candidates: [{ candidate_id: "c-0", content: "Hello" }] };
document.querySelector("main").append(thumbs);"""
WORKER_JS = """
import { init } from "/core.mjs";
onmessage = async ({ data: { interaction_id, ...options } }) => {
  const problems = [];
  const client = init({ actor: "u-1", onError: (one) => problems.push(one.code), ...options });
  const id = client.thumb({ interaction_id, candidate_id: "c-0", value: "up" });
  postMessage({ id, sent: await client.flush(), problems });
};"""


@dataclass
class Site:
    """`sent` reads the collector's log: what was accepted, once for each time it was sent."""

    home: Path
    log: Log
    port: int
    host: str = ""
    key: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def collector(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
        env |= {"THUMBWHEEL_HOME": str(self.home), "THUMBWHEEL_COLLECTOR_BIND": f"127.0.0.1:{self.port}"}
        self.process = subprocess.Popen([sys.executable, "-m", "collector"], cwd=ROOT, env=env)
        eventually(lambda: is_ready(f"{self.collector}/readyz"), 60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    @contextmanager
    def down(self) -> Iterator[None]:
        """Stop the collector for the length of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def page(self, interaction: str, skew_ms: int = 0, **options: Any) -> str:
        """Return the address of a page that gives feedback on an interaction."""
        return f"{self.host}/page?interaction={interaction}&skew={skew_ms}&options={json.dumps(options)}"

    def stored(self, topic: str = EVENTS) -> list[dict[str, Any]]:
        reader = self.log.reader({(topic, partition): 0 for partition in range(self.log.partitions(topic))})
        found: list[dict[str, Any]] = []
        while records := reader.poll(10_000, 0):
            found += [json.loads(record.value) for record in records]
        reader.close()
        return found

    def sent(self, interaction: str) -> list[dict[str, Any]]:
        return [event for event in self.stored() if event["interaction_id"] == interaction]

    def candidates(self, interaction: str) -> list[str]:
        """Return the candidates voted on, one for each time a vote came."""
        return sorted((event["candidate_id"] for event in self.sent(interaction)), key=lambda name: int(name[2:]))

    def wait(self, interaction: str, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """Return what came once it names `count` different events."""
        eventually(lambda: len({event["event_id"] for event in self.sent(interaction)}) >= count, seconds)
        return self.sent(interaction)

    def given_up(self) -> list[str]:
        """Return what SDKs reported as dropped, one line a report."""
        return [entry["message"] for entry in self.stored(REJECTED) if entry["code"] == "client_dropped"]


def _files(site: Site) -> dict[str, tuple[str, bytes]]:
    script = "text/javascript; charset=utf-8"
    return {
        "/page": ("text/html; charset=utf-8", PAGE.format(collector=site.collector, key=site.key).encode()),
        "/skew.js": (script, SKEW_JS.encode()),
        "/page.js": (script, PAGE_JS.encode()),
        "/worker.js": (script, WORKER_JS.encode()),
        "/sdk.js": (script, (DIST / "thumbwheel.iife.js").read_bytes()),
        "/core.mjs": (script, (DIST / "thumbwheel.js").read_bytes()),
        "/thumbwheel-label.js": (script, (DIST / "thumbwheel-label.js").read_bytes()),
        "/thumbwheel-elements.js": (script, (DIST / "thumbwheel-elements.js").read_bytes()),
        "/elements.mjs": (script, (DIST / "thumbwheel-elements.js").read_bytes()),
        "/empty": ("text/html; charset=utf-8", b"<!doctype html><title>Empty</title><link rel=icon href='data:,'>"),
    }


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    files = _files(site)
    policy = (
        f"default-src 'none'; script-src 'self'; worker-src 'self'; connect-src {site.collector}; img-src data:; "
        "style-src 'none'; require-trusted-types-for 'script'"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = files.get(urlsplit(self.path).path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def open_site(home: Path) -> Iterator[Site]:
    """Yield a site whose collector runs."""
    settings = Settings(home=home)
    log = open_log(settings.log_url)
    control = Control.of(settings)
    site = Site(home, log, *free_ports(1))
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    site.host = f"http://127.0.0.1:{server.server_port}"
    site.key = control.create_key("default", "public", [site.host]).key
    server.RequestHandlerClass = _handler(site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        site.start()
        yield site
    finally:
        site.stop()
        server.shutdown()
        server.server_close()
        log.close()
        control.close()
