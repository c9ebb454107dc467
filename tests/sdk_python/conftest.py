"""A collector on a real socket, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thumbwheel import Client

from .stub import KEY, Stub


@pytest.fixture
def stub() -> Iterator[Stub]:
    running = Stub()
    yield running
    running.stop()


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff draws zero, so that retries follow at once; what Retry-After asks for stays."""
    monkeypatch.setattr("thumbwheel.delivery.sender.random.random", lambda: 0.0)


@pytest.fixture
def connect(stub: Stub) -> Iterator[Callable[..., Client]]:
    """Makes clients of the stub and shuts them down."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        client = Client(**({"url": stub.url, "key": KEY, "actor": "u-1"} | options))
        made.append(client)
        return client

    yield make
    for client in made:
        client.shutdown(0.5)
