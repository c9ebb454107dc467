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


def _trl_preference(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]}


def _trl_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "completion": row["completion"], "label": row["label"]}


def _trl_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "completion": row["completion"]}


def _sharegpt_preference(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "conversations": _turns(row["prompt"]), "chosen": _turns(row["chosen"])[0],
        "rejected": _turns(row["rejected"])[0],
    }  # fmt: skip


def _sharegpt_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": _turns(row["prompt"] + row["completion"]), "kto_tag": row["label"]}


def _sharegpt_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": _turns(row["prompt"] + row["completion"])}


def _openai_preference(row: dict[str, Any]) -> dict[str, Any]:
    _known_roles(row["prompt"])
    return {
        "input": {"messages": row["prompt"]}, "preferred_output": row["chosen"],
        "non_preferred_output": row["rejected"],
    }  # fmt: skip


def _openai_unpaired(row: dict[str, Any]) -> dict[str, Any]:
    raise Refused("a verdict on one reply has no place in this format")


def _openai_demonstration(row: dict[str, Any]) -> dict[str, Any]:
    _known_roles(row["prompt"])
    return {"messages": row["prompt"] + row["completion"]}


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
