"""The openai client, recorded: the official client against a server that speaks its wire."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import BaseModel
from thumbwheel import AsyncClient, Client
from thumbwheel.openai import record

from contract.signing import signing_key, verify_candidate

from .stub import KEY, Answer, Stub

openai = pytest.importorskip("openai")
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my parcel?"}]
Connect = Callable[..., Client]


class Provider:
    """Answers chat completions with `texts`, one choice each; `gateway` marks the choices as our gateway does.

    `name` is the answer's id (absent where None), `reason` why each choice ended, `broken` whether a stream breaks off
    before it says so.
    """

    def __init__(self) -> None:
        self.texts: list[str | None] = ["On its way."]
        self.gateway = False
        self.name: str | None = "chatcmpl-7"
        self.reason: str | None = "stop"
        self.broken = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def choice(self, index: int, name: str, part: dict[str, Any], reason: str | None) -> dict[str, Any]:
        mark = {"candidate_id": f"tw1.k.{index}"} if self.gateway else {}
        return {"index": index, name: {"role": "assistant", **part}, "finish_reason": reason, **mark}

    def whole(self) -> dict[str, Any]:
        choices = [self.choice(i, "message", {"content": text}, self.reason) for i, text in enumerate(self.texts)]
        return self.head("chat.completion") | {"choices": choices}

    def head(self, kind: str) -> dict[str, Any]:
        named = {} if self.name is None else {"id": self.name}
        return {**named, "object": kind, "created": 1, "model": "gpt-x-1"}

    def chunks(self) -> Iterator[dict[str, Any]]:
        head = self.head("chat.completion.chunk")
        for index, text in enumerate(self.texts):
            for word in (text or "").split(" "):
                yield {**head, "choices": [self.choice(index, "delta", {"content": word + " "}, None)]}
            if not self.broken:
                yield {**head, "choices": [self.choice(index, "delta", {}, self.reason)]}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            if not asked.get("stream"):
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(provider.whole()).encode())
                return
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for chunk in provider.chunks():
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            if provider.broken:
                self.wfile.write(b'data: {"error": {"message": "overloaded"}}\n\n')
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *args: object) -> None:
            return

    return Handler


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def model(provider: Provider) -> Iterator[Any]:
    with openai.OpenAI(base_url=provider.url, api_key="x", max_retries=0) as made:
        yield made


def ask(model: Any, **more: Any) -> Any:
    return model.chat.completions.create(model="gpt-x", messages=MESSAGES, **more)


def test_a_completion_is_recorded_with_what_the_elements_take(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    provider.texts = ["On its way.", None]
    answer = ask(record(model, client), temperature=0.5, n=2)
    assert client.flush()
    (event,) = stub.events
    assert event["type"] == "interaction"
    assert answer.id == "chatcmpl-7"
    assert uuid.UUID(event["interaction_id"]).version == 7
    assert event["messages"] == MESSAGES
    assert [(c["content"], c["model"], c["finish_reason"]) for c in event["candidates"]] == [
        ("On its way.", "gpt-x-1", "stop"), (None, "gpt-x-1", "stop"),
    ]  # fmt: skip
    assert event["candidates"][0]["sampling"] == {"temperature": 0.5, "n": 2}
    shown = [{"candidate_id": c["candidate_id"], "content": c["content"]} for c in event["candidates"]]
    assert answer.thumbwheel == {"interaction_id": event["interaction_id"], "candidates": shown}


def test_a_stream_is_recorded_once_at_its_end(connect: Connect, stub: Stub, provider: Provider, model: Any) -> None:
    client = connect()
    stream = ask(record(model, client), stream=True)
    assert stream.thumbwheel is None
    text = ""
    for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        named = stream.thumbwheel["interaction_id"]
        ids = [one["candidate_id"] for one in stream.thumbwheel["candidates"]]
    stream.close()
    assert client.flush()
    (event,) = stub.events
    assert event["interaction_id"] == named
    assert [(c["candidate_id"], c["content"]) for c in event["candidates"]] == [(ids[0], text)]


def test_a_stream_the_host_leaves_is_recorded_as_far_as_it_came(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    provider.texts = ["one two three"]
    with ask(record(model, client), stream=True) as stream:
        next(stream)
    assert client.flush()
    (event,) = stub.events
    assert event["candidates"][0]["content"] == "one "


def test_the_asynchronous_client_is_recorded_too(connect: Connect, stub: Stub, provider: Provider) -> None:
    client = connect()

    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="x", max_retries=0) as made:
            model = record(made, client)
            answer = await ask(model)
            assert answer.thumbwheel["candidates"][0]["content"] == "On its way."
            stream = await ask(model, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    text = asyncio.run(talk())
    assert client.flush()
    assert [event["candidates"][0]["content"] for event in stub.events] == ["On its way.", text]


class Place(BaseModel):
    """What a product may ask a model to fill in."""

    city: str


def test_structured_answers_and_the_streaming_helper_are_recorded_too(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    provider.texts = ['{"city":"Leipzig"}']
    record(model, client)
    answer = model.chat.completions.parse(model="gpt-x", messages=MESSAGES, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Leipzig")
    provider.texts = ["On its way."]
    with model.chat.completions.stream(model="gpt-x", messages=MESSAGES) as stream:
        assert [event.delta for event in stream if event.type == "content.delta"] == ["On ", "its ", "way. "]
    assert client.flush()
    assert [event["candidates"][0]["content"] for event in stub.events] == ['{"city":"Leipzig"}', "On its way. "]
    assert answer.thumbwheel["interaction_id"] == stub.events[0]["interaction_id"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_waits_for_the_collector_does_not_hold_up_the_event_loop(
    stub: Stub, provider: Provider, stream: bool
) -> None:
    hold = threading.Event()
    stub.answers = [Answer(wait=hold)]

    async def talk() -> str:
        made = openai.AsyncOpenAI(base_url=provider.url, api_key="x", max_retries=0)
        async with AsyncClient(stub.url, KEY, "u-1", sync=True) as client, made as model:
            asking = asyncio.create_task(read(record(model, client)))
            while not stub.bodies:
                await asyncio.sleep(0.01)
            assert not asking.done()
            hold.set()
            return await asking

    async def read(model: Any) -> str:
        answer = await ask(model, stream=stream)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer]) if stream else ""

    text = asyncio.run(talk())
    assert stub.events[0]["candidates"][0]["content"] == (text or "On its way.")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_the_gateway_is_marked_but_not_recorded_again(
    connect: Connect, stub: Stub, provider: Provider, model: Any, stream: bool
) -> None:
    client = connect()
    provider.gateway = True
    answer = ask(record(model, client), stream=stream)
    if stream:
        list(answer)
    assert client.flush()
    assert stub.bodies == []
    assert answer.thumbwheel["candidates"][0]["candidate_id"] == "tw1.k.0"
    assert answer.thumbwheel["interaction_id"] == "chatcmpl-7"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [None, "", "None", "1", "x" * 200, "a b", "嗨"])
def test_ids_of_another_server_name_no_interaction(
    connect: Connect, stub: Stub, provider: Provider, model: Any, name: str | None, stream: bool
) -> None:
    client = connect()
    provider.name = name
    record(model, client)
    shown = []
    for _ in range(3):
        answer = ask(model, stream=stream)
        if stream:
            list(answer)
        shown.append(answer.thumbwheel)
    assert client.flush()
    ids = [event["interaction_id"] for event in stub.events]
    assert ids == [one["interaction_id"] for one in shown]
    assert len(set(ids)) == 3
    assert {uuid.UUID(one).version for one in ids} == {7}


def test_a_mark_of_another_servers_own_makes_it_no_gateway(
    connect: Connect, stub: Stub, provider: Provider, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    choice = provider.choice
    monkeypatch.setattr(provider, "choice", lambda *given: {**choice(*given), "candidate_id": "mine"})
    answer = ask(record(model, client))
    assert client.flush()
    assert stub.events[0]["interaction_id"] != "chatcmpl-7"
    assert answer.thumbwheel["candidates"][0]["candidate_id"] != "mine"


@pytest.mark.parametrize(
    ("reason", "stream", "wanted"),
    [
        ("stop", False, "stop"), ("length", True, "length"), ("content_filter", False, "content_filter"),
        (None, False, "incomplete"), (None, True, "incomplete"), ("z" * 100, False, "z" * 64),
    ],
)  # fmt: skip
def test_a_reply_is_recorded_with_the_reason_why_it_ended(
    connect: Connect, stub: Stub, provider: Provider, model: Any, reason: str | None, stream: bool, wanted: str
) -> None:
    client = connect()
    provider.reason = reason
    answer = ask(record(model, client), stream=stream)
    if stream:
        list(answer)
    assert client.flush()
    assert [event["candidates"][0]["finish_reason"] for event in stub.events] == [wanted]


def test_a_stream_that_breaks_or_is_left_is_recorded_as_cut(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    record(model, client)
    with ask(model, stream=True) as left:
        next(left)
    left = ask(model, stream=True)
    next(left)
    left.close()
    provider.broken = True
    with pytest.raises(openai.APIError):
        list(ask(model, stream=True))

    async def broken() -> None:
        async with openai.AsyncOpenAI(base_url=provider.url, api_key="x", max_retries=0) as made:
            stream = await ask(record(made, client), stream=True)
            with pytest.raises(openai.APIError):
                [chunk async for chunk in stream]

    asyncio.run(broken())
    assert client.flush()
    reasons = [event["candidates"][0]["finish_reason"] for event in stub.events]
    assert reasons == ["cancelled", "cancelled", "error", "error"]


def test_about_adds_who_and_where_and_its_failure_reaches_nobody(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    record(model, client, about=lambda asked: {"actor": "u-9", "conversation_id": asked["user"]})
    record(model, client)  # A second time changes nothing.
    ask(model, user="c-1")
    assert ask(model).choices[0].message.content == "On its way."  # `about` fails: there is no user.
    assert client.flush()
    (event,) = stub.events
    assert (event["actor"]["id"], event["conversation_id"], event["surface"]) == ("u-9", "c-1", "chat")


def test_a_message_object_passed_back_and_a_tool_call_are_kept(
    connect: Connect, stub: Stub, provider: Provider, model: Any
) -> None:
    client = connect()
    record(model, client)
    first = ask(model).choices[0].message
    model.chat.completions.create(model="gpt-x", messages=[*MESSAGES, first, {"role": "user", "content": "Thanks"}])
    assert client.flush()
    assert stub.events[1]["messages"][2] == {"role": "assistant", "content": "On its way."}


def _verified(candidate_id: str, interaction_id: str, actor: str) -> bool:
    """Say whether a collector verifies this actor's feedback on the id."""
    return verify_candidate(lambda *_: signing_key(KEY), "default", interaction_id, candidate_id, actor)


