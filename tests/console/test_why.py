"""Why a row is there: all that led to it and the datasets that hold it, over the API, the page and the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from cli.main import cli
from processor.datasets import build_dataset
from tests.console.bench import Bench
from tests.console.story import asked, event, picked

Login = Callable[..., FlaskClient]


@pytest.fixture
def row_id(bench: Bench) -> str:
    """A contradicted pair that trains, in a dataset, with an answer and a review beside it."""
    both = {"interaction_id": "i-1", "via": "console"}
    prefers = {"preference": {"outcome": "chosen", "chosen": "i-1-0", "strength": 2}, "unit": "i-1-0|i-1-1"}
    bench.put(
        asked("i-1", 1, ["base"] * 2, "Where is my parcel?"), picked("i-1", 2, 0),
        event("annotation", "agrees", 3, actor=("mei", "expert"), **both, **prefers),
        event("annotation", "against", 4, actor=("bob", "agent"), **both, unit="i-1-0|i-1-1",
              preference={"outcome": "chosen", "chosen": "i-1-1"}),
        event("review", "looked at", 5, actor=("lead", "expert"), task_id="t", verdict="accept", **both),
    )  # fmt: skip
    build_dataset(bench.store, bench.log, bench.settings, "default", {"kinds": ["preference"]})
    bench.catch_up()
    with bench.store.read() as cursor:
        [(found,)] = cursor.execute("SELECT pair_id FROM pairs WHERE trainable").fetchall()
    return str(found)


def test_every_stage_of_a_row_is_told(bench: Bench, row_id: str) -> None:
    found = bench.get(f"why/{row_id}")
    assert (found["table"], found["row"]["trainable"], found["event"]["type"]) == ("pair", True, "pick")
    assert found["interaction"]["prompt_text"] == "Where is my parcel?"
    said = [(one["actor_id"], one["agrees"], one["why_not"]) for one in found["others"]]
    assert said == [("mei", True, "agreeing"), ("bob", False, "outvoted")]
    assert {one["actor_id"] for one in found["answers"]} == {"mei", "bob"}
    assert [one["verdict"] for one in found["reviews"]] == ["accept"]
    assert len(found["datasets"]) == 1 and found["adapters"] == []


def test_the_page_and_the_command_say_the_same(
    bench: Bench, row_id: str, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = login()
    assert f"/why/{row_id}" in client.get("/pairs").get_data(as_text=True)
    page = client.get(f"/why/{row_id}").get_data(as_text=True)
    dataset = bench.get(f"why/{row_id}")["datasets"][0]["dataset_id"]
    for text in ("Where is my parcel?", "mei", "the contrary", dataset):
        assert text in page
    monkeypatch.setenv("THUMBWHEEL_SERVICE_KEY", bench.service)
    with bench.served() as url:
        monkeypatch.setenv("THUMBWHEEL_CONSOLE_URL", url)
        said = CliRunner().invoke(cli, ["why", row_id]).output
        unknown = CliRunner().invoke(cli, ["why", "nothing"])
    assert f"pair {row_id} trains" in said and "bob says the contrary" in said and dataset in said
    assert unknown.exit_code != 0 and "No row 'nothing'" in unknown.output


@pytest.mark.parametrize("row", ["nothing", "00000000-0000-0000-0000-000000000000", "a/b", "'--"])
def test_an_unknown_row_is_404_with_a_hint(bench: Bench, row: str) -> None:
    error: dict[str, Any] = bench.get(f"why/{row}")["error"]
    assert error["code"] == "unknown_row" and error["hint"]
