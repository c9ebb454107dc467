"""Chat messages as a template takes them, the same way for serving and for training.

`plain` gives every message one role a template may know and one text. What a family's template refuses all the same
(Gemma a system message, Mistral two user turns in a row) is put into another form that keeps every word: `forms` lists
them, the least change first. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from contract.envelope import text_of
from contract.errors import ThumbwheelError

# Chat messages as templates take them: role and content.
Messages = list[dict[str, Any]]

# OpenAI's later name for the system role, and its earlier one for the role of a tool: templates know the other.
_ROLES = {"developer": "system", "function": "tool"}
# Between two texts that share a turn.
_BETWEEN = "\n\n"


class TemplateRefusal(ThumbwheelError):
    """Messages that a model's chat template takes in no form."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "invalid_messages", f"The model's chat template refuses these messages: {why}",
            "Alternate user and assistant; put a system message first.", "messages",
        )  # fmt: skip


def plain(messages: Sequence[Mapping[str, Any]]) -> Messages:
    """Return the messages with roles that templates know and contents that are text; absent content is "".

    Raises ThumbwheelError `unsupported_content`, with the field, where a content holds more than text.
    """
    made = []
    for index, message in enumerate(messages):
        content = message.get("content")
        text = "" if content is None else text_of(content)
        if text is None:
            raise ThumbwheelError(
                "unsupported_content", "This model reads text only.", "Send text parts.", f"messages[{index}].content"
            )
        role = str(message["role"])
        made.append({"role": _ROLES.get(role, role), "content": text})
    return made


def forms(messages: Messages) -> Iterator[Messages]:
    """Yield forms of plain messages that say the same, the least changed first.

    As they are; turns of one role joined; system texts but the first at the head of the next user turn; all of them
    there; each message's text as a list of one part, which templates of vision models take.
    """
    yield messages
    yield joined(messages)
    yield joined(folded(messages, keep_first=True))
    yield joined(folded(messages, keep_first=False))
    yield [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def joined(messages: Messages) -> Messages:
    """Return the messages with neighbours of one role made one turn, but for a tool's answers."""
    made: Messages = []
    for role, turns in groupby(messages, lambda message: message["role"]):
        group = list(turns)
        if role != "tool" and len(group) > 1:
            group = [{"role": role, "content": _together([turn["content"] for turn in group])}]
        made.extend(group)
    return made


def folded(messages: Messages, keep_first: bool) -> Messages:
    """Return the messages with system texts at the head of the next user turn, or as a user turn where none follows.

    `keep_first` leaves a system message at the very beginning where it is.
    """
    made: Messages = []
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "system" and not (keep_first and index == 0):
            waiting.append(message["content"])
            continue
        if message["role"] == "user" and waiting:
            message = {"role": "user", "content": _together([*waiting, message["content"]])}
            waiting = []
        made.append(message)
    return [*made, {"role": "user", "content": _together(waiting)}] if waiting else made


def _together(texts: Sequence[str]) -> str:
    return _BETWEEN.join(text for text in texts if text.strip())
