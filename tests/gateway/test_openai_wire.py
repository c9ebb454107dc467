"""The OpenAI wire: the official client works, and what it got is in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2 as httpx
import openai
import pytest

from contract.signing import verify_candidate
from tests.gateway.conftest import CHALLENGER, CHAMPION, Gateway

ASK = [{"role": "user", "content": "where is my parcel"}]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.secret.key, max_retries=0) as made:
        yield made


def test_the_official_client_gets_a_completion_and_it_is_logged(gateway: Gateway, client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="base", messages=ASK, max_tokens=7, temperature=0, n=2,  # type: ignore[arg-type]
        extra_body={"thumbwheel": {
            "conversation_id": "talk-1", "actor": {"id": "u1"}, "labels": ["refund/late"], "source": "shop",
            "context": {"page": "/orders"},
        }},
    )  # fmt: skip
    assert [choice.index for choice in done.choices] == [0, 1]
    assert {choice.finish_reason for choice in done.choices} <= {"stop", "length"}
    assert done.usage and done.usage.completion_tokens <= 14
    (event,) = gateway.logged()
    assert (event.interaction_id, event.conversation_id, event.actor.id) == (done.id, "talk-1", "u1")
    assert (event.project, event.via, event.surface, event.trial) == ("shop", "gateway", "chat", None)
    assert (event.labels, event.source, event.context) == (["refund/late"], "shop", {"page": "/orders"})
    assert [m.content for m in event.messages] == ["where is my parcel"]
    for choice, shown in zip(done.choices, event.candidates, strict=True):
        assert (shown.candidate_id, shown.content) == (choice.candidate_id, choice.message.content)  # type: ignore[attr-defined]
        assert (shown.model, shown.finish_reason) == ("base", choice.finish_reason)
        assert shown.sampling == {"temperature": 0.0, "top_p": 0.95, "max_tokens": 7}
        assert verify_candidate(gateway.control.signing_key, "shop", done.id, shown.candidate_id, "u1")


def test_a_stream_is_logged_before_its_last_chunk_and_carries_ids(gateway: Gateway, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="champion", messages=ASK, max_tokens=9, temperature=0, stream=True,  # type: ignore[call-overload]
        stream_options={"include_usage": True}, extra_body={"thumbwheel": {"interaction_id": "mine-1"}},
    )  # fmt: skip
    chunks, logged_at_end = [], []
    for chunk in stream:
        chunks.append(chunk)
        if chunk.choices and chunk.choices[0].finish_reason:
            logged_at_end = gateway.logged()
    assert stream.response.headers["x-thumbwheel-interaction-id"] == "mine-1"
    assert {chunk.id for chunk in chunks} == {"mine-1"}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    (event,) = logged_at_end
    assert (event.interaction_id, event.candidates[0].content) == ("mine-1", text)
    assert chunks[0].choices[0].candidate_id == event.candidates[0].candidate_id
    assert not hasattr(chunks[1].choices[0], "candidate_id")
    assert chunks[-1].usage.completion_tokens == 9
    whole = client.chat.completions.create(model="base", messages=ASK, max_tokens=9, temperature=0)  # type: ignore[arg-type]
    assert whole.choices[0].message.content == text, "a stream says what a whole reply says"


def test_each_choice_of_a_stream_has_its_own_candidate(gateway: Gateway, client: openai.OpenAI) -> None:
    texts, ids = ["", ""], ["", ""]
    for chunk in client.chat.completions.create(model="base", messages=ASK, max_tokens=5, n=2, stream=True):  # type: ignore[call-overload]
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ids[choice.index] = ids[choice.index] or choice.candidate_id
    assert [(c.candidate_id, c.content) for c in gateway.logged()[0].candidates] == list(zip(ids, texts, strict=True))


def test_a_client_that_leaves_has_what_it_saw_logged(gateway: Gateway) -> None:
    body = {"messages": ASK, "max_tokens": 400, "stream": True, "temperature": 0.9}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=_key(gateway)) as answer:
        lines = answer.iter_lines()
        seen = [next(lines) for _ in range(8)]
    assert sum(line.startswith("data: ") for line in seen) == 4
    deadline = time.monotonic() + 10
    while not gateway.logged() and time.monotonic() < deadline:
        time.sleep(0.02)
    (event,) = gateway.logged()
    assert event.candidates[0].finish_reason == "cancelled"
    assert event.candidates[0].content


def test_what_is_not_to_be_stored_is_not(gateway: Gateway, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="base", messages=ASK, max_tokens=3, store=False)  # type: ignore[arg-type]
    list(client.chat.completions.create(model="base", messages=ASK, max_tokens=3, store=False, stream=True))  # type: ignore[call-overload]
    assert gateway.logged() == []


def test_names_follow_the_aliases_without_a_restart(gateway: Gateway, client: openai.OpenAI) -> None:
    def say(model: str) -> str | None:
        done = client.chat.completions.create(model=model, messages=ASK, max_tokens=12, temperature=0)  # type: ignore[arg-type]
        return done.choices[0].message.content

    assert say("champion") == say("base")
    with pytest.raises(openai.NotFoundError):
        say("challenger")
    gateway.set_aliases(champion=CHAMPION, challenger=CHALLENGER, baseline=CHAMPION)
    assert say("champion") == say(CHAMPION) != say("base")
    assert say("challenger") == say(CHALLENGER) != say(CHAMPION)
    listed = [model.id for model in client.models.list()]
    assert listed[:3] == ["base", "champion", "challenger"]
    assert {CHAMPION, CHALLENGER} <= set(listed)
    assert client.models.retrieve(CHAMPION).id == CHAMPION
    assert {c.model for event in gateway.logged() for c in event.candidates} == {"base", CHAMPION, CHALLENGER}


def test_stop_and_seed_and_parts_are_understood(client: openai.OpenAI) -> None:
    def say(**more: object) -> openai.types.chat.ChatCompletion:
        return client.chat.completions.create(  # type: ignore[call-overload,no-any-return]
            model="base", messages=[{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
            max_completion_tokens=12, **more,
        )  # fmt: skip

    first = say(seed=3).choices[0].message.content
    assert say(seed=3).choices[0].message.content == first
    whole = say(temperature=0).choices[0].message.content or ""
    cut = say(temperature=0, stop=whole[3:6]).choices[0]
    assert (cut.finish_reason, cut.message.content) == ("stop", whole[: whole.find(whole[3:6])])


def test_a_service_key_names_its_project(gateway: Gateway) -> None:
    body = {"messages": ASK, "max_tokens": 2}
    for project, wanted in ({}, "default"), ({"X-Thumbwheel-Project": "demo"}, "demo"):
        headers = {"Authorization": f"Bearer {gateway.service.key}", **project}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200
        event = gateway.logged()[-1]
        assert event.project == wanted
        candidate = answer.json()["choices"][0]["candidate_id"]
        assert verify_candidate(gateway.control.signing_key, wanted, event.interaction_id, candidate, "u-1")


def test_a_long_interaction_is_logged_shortened(gateway: Gateway, client: openai.OpenAI) -> None:
    """The tiny model reads 512 tokens only; the part that is not text it is asked is still in the log's messages."""
    padding = {"role": "user", "content": [{"type": "text", "text": "hi", "note": "x" * 300_000}]}
    client.chat.completions.create(model="base", messages=[padding, *ASK], max_tokens=2)  # type: ignore[list-item]
    (event,) = gateway.logged()
    assert event.truncated
    assert event.digest and len(event.digest) == 64
    assert [m.content for m in event.messages] == ["where is my parcel"]


def test_health_readiness_and_metrics(gateway: Gateway, client: openai.OpenAI) -> None:
    assert httpx.get(f"{gateway.url}/healthz").json()["status"] == "ok"
    assert httpx.get(f"{gateway.url}/readyz").json() == {"status": "ready", "log": "ok"}
    client.chat.completions.create(model="base", messages=ASK, max_tokens=2)  # type: ignore[arg-type]
    assert 'thumbwheel_gateway_requests_total{route="/v1/chat/completions",status="200"}' in (
        httpx.get(f"{gateway.url}/metrics").text
    )


def _key(gateway: Gateway) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.secret.key}"}
