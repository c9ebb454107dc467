"""What the gateway asks for and gets: the engine in process and an upstream server answer the same. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

# What stands at the end of a text that stopped inside a character of several tokens.
HALF = "\ufffd"


@dataclass(frozen=True)
class Sampling:
    """How a reply is drawn; temperature 0 takes the likeliest token; `thinking` None is as the template has it."""

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int | None = None
    thinking: bool | None = None

    def recorded(self) -> dict[str, Any]:
        """Return the settings that both sides of a blind test must share, as logged; a seed draws, it sets nothing."""
        recorded: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        recorded |= {"stop": list(self.stop)} if self.stop else {}
        return recorded | ({} if self.thinking is None else {"thinking": self.thinking})


@dataclass(frozen=True)
class Reply:
    """One finished reply; finish_reason is the model server's word, or one of `contract/finish_reasons.py`."""

    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int


@dataclass
class Generation:
    """A request for replies: one prompt, one model per wanted reply ("base" or an adapter id).

    `on_text(index, text)` gets each new piece of reply `index`; `cancelled` ends what nobody waits for.
    """

    messages: list[dict[str, Any]]
    models: Sequence[str]
    sampling: Sampling
    on_text: Callable[[int, str], None] | None = None
    cancelled: Event = field(default_factory=Event)


class Generator(Protocol):
    """What the gateway asks for replies: the engine in process, or an OpenAI-compatible upstream."""

    def generate(self, request: Generation) -> list[Reply]:
        """Return one reply per wanted model; raises ThumbwheelError."""

    def check(self) -> None:
        """Raise ThumbwheelError when no reply can be had."""

    def close(self) -> None:
        """Stop; requests in flight are answered first."""