@pytest.mark.parametrize("named", ["u-81f3", {"id": "u-81f3", "kind": "agent"}])
def test_replies_are_signed_for_the_actor_whom_about_names(connect: Connect, model: Any, named: Any) -> None:
    told = []
    recorded = record(model, connect(key_id="k1"), about=lambda asked: told.append(asked["user"]) or {"actor": named})
    answer = ask(recorded, user="u-81f3").thumbwheel
    (candidate,) = answer["candidates"]
    assert _verified(candidate["candidate_id"], answer["interaction_id"], "u-81f3")
    assert not _verified(candidate["candidate_id"], answer["interaction_id"], "u-2")
    assert told == ["u-81f3"]


def test_a_stream_s_replies_are_signed_for_the_actor_from_its_first_chunk(
    connect: Connect, stub: Stub, model: Any
) -> None:
    client = connect(key_id="k1")
    stream = ask(record(model, client, about=lambda asked: {"actor": asked["user"]}), stream=True, user="u-7")
    next(stream)
    (early,) = stream.thumbwheel["candidates"]
    for _ in stream:
        pass
    assert client.flush()
    (event,) = stub.events
    assert event["candidates"][0]["candidate_id"] == early["candidate_id"] and event["actor"]["id"] == "u-7"
    assert _verified(early["candidate_id"], event["interaction_id"], "u-7")
    assert not _verified(early["candidate_id"], event["interaction_id"], "u-8")


@pytest.mark.parametrize("about", [None, lambda asked: {"labels": ["chat"]}, lambda asked: {"actor": ""}])
def test_replies_shown_to_nobody_in_particular_are_signed_for_everybody(
    connect: Connect, model: Any, about: Any
) -> None:
    """The client's own actor stands for the program, not for who reads the reply."""
    answer = ask(record(model, connect(key_id="k1", actor="app"), about=about)).thumbwheel
    (candidate,) = answer["candidates"]
    assert all(_verified(candidate["candidate_id"], answer["interaction_id"], who) for who in ("app", "u-1"))


def test_a_host_s_function_that_fails_costs_the_record_and_not_the_stream(
    connect: Connect, stub: Stub, model: Any
) -> None:
    client = connect(key_id="k1")

    def about(asked: Any) -> Any:
        raise KeyError("user")

    stream = ask(record(model, client, about=about), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.strip() == "On its way." and len(stream.thumbwheel["candidates"]) == 1
    assert client.flush() and stub.events == []
