"""The same calls for programs that run in an event loop: none of them blocks it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from thumbwheel.client import Client
from thumbwheel.results import Stats

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")
R = TypeVar("R")


def _awaited(
    call: Callable[Concatenate[Client, P], R], waits: bool = False
) -> Callable[Concatenate[AsyncClient, P], Awaitable[R]]:
    """Return the call as a coroutine; one that waits for the network runs in a thread."""

    @functools.wraps(call)
    async def awaited(self: AsyncClient, *args: P.args, **fields: P.kwargs) -> R:
        if waits or self.client.sync:
            return await asyncio.to_thread(call, self.client, *args, **fields)
        return call(self.client, *args, **fields)

    return cast("Callable[Concatenate[AsyncClient, P], Awaitable[R]]", awaited)


class AsyncClient:
    """A `Client` whose calls are awaited; made with the same arguments, raises ValueError for wrong ones.

    A call returns the event's id at once. With `sync=True` it returns a Result when the collector has answered, and
    other tasks run meanwhile. `async with` shuts it down. `client` is the client underneath.
    """

    def __init__(self, url: str, key: str, actor: Any = None, sync: bool = False, **options: Any) -> None:
        """Make the client; nothing is connected to yet."""
        self.client = Client(url, key, actor, sync, **options)

    interaction = _awaited(Client.interaction)
    thumb = _awaited(Client.thumb)
    choice = _awaited(Client.choice)
    pick = _awaited(Client.pick)
    edit = _awaited(Client.edit)
    annotate = _awaited(Client.annotate)
    retract = _awaited(Client.retract)
    campaign = _awaited(Client.campaign, waits=True)
    flush = _awaited(Client.flush, waits=True)
    shutdown = _awaited(Client.shutdown, waits=True)

    def sign(self, interaction_id: str, actor_id: str | None = None) -> str:
        """Return a new signed candidate id; see `Client.sign`."""
        return self.client.sign(interaction_id, actor_id)

    def opt_in(self) -> None:
        """Keep and send from now on."""
        self.client.opt_in()

    def opt_out(self) -> None:
        """Forget what waits and keep nothing from now on."""
        self.client.opt_out()

    @property
    def dropped(self) -> dict[str, int]:
        """Events that will not arrive, by reason."""
        return self.client.dropped

    def stats(self) -> Stats:
        """Return counts since the client was made."""
        return self.client.stats()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.shutdown()
