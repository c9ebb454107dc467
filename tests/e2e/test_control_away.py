"""The control store on PostgreSQL is stopped and comes back: what each service does meanwhile, none being restarted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from collector.app import create_app as create_collector
from contract.errors import SettingsError, ThumbwheelError
from contract.ids import uuid7
from control_store import control as control_module
from control_store.campaigns import Campaigns, read_rule
from control_store.control import Control
from control_store.sealing import ControlKey
from eventlog.opening import open_log
from gateway.aliases import Models
from gateway.app import create_app as create_gateway
from gateway.upstream import Upstream
from processor.console import create_app as create_console
from processor.tables.store import Store
from runtime.settings import Settings
from tests.postgresql import PostgreSQL

WORKERS = 4


@dataclass
class Services:
    """The three services over one PostgreSQL, with a key and an open campaign."""

    server: PostgreSQL
    control: Control
    key: str
    collector: Flask
    gateway: Flask
    console: Flask

    def post(self, key: str) -> Any:
        thumb = {
            "type": "thumb", "event_id": str(uuid7()), "occurred_at": "2026-01-31T12:00:00Z", "actor": {"id": "u-1"},
            "interaction_id": "i-1", "candidate_id": "c-1", "value": "up",
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {key}"}
        return self.collector.test_client().post("/v1/events", json={"events": [thumb]}, headers=headers)

    def ask(self, app: Flask, path: str) -> Any:
        return app.test_client().get(path, headers={"Authorization": f"Bearer {self.key}"})

    def log_in(self) -> int:
        return self.console.test_client().post("/login", data={"name": "ann", "password": "correct horse"}).status_code


@pytest.fixture
def services(postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Every question about a key asks the store again."""
    monkeypatch.setattr(control_module, "CACHE_SECONDS", -1.0)
    monkeypatch.setattr(control_module, "UNKNOWN_SECONDS", -1.0)
    monkeypatch.setattr("collector.resources.campaigns.CACHE_SECONDS", -1.0)
    settings = Settings(home=tmp_path, control=postgresql.database())
    log, control = open_log(settings.log_url), Control.of(settings)
    control.create_user("ann", "correct horse")
    Campaigns(control.engine).create("default", read_rule({"name": "n", "surface": "chat"}), "ann")
    with Store.open(tmp_path / "tables.duckdb") as store:
        yield Services(
            postgresql, control, control.create_key("default", "secret").key,
            create_collector(settings, log, control),
            create_gateway(Models(tmp_path), log, control, Upstream("http://127.0.0.1:9/v1", "m")),
            create_console(settings, store, log, control),
        )  # fmt: skip
    log.close()
    control.close()


def test_collector_and_gateway_go_on_while_the_store_is_away_and_all_recover_by_themselves(services: Services) -> None:
    def told() -> list[str]:
        return [one["surface"] for one in services.ask(services.collector, "/v1/campaigns").get_json()["campaigns"]]

    def check_known() -> None:
        assert services.post(services.key).status_code == 202
        assert services.ask(services.gateway, "/v1/models").status_code == 200
        assert told() == ["chat"]

    check_known()
    assert services.post("tw_sec_other").status_code == 401 and services.log_in() == 303
    services.server.stop()
    try:
        check_known()
        unknown = services.post("tw_sec_other")
        assert (unknown.status_code, unknown.get_json()["error"]["code"]) == (503, "control_unavailable")
        assert unknown.headers["Retry-After"] == "1"
        assert services.log_in() == 503
        projects = services.ask(services.console, "/api/v1/projects")
        assert projects.status_code == 200, "a known key still reads the data API"
    finally:
        services.server.start()
    check_known()
    assert services.post("tw_sec_other").status_code == 401 and services.log_in() == 303
    assert services.post(services.control.create_key("default", "secret").key).status_code == 202


def test_a_store_that_hangs_delays_a_request_once_and_no_more(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert services.post(services.key).status_code == 202
    other = sa.create_engine(services.control.engine.url)
    with other.begin() as connection:
        connection.execute(sa.text("LOCK TABLE keys IN ACCESS EXCLUSIVE MODE"))
        assert services.post(services.key).status_code == 202
        began = time.monotonic()
        assert [services.post(services.key).status_code for _ in range(20)] == [202] * 20
        assert time.monotonic() - began < control_module.PATIENCE_SECONDS * 5
        assert services.post("tw_sec_other").status_code == 503
    other.dispose()
    deadline = time.monotonic() + 20
    while services.post("tw_sec_other").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_several_processes_make_the_tables_and_the_control_key_of_an_empty_store_at_once(
    control_url: str, tmp_path: Path
) -> None:
    program = (
        "import sys; from control_store.control import Control; from control_store.campaigns import Campaigns;"
        "from control_store.sealing import ControlKey; from pathlib import Path;"
        "sys.stdin.readline(); control = Control.open(sys.argv[1], control_key=ControlKey('', Path(sys.argv[2])));"
        "control.create_key('shop', 'secret'); print(len(Campaigns(control.engine).listed('shop')))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, control_url, str(tmp_path / "control.key")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE,
        ) for _ in range(WORKERS)
    ]  # fmt: skip
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in started]
    assert said == [("0\n", "")] * WORKERS
    control = Control.open(control_url, control_key=ControlKey("", tmp_path / "control.key"))
    assert len(control.list_keys("shop")) == WORKERS
    assert all(control.signing_key("shop", key.key_id) for key in control.list_keys("shop"))


@pytest.mark.parametrize(("url", "named"), [
    ("postgresql://tw:wrong-password@127.0.0.1:{port}/postgres", "password authentication failed"),
    ("postgresql://tw:secret@127.0.0.1:{closed}/postgres", "refused"), ("nonsense", "is not an address"),
    ("postgresql://tw:secret@127.0.0.1:port/x", "is not an address"), ("mysql://tw:secret@h/x", "is not an address"),
    ("sqlite:////proc/nowhere/control.db", "cannot be made"),
])  # fmt: skip
def test_a_store_that_cannot_be_used_ends_the_start_with_one_line_without_the_password(
    postgresql: PostgreSQL, free_port: Callable[[], int], url: str, named: str
) -> None:
    port = sa.make_url(postgresql.database()).port
    with pytest.raises(ThumbwheelError, match=named) as caught:
        Control.open(url.format(port=port, closed=free_port()))
    line = caught.value.line()
    assert "THUMBWHEEL_CONTROL" in line and "secret" not in line and "wrong-password" not in line and "\n" not in line


def test_without_the_driver_the_start_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError) as caught:
        Control.open("postgresql://tw@127.0.0.1/x")
    assert 'pip install "thumbwheel-server[postgresql]"' in caught.value.hint
