"""A prompt within the length that trains: messages and replies in; token ids out, the oldest turns left out and marked.

A long conversation teaches by its end: what the reply answers. So turns go from the oldest on, whole, until prompt and
reply fit; system messages stay. The first turn that is kept says that there were others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from inference.messages import Messages, plain
from inference.tokens import Encoder

MARK = "[Earlier messages are left out.]"
# Why a row is dropped whose newest turn alone fills the length, and what is said of one that lost turns and trains.
TOO_LONG, SHORTENED = "prompt_too_long", "prompt_shortened"


class Fitted(NamedTuple):
    """Token ids of a prompt and of each reply; `shortened` where turns were left out."""

    prompt: list[int]
    replies: list[list[int]]
    shortened: bool = False

    def is_too_long(self, max_length: int) -> bool:
        """Say whether the prompt leaves no room for a single token of a reply."""
        return len(self.prompt) >= max_length


def fit(encoder: Encoder, prompt: Messages, replies: Sequence[tuple[Messages, bool]], max_length: int) -> Fitted:
    """Return the ids of a prompt with its replies (messages, cut at the token limit), shortened where it is too long.

    A prompt may take what its longest reply leaves, and half the length whatever the reply. One whose newest turn does
    not fit is returned as it is, or with that turn alone. Raises TemplateRefusal.
    """
    whole = _encode(encoder, prompt, replies)
    longest = max(len(reply) for reply in whole.replies)
    room = max_length - min(longest, max_length // 2)
    if len(whole.prompt) <= room:
        return whole
    ready = plain(prompt)
    starts = _starts(ready)
    if not starts:
        return whole
    # Later starts are shorter prompts, so the first that fits is found by halving.
    low, high = 0, len(starts) - 1
    best = _from(encoder, ready, starts[high], replies)
    while low < high:
        middle = (low + high) // 2
        tried = _from(encoder, ready, starts[middle], replies)
        if len(tried.prompt) <= room:
            best, high = tried, middle
        else:
            low = middle + 1
    return best


def _encode(encoder: Encoder, prompt: Messages, replies: Sequence[tuple[Messages, bool]]) -> Fitted:
    pairs = [encoder.pair(prompt, reply, cut) for reply, cut in replies]
    return Fitted(pairs[0][0], [reply for _, reply in pairs])


def _starts(messages: Messages) -> list[int]:
    """Return where a shortened prompt may begin: at a user's turn, so that no answer stands without its question."""
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return users[1:]


def _from(encoder: Encoder, messages: Messages, start: int, replies: Sequence[tuple[Messages, bool]]) -> Fitted:
    head = [message for message in messages[:start] if message["role"] == "system"]
    first: dict[str, Any] = {**messages[start], "content": f"{MARK}\n\n{messages[start]['content']}"}
    return _encode(encoder, [*head, first, *messages[start + 1 :]], replies)._replace(shortened=True)


def hint(dropped: dict[str, int], max_length: int, otherwise: str) -> str:
    """Return what to do about rows that are all dropped: the setting to raise where most were too long."""
    if dropped.get(TOO_LONG, 0) * 2 >= sum(dropped.values()) > 0:
        return f"Raise the setting max_length, which is {max_length}."
    return otherwise
