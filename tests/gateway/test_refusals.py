"""What the gateway refuses: one error shape, a status that the official client understands, a hint."""

from __future__ import annotations

import http.client
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from gateway.wire import MAX_BODY_BYTES
from tests.gateway.conftest import CHALLENGER, Gateway

HELLO = [{"role": "user", "content": "hello"}]
CHAT, CANDIDATES = "/v1/chat/completions", "/v1/candidates"


def send(
    gateway: Gateway, path: str, body: Any, key: str | None = None, method: str = "POST", **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    sent = {"Authorization": f"Bearer {gateway.secret.key if key is None else key}", **headers}
    connection.request(method, path, raw, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content), {name.lower(): value for name, value in answer.getheaders()}


def deep(levels: int) -> bytes:
    return b'{"messages":' + b"[" * levels + b"]" * levels + b"}"


BAD: list[tuple[str, Any, int, str, str | None]] = [
    (CHAT, b"not json", 400, "invalid_json", None),
    (CHAT, b"", 400, "invalid_json", None),
    (CHAT, b"\xff\xfe", 400, "invalid_json", None),
    (CHAT, b"[]", 400, "invalid_request", None),
    (CHAT, deep(100), 400, "too_deep", None),
    (CHAT, deep(200_000), 400, "invalid_json", None),
    (CHAT, {"messages": [{"role": "user", "content": "a\x00b"}]}, 400, "unstorable_text", None),
    (CHAT, b'{"messages":[{"role":"user","content":"\\ud800"}]}', 400, "invalid_json", None),
    (CHAT, {}, 400, "invalid_request", "messages"),
    (CHAT, {"messages": []}, 400, "invalid_request", "messages"),
    (CHAT, {"messages": HELLO * 1001}, 400, "invalid_request", "messages"),
    (CHAT, {"messages": "hello"}, 400, "invalid_request", "messages"),
    (CHAT, {"messages": [{"role": "wizard", "content": "x"}]}, 400, "invalid_request", "messages[0].role"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, 400, "invalid_request", "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "unsupported_content",
     "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": "parcel " * 600}]}, 400, "context_length_exceeded", "messages"),
    (CHAT, {"messages": HELLO, "model": "gpt-4"}, 404, "model_not_found", "model"),
    (CHAT, {"messages": HELLO, "model": "../../etc"}, 404, "model_not_found", "model"),
    (CHAT, {"messages": HELLO, "model": "challenger"}, 404, "model_not_found", "model"),
    (CHAT, {"messages": HELLO, "model": 5}, 400, "invalid_request", "model"),
    (CHAT, {"messages": HELLO, "n": 0}, 400, "invalid_request", "n"),
    (CHAT, {"messages": HELLO, "n": 9}, 400, "invalid_request", "n"),
    (CHAT, {"messages": HELLO, "max_tokens": 0}, 400, "invalid_request", "max_tokens"),
    (CHAT, {"messages": HELLO, "max_tokens": 10**9}, 400, "invalid_request", "max_tokens"),
    (CHAT, {"messages": HELLO, "temperature": 3}, 400, "invalid_request", "temperature"),
    (CHAT, {"messages": HELLO, "temperature": "hot"}, 400, "invalid_request", "temperature"),
    (CHAT, b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}', 400, "invalid_json", None),
    (CHAT, {"messages": HELLO, "top_p": 0}, 400, "invalid_request", "top_p"),
    (CHAT, {"messages": HELLO, "seed": 2**70}, 400, "unstorable_number", None),
    (CHAT, {"messages": HELLO, "stop": ""}, 400, "invalid_request", "stop"),
    (CANDIDATES, {"messages": HELLO, "stop": ""}, 400, "invalid_request", "stop"),
    (CHAT, {"messages": HELLO, "stop": "x" * 201}, 400, "invalid_request", "stop"),
    (CHAT, {"messages": HELLO, "stop": [""]}, 400, "invalid_request", "stop[0]"),
    (CHAT, {"messages": HELLO, "stop": ["a"] * 5}, 400, "invalid_request", "stop"),
    (CHAT, {"messages": HELLO, "stream": "yes"}, 400, "invalid_request", "stream"),
    (CHAT, {"messages": HELLO, "tools": [{"type": "function"}]}, 400, "unsupported_parameter", "tools"),
    (CHAT, {"messages": HELLO, "presence_penalty": 1}, 400, "unsupported_parameter", "presence_penalty"),
    (CHAT, {"messages": HELLO, "thumbwheel": {"interaction_id": "a b"}}, 400, "invalid_request",
     "thumbwheel.interaction_id"),
    (CHAT, {"messages": HELLO, "thumbwheel": {"interaction_id": "x" * 129}}, 400, "invalid_request",
     "thumbwheel.interaction_id"),
    (CHAT, {"messages": HELLO, "thumbwheel": {"context": {"a": "x" * 2048}}}, 400, "invalid_request",
     "thumbwheel.context"),
    (CHAT, {"messages": HELLO, "thumbwheel": 1}, 400, "invalid_request", "thumbwheel"),
    (CANDIDATES, {"messages": HELLO, "k": 1}, 400, "invalid_request", "k"),
    (CANDIDATES, {"messages": HELLO, "k": 9}, 400, "invalid_request", "k"),
    (CANDIDATES, {"messages": HELLO, "k": 2.5}, 400, "invalid_request", "k"),
    (CANDIDATES, {"messages": HELLO, "k": 2, "temperature": 0}, 400, "invalid_request", "temperature"),
    (CANDIDATES, {"messages": HELLO, "thumbwheel": {"compare": {"challenger": "ad-x"}}}, 404, "model_not_found",
     "model"),
    ("/v1/embeddings", {}, 404, "not_found", None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "code", "field"), BAD)
