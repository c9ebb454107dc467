"""Chat messages as a template takes them, the same way for serving and for training.

`plain` gives every message one role a template may know and one text. What a family's template refuses all the same
(Gemma a system message, Mistral two user turns in a row) is put into another form that keeps every word: `forms` lists
them, the least change first. Calls of tools stay as OpenAI writes them, until a template is given them
(`with_parsed_calls`). Needs no torch.
"""

from __future__ import annotations

import json
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
        made.append({"role": _ROLES.get(role, role), "content": text, **_of_tools(message)})
    return made


def _of_tools(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message says of tools beside its content: its calls, or which call it answers."""
    found: dict[str, Any] = {}
    if calls := message.get("tool_calls"):
        found["tool_calls"] = [_call(call) for call in calls]
    if message["role"] in ("tool", "function"):
        found |= {name: message[name] for name in ("name", "tool_call_id") if message.get(name)}
    return found


def _call(call: Any) -> dict[str, Any]:
    """Return a call as OpenAI writes it, its arguments a text; raises TemplateRefusal for what is none."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise TemplateRefusal("a call of a tool names no function.")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    made = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return made | ({"id": str(call["id"])} if call.get("id") else {})


def with_parsed_calls(messages: Messages) -> Messages:
    """Return the messages with arguments as objects, which templates write as JSON themselves."""
    return [
        {**message, "tool_calls": [_parsed(call) for call in message["tool_calls"]]}
        if "tool_calls" in message else message
        for message in messages
    ]  # fmt: skip


def _parsed(call: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
    except ValueError:
        return call
    return {**call, "function": {**call["function"], "arguments": arguments}} if isinstance(arguments, dict) else call


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
    """Return the messages with neighbours of one role made one turn, but for a tool's answers and turns that call."""
    made: Messages = []
    for role, turns in groupby(messages, lambda message: message["role"]):
        group = list(turns)
        if role != "tool" and len(group) > 1 and not any("tool_calls" in turn for turn in group):
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
