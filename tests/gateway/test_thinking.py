"""A project's choice about thinking, in the gateway: told to the model, part of the sampling, kept without a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from contract.events import Interaction, decode_stored
from contract.topics import EVENTS
from control_store.control import Control
from control_store.training import TrainingSettings
from eventlog.log import Log
from eventlog.opening import open_log
from gateway.aliases import Models
from gateway.app import create_app
from gateway.engine import Engine
from gateway.thinking import FRESH_S, Thinking
from gateway.upstream import Upstream
from inference.replies import Generation, Reply, Sampling
from runtime.settings import Settings
from tests.gateway.test_upstream import ModelServer
from tests.inference import families
from tests.trainer import tiny

ASK = [{"role": "user", "content": "where is my parcel"}]


class Listener:
    """Says the same to everybody, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Generation] = []

    def generate(self, request: Generation) -> list[Reply]:
        self.asked.append(request)
        return [Reply(f"On its way {place}.", "stop", 3, 3) for place in range(len(request.models))]

    def check(self) -> None:
        """There is nothing that could be away."""

    def close(self) -> None:
        """There is nothing to stop."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = open_log(f"sqlite:///{tmp_path / 'log' / 'events.db'}")
    yield made
    made.close()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control.open(f"sqlite:///{tmp_path / 'control.db'}")
    yield made
    made.close()


def logged(log: Log) -> list[Interaction]:
    records = log.reader({(EVENTS, 0): 0}).poll(100, 0)
    return [event for record in records if isinstance(event := decode_stored(record.value), Interaction)]


def post(client: FlaskClient, key: str, address: str, **body: Any) -> None:
    answer = client.post(f"/v1/{address}", json={"messages": ASK, **body}, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text


def test_what_a_project_chose_is_asked_of_the_model_and_logged_with_every_reply(
    tmp_path: Path, log: Log, control: Control
) -> None:
    stored, listener = TrainingSettings(control.engine), Listener()
    stored.put("shop", {"thinking": "off"}, "ada")
    thinking = Thinking(replace(Settings(), training='{"projects": {"other": {"thinking": "on"}}}'), stored)
    client = create_app(Models(tmp_path), log, control, listener, thinking).test_client()
    key = control.create_key("shop", "secret").key
    post(client, key, "chat/completions")
    post(client, key, "candidates", k=2)
    post(client, control.create_key("other", "secret").key, "chat/completions")
    post(client, control.create_key("third", "secret").key, "chat/completions")
    assert [asked.sampling.thinking for asked in listener.asked] == [False, False, True, None]
    told = [event.candidates[0].sampling or {} for event in logged(log)]
    assert [sampling.get("thinking", "-") for sampling in told] == [False, False, True, "-"]


def test_a_change_is_followed_within_seconds_and_a_store_that_is_away_changes_nothing(control: Control) -> None:
    stored, now = TrainingSettings(control.engine), [0.0]
    thinking = Thinking(Settings(), stored, clock=lambda: now[0])
    stored.put("shop", {"thinking": "off"}, "ada")
    assert thinking.of("shop") is False
    stored.put("shop", {"thinking": "on"}, "ada")
    assert thinking.of("shop") is False
    now[0] += FRESH_S
    assert thinking.of("shop") is True
    with control.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE training_settings RENAME TO elsewhere")
    now[0] += FRESH_S
    assert thinking.of("shop") is True
    assert thinking.of("another") is None


def test_a_model_server_is_told_by_its_own_switch() -> None:
    server = ModelServer()
    server.says("It is late.", reason="stop", whole=True)
    upstream = Upstream(server.url, "base")
    for choice in (None, True, False):
        upstream.generate(Generation(ASK, ["base"], Sampling(thinking=choice)))
    upstream.close()
    server.close()
    assert [asked.get("chat_template_kwargs") for asked in server.asked] == [
        None, {"enable_thinking": True}, {"enable_thinking": False},
    ]  # fmt: skip


def test_the_engine_takes_the_prompt_of_the_choice_and_hides_a_thought_that_the_prompt_opened(tmp_path: Path) -> None:
    base = tiny.save_base("qwen", tmp_path / "base")
    (base / "chat_template.jinja").write_text(families.TEMPLATES["qwen3_5_think"], "utf-8")
    engine = Engine(base, lambda name: Path(name), dtype="float32")
    shown: list[str] = []
    replies = {
        choice: engine.generate(Generation(ASK, ["base"], Sampling(0, max_tokens=8, thinking=choice)))[0]
        for choice in (True, False)
    }
    listened = Generation(ASK, ["base"], Sampling(0, max_tokens=8, thinking=True), lambda _, text: shown.append(text))
    streamed = engine.generate(listened)[0]
    engine.close()
    # A random model never closes the thought that its prompt opened, so nothing of it is said.
    assert (replies[True].text, streamed.text, shown) == ("", "", [])
    assert replies[True].tokens == 8 and replies[False].text
    assert replies[True].prompt_tokens != replies[False].prompt_tokens
