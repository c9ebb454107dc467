"""Hostile addresses, parameters and forms at the console and the data API: an error of the one shape, never a fault."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from tests.console.bench import Bench
from tests.hostile import dribbling, first_line, http2_posts_without_bodies, stalled_posts, status_of
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

LISTS = ("interactions", "pairs", "datasets", "runs", "support", "rejected", "facts", "visible", "nothing-like-it")
ONES = ("interactions", "datasets", "runs", "lineage", "models")
NAMES = (
    "cursor",
    "limit",
    "project",
    "label",
    "q",
    "surface",
    "source",
    "show",
    "kind",
    "model",
    "interaction",
    "code",
)
VALUES = ("'", "%", "\x00", "\ud800", "../../etc/passwd", "-1", "9" * 40, "a" * 5000, "W10", "eyJhIjoxfQ", "\r\nX: y")


def spelled(value: str) -> str:
    """A value as a client that knows no rules would write it into an address."""
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def check(answer: Any, asked: str) -> None:
    assert answer.status_code < 500, (asked, answer.get_data(as_text=True)[:300])
    if answer.status_code >= 400:
        assert {"code", "message", "hint"} <= set(answer.get_json()["error"]), asked


def test_no_parameter_of_the_data_api_makes_a_fault(told: Bench) -> None:
    client, headers = told.app.test_client(), {"Authorization": f"Bearer {told.secret}"}
    for where, name, value in product(LISTS, NAMES, VALUES):
        check(client.get(f"/api/v1/{where}?{name}={spelled(value)}", headers=headers), f"{where} {name}={value!r}")


def test_no_id_in_an_address_makes_a_fault(told: Bench) -> None:
    client, headers = told.app.test_client(), {"Authorization": f"Bearer {told.secret}"}
    for where, value in product(ONES, VALUES):
        for rest in ("", "/files/" + spelled(value)):
            check(client.get(f"/api/v1/{where}/{spelled(value)}{rest}", headers=headers), f"{where}/{value!r}{rest}")


def test_no_body_makes_a_fault_of_a_post(told: Bench) -> None:
    client, headers = told.app.test_client(), {"Authorization": f"Bearer {told.secret}"}
    bodies = [b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"name":"\\ud800"}', b"[" * 100_000, b'"' + b"x" * 10**6 + b'"']
    bodies += [json.dumps({name: value}).encode() for name in ("name", "labels") for value in (None, 7, [], "\x00")]
    for where, body in product(("datasets", "requests", "keys"), bodies):
        answer = client.post(f"/api/v1/{where}", data=body, content_type="application/json", headers=headers)
        check(answer, f"{where} {body[:40]!r}")


def test_no_key_and_no_login_makes_a_fault(bench: Bench) -> None:
    client = bench.app.test_client()
    for key in ("", "Bearer", "Bearer  ", "Bearer \xe9", "Bearer " + "a" * 10_000, "Basic Og==", "tw_sec_"):
        answer = client.get("/api/v1/overview", headers={"Authorization": key})
        check(answer, key)
        assert answer.status_code == 401
    forms = [f"name={spelled(value)}&password={spelled(value)}".encode() for value in VALUES[:4]]
    for form in (*forms, b"", b"name", b"name=%ff&password=%00", b"\xff" * 100, b"name=a&" * 3000):
        answer = client.post("/login", data=form, content_type="application/x-www-form-urlencoded")
        assert answer.status_code in range(400, 500), (form[:60], answer.status_code)


def test_no_parameter_of_a_page_makes_a_fault(told: Bench, login: Callable[..., FlaskClient]) -> None:
    client = login("ada")
    rules = [str(rule) for rule in told.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = [rule for rule in rules if "<" not in rule and not rule.startswith(("/api", "/logout", "/static"))]
    assert len(pages) > 8
    for page, value in product(pages, VALUES):
        asked = "&".join(f"{name}={spelled(value)}" for name in NAMES)
        assert client.get(f"{page}?{asked}").status_code < 500, (page, value)


@pytest.fixture
def port(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[int]:
    """Where a real console listens."""
    number = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBWHEEL_")}
    env |= {
        "THUMBWHEEL_HOME": str(tmp_path), "THUMBWHEEL_CONSOLE_BIND": f"127.0.0.1:{number}",
        "THUMBWHEEL_EMBEDDER": "none",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "processor"], cwd=ROOT, env=env)
    try:
        eventually(lambda: status_of(number, "/readyz") == 200, 60)
        yield number
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/login", "/api/v1/datasets"])
def test_stalled_posts_do_not_hang_the_console(port: int, path: str) -> None:
    with stalled_posts(port, path, 40) as clients:
        began = time.monotonic()
        assert status_of(port, "/healthz") == 200
        assert status_of(port, "/login") == 200
        assert time.monotonic() - began < 8
        # The data API refuses who has no key before it reads.
        refused = b"HTTP/1.1 408" if path == "/login" else b"HTTP/1.1 401"
        assert {first_line(client) for client in clients} == {refused}
    with stalled_posts(port, path, 40) as clients, dribbling(clients):
        assert status_of(port, "/login", seconds=12) == 200
    with http2_posts_without_bodies(port, path):
        assert status_of(port, "/healthz") == 200
    assert status_of(port, "/healthz") == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "framed", ["Content-Length: 500\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n19\r\n"], ids=["length", "chunks"]
)
def test_a_form_that_ends_early_is_refused(port: int, framed: str) -> None:
    form = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(f"{form}{framed}name=admin&password=12345".encode())
        time.sleep(0.3)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536).startswith(b"HTTP/1.1 408")
