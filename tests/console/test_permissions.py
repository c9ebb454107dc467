"""One table says who may do what: every address names its permission, and every role meets it at every address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from control_store.control import ROLES
from processor.console.access import OPEN_ENDPOINTS
from processor.console.permissions import PERMISSIONS, needs, permission_of, roles_with
from tests.console.bench import PASSWORD, Bench

ROOT = Path(__file__).parents[2]
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


def addresses(app: Flask) -> Iterator[tuple[Rule, str, str]]:
    """Yield each rule with each of its methods and an address of its form."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield rule, method, re.sub(r"<[^>]+>", "x", rule.rule)


def test_every_address_names_a_permission_or_is_open_to_all(bench: Bench) -> None:
    open_to_all = set()
    for rule in bench.app.url_map.iter_rules():
        if permission_of(bench.app.view_functions[rule.endpoint]) is None:
            open_to_all.add(rule.endpoint)
    assert open_to_all == set(OPEN_ENDPOINTS)
    assert open_to_all == {
        "static", "access.login", "guests.enter", "health.healthz", "health.readyz", "health.metrics",
    }  # fmt: skip


@pytest.mark.parametrize("role", [*ROLES, None])
def test_every_role_meets_the_table_at_every_address(bench: Bench, role: str | None) -> None:
    asked, refused = 0, 0
    # Logging out ends the walk.
    for rule, method, address in [one for one in addresses(bench.app) if one[0].endpoint != "access.logout"]:
        if rule.endpoint in OPEN_ENDPOINTS:
            continue
        permission = permission_of(bench.app.view_functions[rule.endpoint])
        client, csrf = logged_in(bench, role, asked)
        answer = client.open(address, method=method, headers={"X-CSRF-Token": csrf})
        asked += 1
        where = f"{method} {rule.rule} as {role}"
        if role is None:
            inside = rule.rule.startswith("/api/")
            assert answer.status_code == (401 if inside else 302), where
            assert inside or answer.location.startswith("/login"), where
        elif role in PERMISSIONS[str(permission)]:
            assert answer.status_code != 403, where
        else:
            refused += 1
            assert answer.status_code == 403, where
            assert f"({permission})" in answer.get_data(as_text=True) or method == "HEAD", where
    assert asked > 50
    assert (refused > 0) == (role not in ("admin", None))


SESSIONS: dict[tuple[int, str | None], tuple[FlaskClient, str]] = {}


def logged_in(bench: Bench, role: str | None, asked: int) -> tuple[FlaskClient, str]:
    """A client with a session of this role, and its form token; one a walk."""
    if asked == 0:
        client, csrf = bench.app.test_client(), ""
        if role is not None:
            bench.control.create_user(f"walks-as-{role}", PASSWORD, role)
            client.post("/login", data={"name": f"walks-as-{role}", "password": PASSWORD})
            found = CSRF.search(client.get("/").text)
            assert found
            csrf = found[1]
        SESSIONS.clear()
        SESSIONS[id(bench), role] = (client, csrf)
    return SESSIONS[id(bench), role]


def test_an_address_that_names_no_permission_is_closed_to_everybody(bench: Bench) -> None:
    bench.app.view_functions["runs.index"] = lambda: "open"
    client = bench.app.test_client()
    client.post("/login", data={"name": "ada", "password": PASSWORD})
    assert client.get("/runs").status_code == 403
    answer = bench.app.test_client().get("/runs", headers={"Authorization": f"Bearer {bench.secret}"})
    assert answer.status_code == 302, "a key opens no page"


def test_a_permission_that_is_not_in_the_table_cannot_be_named() -> None:
    with pytest.raises(KeyError):
        needs("everything")


def test_roles_are_no_ladder() -> None:
    assert "annotator" not in roles_with("feedback.read") and "viewer" in roles_with("feedback.read")
    assert "manager" in roles_with("campaign.edit") and "reviewer" not in roles_with("campaign.edit")
    assert roles_with("key.audit") == roles_with("person.forget") == roles_with("model.command") == ["admin"]


def test_an_annotator_sees_where_the_queue_is_and_no_link_that_is_refused(
    bench: Bench, login: Callable[..., FlaskClient]
) -> None:
    bench.control.create_user("ann", PASSWORD, "annotator")
    page = login("ann").get("/").text
    assert "You are an annotator" in page and 'href="/label"' in page
    assert "/pairs" not in page and "/adapters" not in page and "/interactions" not in page


@pytest.mark.parametrize("page", ["people.md", "people.zh-CN.md"])
def test_the_table_is_documented_as_it_is(page: str) -> None:
    text = (ROOT / "docs" / "concepts" / page).read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z.]+)` \|[^|]*\| ([a-z, ]+) \|$", text, re.M))
    assert rows == {permission: ", ".join(roles_with(permission)) for permission in PERMISSIONS}
