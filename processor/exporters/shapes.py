"""One dataset row in each format."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any


class Refused(ValueError):
    """A row the format cannot hold; the text is the reason it is counted under."""


Write = Callable[[dict[str, Any]], dict[str, Any]]
# What OpenAI calls developer is the system of other formats.
_FROM = {"user": "human", "assistant": "gpt", "system": "system", "developer": "system"}


def _messages(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the prompt without the nulls that Parquet puts where a message says nothing of tools."""
    found: list[dict[str, Any]] = _without_nulls(row["prompt"])
    return found


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _trl_preference(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": _messages(row), "chosen": row["chosen"], "rejected": row["rejected"]}


def _trl_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": _messages(row), "completion": row["completion"], "label": row["label"]}


def _trl_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": _messages(row), "completion": row["completion"]}


def _sharegpt_preference(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "conversations": _turns(_messages(row)), "chosen": _turns(row["chosen"])[0],
        "rejected": _turns(row["rejected"])[0],
    }  # fmt: skip


def _sharegpt_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": _turns(_messages(row) + row["completion"]), "kto_tag": row["label"]}


def _sharegpt_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": _turns(_messages(row) + row["completion"])}


def _openai_preference(row: dict[str, Any]) -> dict[str, Any]:
    _known_roles(_messages(row))
    return {
        "input": {"messages": _messages(row)}, "preferred_output": row["chosen"],
        "non_preferred_output": row["rejected"],
    }  # fmt: skip


def _openai_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    raise Refused("a verdict on one reply has no place in this format")


def _openai_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    _known_roles(_messages(row))
    return {"messages": _messages(row) + row["completion"]}


WRITERS: dict[str, dict[str, Write]] = {
    "trl": {"preference": _trl_preference, "unpaired": _trl_unpaired, "demonstration": _trl_demonstration},
    "sharegpt": {
        "preference": _sharegpt_preference, "unpaired": _sharegpt_unpaired, "demonstration": _sharegpt_demonstration,
    },
    "openai": {
        "preference": _openai_preference, "unpaired": _openai_unpaired, "demonstration": _openai_demonstration,
    },
}  # fmt: skip

# How LLaMA-Factory is told to read the ShareGPT files (data/README.md there).
DATASET_INFO: dict[str, dict[str, Any]] = {
    "preference": {
        "formatting": "sharegpt", "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    },
    "unpaired": {"formatting": "sharegpt", "columns": {"messages": "conversations", "kto_tag": "kto_tag"}},
    "demonstration": {"formatting": "sharegpt", "columns": {"messages": "conversations"}},
}  # fmt: skip


def _turns(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    _known_roles(messages)
    return [{"from": _FROM[message["role"]], "value": message["content"]} for message in _one_system(messages)]


def _one_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the messages with what leads them as one: LLaMA-Factory reads a single system message, the first."""
    leading = list(itertools.takewhile(lambda message: _FROM[message["role"]] == "system", messages))
    if len(leading) < 2:
        return messages
    whole = "\n\n".join(message["content"] for message in leading)
    return [{"role": "system", "content": whole}, *messages[len(leading) :]]


def _known_roles(messages: list[dict[str, str]]) -> None:
    for message in messages:
        if message["role"] not in _FROM:
            raise Refused(f"role {message['role']} has no place in this format")
        if "tool_calls" in message:
            raise Refused("calls of tools have no place in this format")
