"""The programs of docs/guides run as they stand."""

from __future__ import annotations

import json
import re
import runpy
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import thumbwheel

from .stub import KEY, Answer, Stub
from .test_openai import Provider, provider  # noqa: F401  (a fixture)

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
Run = Callable[[str], dict[str, Any]]
CHAT = {"messages": [{"role": "user", "content": "Where is my parcel?"}], "user": "u-9"}


def programs(guide: str) -> dict[str, str]:
    text = (GUIDES / guide).read_text("utf-8")
    return dict(re.findall(r"^```python (\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


@pytest.fixture
def run(tmp_path: Path, stub: Stub, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811
    monkeypatch.setenv("THUMBWHEEL_URL", stub.url)
    monkeypatch.setenv("THUMBWHEEL_SECRET_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    def run_program(name: str) -> dict[str, Any]:
        file = tmp_path / f"{name}_guide.py"
        file.write_text(programs("python.md")[name], "utf-8")
        return runpy.run_path(str(file))

    yield run_program
    thumbwheel.shutdown()


def test_both_languages_have_the_same_programs() -> None:
    assert programs("python.md") == programs("python.zh-CN.md")
    assert list(programs("python.md")) == ["flask", "fastapi", "lambda", "celery"]


@pytest.mark.parametrize("name", ["flask", "fastapi", "lambda", "celery"])
def test_it_compiles(name: str) -> None:
    compile(programs("python.md")[name], name, "exec")


def check_chat(stub: Stub, headers: Any, text: str) -> None:
    assert thumbwheel.flush()
    (event,) = stub.events
    assert (event["type"], event["actor"]["id"]) == ("interaction", "u-9")
    assert event["candidates"][0]["content"] == text
    assert headers["x-thumbwheel-interaction-id"] == event["interaction_id"]
    assert headers["x-thumbwheel-candidate-ids"] == event["candidates"][0]["candidate_id"]


def test_flask(run: Run, stub: Stub) -> None:
    answer = run("flask")["app"].test_client().post("/chat", json=CHAT)
    check_chat(stub, answer.headers, answer.get_json()["text"])


def test_fastapi(run: Run, stub: Stub) -> None:
    from fastapi.testclient import TestClient

    answer = TestClient(run("fastapi")["app"]).post("/chat", json=CHAT)
    check_chat(stub, answer.headers, answer.json()["text"])


def test_lambda(run: Run, stub: Stub) -> None:
    handler = run("lambda")["handler"]
    told = {"interaction_id": "i-1", "candidate_id": "c-1", "value": "up", "user": "u-9"}
    answer = handler({"body": json.dumps(told)}, None)
    assert answer["statusCode"] == 202
    assert stub.events[0]["event_id"] == json.loads(answer["body"])["event_id"]
    stub.answer = lambda events: Answer(503)
    assert handler({"body": json.dumps(told)}, None)["statusCode"] == 503


def test_celery(run: Run, stub: Stub) -> None:
    task = run("celery")["thumb"]
    event_id = str(thumbwheel.uuid7())
    assert task.apply(args=(event_id, "i-1", "c-1", "up", "u-9")).get() == "accepted"
    assert uuid.UUID(stub.events[0]["event_id"]) == uuid.UUID(event_id)