def test_a_bad_request_gets_the_documented_error(
    gateway: Gateway, path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    answered, content, _ = send(gateway, path, body)
    error = content["error"]
    assert (answered, error["code"]) == (status, code), error
    assert error["message"] and error["hint"]
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    if field:
        assert error["field"] == field
    assert gateway.logged() == []


def test_a_refused_stream_is_refused_with_its_status(gateway: Gateway) -> None:
    long = {"messages": [{"role": "user", "content": "parcel " * 600}], "stream": True}
    assert send(gateway, CHAT, long)[0] == 400


@pytest.mark.parametrize("path", [CHAT, CANDIDATES])
def test_keys_that_may_not_are_refused(gateway: Gateway, path: str) -> None:
    for key, status, code in (
        ("", 401, "invalid_key"), ("tw_sec_unknown", 401, "invalid_key"), ("é", 401, "invalid_key"),
        (gateway.public.key, 403, "key_not_allowed"),
    ):  # fmt: skip
        answered, content, _ = send(gateway, path, {"messages": HELLO}, key)
        assert (answered, content["error"]["code"]) == (status, code)
        if key:
            assert key not in json.dumps(content)
    assert send(gateway, "/v1/models", b"", "tw_sec_unknown", "GET")[0] == 401
    gateway.control.rotate_key(gateway.secret.key_id, timedelta(0))
    assert send(gateway, path, {"messages": HELLO})[0] == 401


def test_a_secret_key_cannot_name_another_project(gateway: Gateway) -> None:
    headers = {"X-Thumbwheel-Project": "other"}
    assert send(gateway, CHAT, {"messages": HELLO, "max_tokens": 2}, **headers)[0] == 200
    assert [event.project for event in gateway.logged()] == ["shop"]


def test_a_service_key_names_no_path(gateway: Gateway) -> None:
    headers = {"X-Thumbwheel-Project": "../shop"}
    status, content, _ = send(gateway, CHAT, {"messages": HELLO}, gateway.service.key, **headers)
    assert (status, content["error"]["code"]) == (400, "invalid_project")


def test_a_huge_body_is_refused(gateway: Gateway) -> None:
    body = {"messages": [{"role": "user", "content": "x" * (MAX_BODY_BYTES + 1)}]}
    status, content, _ = send(gateway, CHAT, body)
    assert (status, content["error"]["code"]) == (413, "too_large")


def test_the_official_client_raises_its_own_exceptions(gateway: Gateway) -> None:
    def ask(key: str, **changes: Any) -> None:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
            client.chat.completions.create(**{"model": "base", "messages": HELLO, **changes})

    with pytest.raises(openai.AuthenticationError):
        ask("tw_sec_unknown")
    with pytest.raises(openai.PermissionDeniedError):
        ask(gateway.public.key)
    with pytest.raises(openai.NotFoundError) as missing:
        ask(gateway.secret.key, model="gpt-4")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        ask(gateway.secret.key, n=99)
    assert bad.value.type == "invalid_request_error"


def test_an_adapter_that_does_not_fit_is_named_and_harms_nobody(gateway: Gateway) -> None:
    adapters = gateway.home / "models" / "shop" / "adapters"
    broken = adapters / "ad-00000000dead"
    broken.mkdir(exist_ok=True)
    config = json.loads((adapters / CHALLENGER / "adapter_config.json").read_text())
    (broken / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    for _ in range(2):
        status, content, _ = send(gateway, CHAT, {"messages": HELLO, "model": broken.name})
        assert (status, content["error"]["code"]) == (500, "adapter_unusable")
    (broken / "adapter_config.json").write_text(json.dumps(config))
    assert send(gateway, CHAT, {"messages": HELLO, "model": broken.name})[0] == 500, "it has no weights"
    assert send(gateway, CHAT, {"messages": HELLO, "model": CHALLENGER, "max_tokens": 2})[0] == 200
