"""Hostile addresses, parameters and forms at the console and the data API: an error of the one shape, never a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import quote

from flask.testing import FlaskClient

from tests.console.bench import Bench

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
