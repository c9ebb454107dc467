"""What people think of a model's replies, sent to a Thumbwheel collector.

    import thumbwheel
    client = thumbwheel.init("http://127.0.0.1:8700", "tw_sec_...", actor="u-81f3")
    client.thumb(interaction_id="i-1", candidate_id="c-1", value="up")

After `init` the same calls exist as functions of this module.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Optional

from thumbwheel.asynchronous import AsyncClient
from thumbwheel.client import Client, Sent
from thumbwheel.fields import ActorLike
from thumbwheel.ids import uuid7
from thumbwheel.results import Problem, Result, Stats
from thumbwheel.signing import sign
from thumbwheel.version import VERSION as __version__

if TYPE_CHECKING:
    from thumbwheel.campaigns import Campaign

__all__ = [
    "AsyncClient", "Client", "Problem", "Result", "Sent", "Stats", "__version__", "annotate", "campaign", "choice",
    "edit", "flush", "init", "interaction", "opt_in", "opt_out", "pick", "retract", "shutdown", "sign", "thumb",
    "uuid7",
]  # fmt: skip

_client: Optional[Client] = None
# Of earlier calls of `init`, for other projects: what waits in them goes at exit too.
_others: list[Client] = []


def init(
    url: str, key: str, actor: ActorLike | None = None, sync: bool = False, consent: str | None = None, **options: Any
) -> Client:
    """Make the client that the functions of this module use, and return it; further options as for `Client`.

    Raises ValueError that names a wrong setting. A client made by an earlier `init` for the same collector and key is
    flushed and takes nothing more; one for another project goes on.
    """
    global _client
    earlier, _client = _client, Client(url, key, actor, sync, consent, **options)  # type: ignore[arg-type]
    for one in [*_others, *([] if earlier is None else [earlier])]:
        if one._scope == _client._scope:
            one.shutdown()
    if earlier is not None:
        _others.append(earlier)
    _others[:] = [one for one in _others if not one._closed]
    return _client


def _call(name: str, args: tuple[Any, ...], fields: dict[str, Any]) -> Sent:
    if _client is None:
        logging.getLogger("thumbwheel").warning("%s() did nothing: init() was not called", name)
        return None
    sent: Sent = getattr(_client, name)(*args, **fields)
    return sent


def interaction(*args: Any, **fields: Any) -> Sent:
    """Record what was asked and shown; see `Client.interaction`."""
    return _call("interaction", args, fields)


def thumb(*args: Any, **fields: Any) -> Sent:
    """Send a thumb up or down; see `Client.thumb`."""
    return _call("thumb", args, fields)


def choice(*args: Any, **fields: Any) -> Sent:
    """Send what a user picked; see `Client.choice`."""
    return _call("choice", args, fields)


def pick(*args: Any, **fields: Any) -> Sent:
    """Send what an agent picked; see `Client.pick`."""
    return _call("pick", args, fields)


def edit(*args: Any, **fields: Any) -> Sent:
    """Send a corrected reply; see `Client.edit`."""
    return _call("edit", args, fields)


def annotate(*args: Any, **fields: Any) -> Sent:
    """Send answers to labels; see `Client.annotate`."""
    return _call("annotate", args, fields)


def retract(*args: Any, **fields: Any) -> Sent:
    """Take an event back; see `Client.retract`."""
    return _call("retract", args, fields)


def campaign(*args: Any, **fields: Any) -> Campaign | None:
    """Return the campaign that asks about an interaction, or None; see `Client.campaign`."""
    return None if _client is None else _client.campaign(*args, **fields)


def opt_in() -> None:
    """Keep and send from now on; see `Client.opt_in`."""
    if _client is not None:
        _client.opt_in()


def opt_out() -> None:
    """Forget what waits and keep nothing from now on; see `Client.opt_out`."""
    if _client is not None:
        _client.opt_out()


def flush(timeout: float = 5.0) -> bool:
    """Send what waits now; see `Client.flush`."""
    return True if _client is None else _client.flush(timeout)


def shutdown(timeout: float = 5.0) -> bool:
    """Flush and take nothing more; see `Client.shutdown`."""
    return True if _client is None else _client.shutdown(timeout)
