"""`thumbwheel users`: people are barred, let in, removed and logged out, and what was changed stays changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.home import ensure_dev_keys
from cli.main import cli
from cli.up import welcome
from control_store.control import Control
from runtime.settings import Settings


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("THUMBWHEEL_HOME", str(home))
    return lambda *arguments: CliRunner().invoke(cli, ("users", *arguments))


def test_a_user_s_life(run: Any, home: Path) -> None:
    assert run("create", "ada", "--role", "manager", "--password", "correct horse").exit_code == 0
    control = Control.of(Settings(home=home))
    user = control.check_user("ada", "correct horse")
    assert user is not None
    tokens = [control.create_session(user, "192.0.2.1") for _ in range(3)]
    shown = json.loads(run("sessions", "--json").output)
    assert [(one["name"], one["address"]) for one in shown] == [("ada", "192.0.2.1")] * 3
    assert json.loads(run("sessions", "bob", "--json").output) == []
    assert run("logout", "ada", "--session", shown[0]["session"]).output.startswith("1 session of ada ended")
    assert run("logout", "ada", "--session", shown[0]["session"]).exit_code == 1
    assert sum(control.find_session(token) is not None for token in tokens) == 2
    assert run("disable", "ada").exit_code == 0
    assert not any(control.find_session(token) for token in tokens)
    assert json.loads(run("list", "--json").output) == [
        {"name": "ada", "role": "manager", "tier": "agent", "state": "disabled"}
    ]
    assert "users enable ada" in run("create", "ada", "--password", "another horse").output
    assert run("enable", "ada").exit_code == 0
    assert run("tier", "ada", "expert").exit_code == 0 and run("tier", "ada", "boss").exit_code == 2
    assert json.loads(run("list", "--json").output)[0]["tier"] == "expert"
    assert run("tier", "ada", "agent").exit_code == 0
    assert control.check_user("ada", "another horse") == user, "a new password without --role keeps the role"
    assert run("remove", "ada").exit_code == 0
    assert "No users yet" in run("list").output and "Nobody is logged in" in run("sessions").output
    for command in (("disable",), ("enable",), ("remove",), ("logout",), ("tier",)):
        said = run(*command, "ada", *(("expert",) if command == ("tier",) else ()))
        assert said.exit_code == 1 and "hint: thumbwheel users list" in said.output


@pytest.mark.parametrize("change", ["password", "disabled", "removed"])
def test_the_next_start_does_not_undo_what_was_done_to_the_first_user(run: Any, home: Path, change: str) -> None:
    settings = Settings(home=home)
    first = ensure_dev_keys(settings)
    assert run("create", "ada", "--role", "admin", "--password", "correct horse").exit_code == 0
    if change == "password":
        assert run("create", first.user, "--password", "changed since").exit_code == 0
    else:
        assert run({"disabled": "disable", "removed": "remove"}[change], first.user).exit_code == 0
    again = ensure_dev_keys(settings)
    assert (again.secret, again.password) == (first.secret, "")
    assert Control.of(settings).check_user(first.user, first.password) is None
    login = next(line for line in welcome(settings, again, []) if "login" in line)
    assert "(changed since)" in login and first.password not in login
