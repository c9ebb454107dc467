"""The framework examples as a customer runs them: built by Vite, under a strict policy, beside a real collector."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contract.topics import EVENTS
from control_store.control import Control
from eventlog.opening import open_log
from runtime.settings import Settings
from tests.browser.conftest import ROOT, free_ports, is_ready
from tests.waiting import eventually

EXAMPLES = ROOT / "examples" / "frameworks"
NODE = (20, 19)  # what Vite runs on


def need_vite() -> None:
    """Skip where the examples cannot be built."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < NODE:
        pytest.skip(f"Vite needs Node.js {NODE[0]}.{NODE[1]} or later; this is {version}")
    if not (EXAMPLES / "node_modules" / "vite").is_dir():
        pytest.skip("examples/frameworks/node_modules is absent: run `make check-js`")


@dataclass(frozen=True)
class Site:
    """Address of the built pages, and the home of the collector that their feedback goes to."""

    port: int
    home: Path

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def events(self) -> dict[str, dict[str, Any]]:
        """Return what is in the log, by id: a request that timed out is sent again and counts once."""
        log = open_log(Settings(home=self.home).log_url)
        reader = log.reader({(EVENTS, partition): 0 for partition in range(log.partitions(EVENTS))})
        found: dict[str, dict[str, Any]] = {}
        while batch := reader.poll(10_000, 0):
            found |= {event["event_id"]: event for event in (json.loads(record.value) for record in batch)}
        reader.close()
        log.close()
        return found


def build(out: Path, env: dict[str, str], *arguments: str) -> None:
    """Run Vite's build of the examples into a folder."""
    done = subprocess.run(
        ["npx", "--no-install", "vite", "build", "--outDir", str(out), "--emptyOutDir", *arguments],
        cwd=EXAMPLES, env=os.environ | env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@contextmanager
def serve(folder: Path, port: int = 0, collector: str = "'none'") -> Iterator[str]:
    """Serve built pages under a strict policy; yield their address."""
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src {collector}; frame-src 'self'; "
        "require-trusted-types-for 'script'"
    )

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", policy)
            # A sandboxed frame has no origin: its module scripts are fetched across origins.
            self.send_header("Access-Control-Allow-Origin", "*")
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _collector(home: Path, bind: str) -> Iterator[None]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {"THUMBWHEEL_HOME": str(home), "THUMBWHEEL_COLLECTOR_BIND": bind}
    process = subprocess.Popen([sys.executable, "-m", "collector"], cwd=ROOT, env=env)
    try:
        eventually(lambda: process.poll() is not None or is_ready(f"http://{bind}/readyz"), 60)
        assert process.poll() is None, "the collector ended"
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """Build and serve the examples; their key is for 127.0.0.1 and for frames without an origin, not for localhost."""
    need_vite()
    port, collector_port = free_ports(2)
    home, out, bind = folder / "home", folder / "out", f"127.0.0.1:{collector_port}"
    home.mkdir()
    control = Control.open(Settings(home=home).control_url)
    key = control.create_key("default", "public", [f"http://127.0.0.1:{port}", "null"]).key
    control.create_key("default", "public", [f"http://localhost:{port}"])
    control.close()
    build(out, {"VITE_THUMBWHEEL_URL": f"http://{bind}", "VITE_THUMBWHEEL_KEY": key})
    with _collector(home, bind), serve(out, port, f"http://{bind}"):
        yield Site(port, home)
