"""What `thumbwheel up` refuses, each in one line, and what it hands to its programs."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.home import announce, ensure_dev_keys, find_running, owned
from cli.main import cli
from cli.up import environment, welcome
from contract.errors import ThumbwheelError
from control_store.control import Control
from runtime.settings import Bind, Settings, load_settings

NAMES = ("COLLECTOR", "CONSOLE", "GATEWAY", "DEMO")


@pytest.fixture
def up(home: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run `thumbwheel up` on free ports with settings changed."""
    umask = os.umask(0o022)
    monkeypatch.setattr("cli.checks.find_spec", lambda name: object())

    def run(**changed: str) -> Result:
        monkeypatch.setenv("THUMBWHEEL_HOME", str(home))
        for name in NAMES:
            monkeypatch.setenv(f"THUMBWHEEL_{name}_BIND", f"127.0.0.1:{free_port()}")
        for name, value in changed.items():
            monkeypatch.setenv(f"THUMBWHEEL_{name}", value)
        return CliRunner().invoke(cli, ["up"])

    yield run
    os.umask(umask)


def refused(said: Result, *parts: str) -> None:
    """Assert one line that names each part, a failing status, and no stack trace."""
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    lines = [line for line in said.output.splitlines() if line and not line.startswith("Starting Thumbwheel")]
    assert len(lines) == 1, said.output
    for part in (*parts, "hint:"):
        assert part in lines[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_port_in_use_is_named_with_its_setting(up: Callable[..., Result], name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(up(**{f"{name}_BIND": f"127.0.0.1:{port}"}), str(port), f"THUMBWHEEL_{name}_BIND")


def test_a_home_that_cannot_be_written_is_named(up: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(up(HOME=str(tmp_path / "file" / "home")), str(tmp_path / "file" / "home"), "THUMBWHEEL_HOME")


def test_a_missing_model_folder_is_named(up: Callable[..., Result], tmp_path: Path) -> None:
    refused(up(BASE_MODEL=str(tmp_path / "nothing")), str(tmp_path / "nothing"), "THUMBWHEEL_BASE_MODEL")


def test_the_demo_model_that_is_not_installed_is_named(
    up: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.checks.find_spec", lambda name: None)
    refused(up(), "demo model", "pip install")


def test_an_unknown_setting_is_named(up: Callable[..., Result]) -> None:
    refused(up(COLOUR="blue"), "THUMBWHEEL_COLOUR")


def test_a_second_up_is_refused_and_leaves_the_first_announced(up: Callable[..., Result], home: Path) -> None:
    settings = Settings(home=home)
    with owned(settings):
        announce(settings, {})
        refused(up(), "already runs", str(home))
        assert (find_running(home) or {})["console"] == settings.console_bind.url
    assert find_running(home) is None


def test_credentials_that_were_cut_off_are_named(up: Callable[..., Result], home: Path) -> None:
    (home / "dev.toml").write_text('[keys]\npublic = "x')
    refused(up(), "dev.toml", "Remove it")


def test_every_setting_of_the_file_reaches_the_programs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    (home.parent / "thumbwheel.toml").write_text(
        f'home = "{home.name}"\nlog = "sqlite:///elsewhere/events.db"\nbase_model = "./model"\nembedder = "none"\n'
        'collector_path = "/v1/e"\ncollector_rate = 12.5\ntrain_min_pairs = 7\npromote_min_rate = 0.6\n'
        'gateway_bind = "127.0.0.1:9999"\nmodel_api = "http://127.0.0.1:1"\n'
    )
    settings = load_settings({})
    env = environment(settings, ensure_dev_keys(settings))
    seen = load_settings({name: value for name, value in env.items() if name.startswith("THUMBWHEEL_")}, home)
    assert seen.home == home and seen.log == f"sqlite:///{home.parent}/elsewhere/events.db"
    assert seen.base_model == str(home.parent / "model")
    assert (seen.embedder, seen.collector_path, seen.collector_rate) == ("none", "/v1/e", 12.5)
    assert (seen.train_min_pairs, seen.promote_min_rate, seen.model_api) == (7, 0.6, "http://127.0.0.1:1")
    assert seen.gateway_url == "http://127.0.0.1:9999" == seen.gateway_bind.url
    assert seen.service_key.startswith("tw_svc_")


def test_an_error_nobody_foresaw_is_one_line_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from cli.main import show_in_one_line

    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        show_in_one_line(ValueError, error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "ValueError: first second" in said and "Traceback" not in said
    trace = Path(said.split("; ")[1].split(" says")[0])
    assert "Traceback" in trace.read_text()
    trace.unlink()


def test_an_unreadable_announcement_is_an_error_with_its_folder(home: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / "up.json").write_text(json.dumps({})[:1])
    with pytest.raises(ThumbwheelError, match="cannot be read"):
        find_running(home)


def test_dev_keys_made_again_keep_the_mode(home: Path) -> None:
    settings: Any = Settings(home=home)
    first = ensure_dev_keys(settings)
    (home / "dev.toml").chmod(0o644)
    (home / "control.db").unlink()
    assert ensure_dev_keys(settings).public != first.public
    assert (home / "dev.toml").stat().st_mode & 0o777 == 0o600


def test_the_welcome_names_every_origin_and_port_that_the_public_key_works_from(home: Path) -> None:
    settings = Settings(home=home)
    keys = ensure_dev_keys(settings)
    told = "\n".join(welcome(settings, keys, []))
    ports = "3000,5173,8000,8080,8701,8703"
    assert f"http://127.0.0.1:{ports}" in told and f"http://localhost:{ports}" in told
    assert "keys create public --origin http://localhost:PORT" in told
    key = Control.of(settings).find_key(keys.public)
    assert key is not None and len(key.origins) == 12
    other = replace(keys, origins=("https://shop.example", "null", "http://localhost:1234"))
    line = next(line for line in welcome(settings, other, []) if "works from" in line)
    assert line.endswith("https://shop.example  null  http://localhost:1234")


def test_the_development_keys_work_from_the_ports_of_today(home: Path) -> None:
    before = Settings(home=home, demo_bind=Bind("127.0.0.1", 8703))
    first = ensure_dev_keys(before)
    moved = replace(before, demo_bind=Bind("0.0.0.0", 9103), console_bind=Bind("192.168.7.5", 80))
    keys = ensure_dev_keys(moved)
    assert replace(keys, origins=()) == replace(first, origins=())
    control = Control.of(moved)
    for text in (keys.public, keys.demo_public):
        found = control.find_key(text)
        assert found is not None
        here = {"http://127.0.0.1:9103", "http://localhost:9103", "http://localhost", "http://192.168.7.5"}
        assert here | {"http://localhost:5173"} <= set(found.origins)
        assert not {"http://localhost:8703", "http://localhost:8701", "http://0.0.0.0:9103"} & set(found.origins)
    assert set(keys.origins) == set(found.origins)
    changes = [(one.action, one.changed_by) for one in control.list_key_changes("default")]
    assert changes[0] == ("origins", "thumbwheel up")
    assert ensure_dev_keys(moved) == keys
    assert len(control.list_key_changes("default")) == len(changes)
