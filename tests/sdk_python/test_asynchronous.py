"""The same calls, awaited: the loop goes on while the network is waited for."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
import thumbwheel
from thumbwheel import AsyncClient, Client, Result

from .stub import KEY, Answer, Stub

THUMB = {"interaction_id": "i-1", "candidate_id": "c-1", "value": "up"}


def run(stub: Stub, use: Any, **init: Any) -> Any:
    async def go() -> Any:
        async with AsyncClient(stub.url, KEY, "u-1", **init) as client:
            return await use(client)

    return asyncio.run(go())


def test_every_call_of_the_client_is_there() -> None:
    calls = {name for name, value in vars(Client).items() if not name.startswith("_")}
    assert calls == {name for name, value in vars(AsyncClient).items() if not name.startswith("_")}
    for name in ("thumb", "pick", "flush", "shutdown"):
        assert inspect.signature(getattr(AsyncClient, name)) == inspect.signature(getattr(Client, name))


def test_a_call_returns_the_id_at_once_and_the_end_sends_it(stub: Stub) -> None:
    async def use(client: AsyncClient) -> Any:
        return await client.thumb(**THUMB)

    sent = run(stub, use)
    assert [event["event_id"] for event in stub.events] == [sent]


def test_while_a_result_is_waited_for_other_tasks_run(stub: Stub) -> None:
    hold = threading.Event()
    stub.answers = [Answer(wait=hold)]

    async def use(client: AsyncClient) -> Any:
        task = asyncio.create_task(client.thumb(**THUMB))
        while not stub.bodies:
            await asyncio.sleep(0.01)
        assert not task.done()
        hold.set()
        return await task

    result = run(stub, use, sync=True)
    assert isinstance(result, Result) and result.status == "accepted"


def test_wrong_calls_reach_nobody_and_wrong_settings_raise(stub: Stub) -> None:
    async def use(client: AsyncClient) -> dict[str, int]:
        assert await client.thumb("i-1") is None  # type: ignore[call-arg]
        return client.dropped

    assert run(stub, use) == {"failed": 1}
    with pytest.raises(ValueError, match="url"):
        AsyncClient("nowhere", KEY)
    assert thumbwheel.AsyncClient is AsyncClient
