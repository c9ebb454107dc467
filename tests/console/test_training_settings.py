"""Settings of a project's runs: in the form, over the data API, from thumbwheel.toml; what is wrong loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from processor.console import create_app
from tests.console.bench import Bench

Login = Callable[..., FlaskClient]
Csrf = Callable[[FlaskClient], str]


def put(bench: Bench, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    return bench.app.test_client().put("/api/v1/training", headers=headers, json=body)


def test_what_the_form_sets_the_trainer_is_told(bench: Bench, login: Login, csrf: Csrf) -> None:
    client = login()
    form = {"csrf": csrf(client), "method": "dpo", "lr": "2e-4", "rank": "8", "start": "base", "epochs": ""}
    assert client.post("/runs/settings", data=form).status_code == 303
    told = bench.get("training", bench.service)
    assert told["settings"] == {"method": "dpo", "start": "base", "lr": 2e-4, "rank": 8}
    assert told["changed_by"] == "ada"
    page = client.get("/runs/settings").text
    assert 'value="0.0002"' in page and '<option value="dpo" selected>' in page
    assert client.post("/runs/settings", data={"csrf": form["csrf"]}).status_code == 303
    assert bench.get("training")["settings"] == {}


def test_a_wrong_value_is_named_beside_the_form_and_changes_nothing(bench: Bench, login: Login, csrf: Csrf) -> None:
    client = login()
    assert put(bench, {"rank": 8, "sft": {"lr": 1e-4}}).status_code == 200
    answer = client.post("/runs/settings", data={"csrf": csrf(client), "rank": "64", "lr": "0.001"})
    assert answer.status_code == 400
    assert "rank=&#39;64&#39; is outside 1..32." in answer.text and 'value="0.001"' in answer.text
    assert bench.get("training")["settings"] == {"rank": 8, "sft": {"lr": 1e-4}}
    assert client.post("/runs/settings", data={"csrf": csrf(client), "rank": "4"}).status_code == 303
    assert bench.get("training")["settings"] == {"rank": 4, "sft": {"lr": 1e-4}}


@pytest.mark.parametrize("body", [{"rank": 0}, {"lr": "nan"}, {"speed": 1}, {"sft": {"rank": 4}}, {"method": ["dpo"]}])
def test_the_data_api_refuses_what_no_run_could_use(bench: Bench, body: Any) -> None:
    put(bench, {"rank": 8})
    answer = put(bench, body)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_setting")
    assert answer.json["error"]["hint"]
    assert bench.get("training")["settings"] == {"rank": 8}


def test_what_a_project_sets_wins_over_the_file(bench: Bench) -> None:
    settings = replace(bench.settings, training='{"rank": 4, "lr": 0.001, "projects": {"default": {"lr": 0.002}}}')
    app = create_app(settings, bench.store, bench.log, bench.control)
    put(bench, {"rank": 8})
    told = app.test_client().get("/api/v1/training", headers={"Authorization": f"Bearer {bench.secret}"}).json
    assert told["settings"] == {"rank": 8, "lr": 0.002}
    assert (told["file"], told["stored"]) == ({"rank": 4, "lr": 0.002}, {"rank": 8})


def test_a_wish_with_a_setting_that_is_none_is_refused_at_once(bench: Bench) -> None:
    headers = {"Authorization": f"Bearer {bench.secret}"}
    wish = {"type": "train", "params": {"lr": "fast"}}
    answer = bench.app.test_client().post("/api/v1/requests", headers=headers, json=wish)
    assert (answer.status_code, answer.json["error"]["field"]) == (400, "lr")
    assert bench.get("requests")["items"] == []
