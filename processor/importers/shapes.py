"""What a row of each format says, in one shape: a prompt, and a preference, a verdict or a demonstration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from processor.importers.reading import RowError

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
    "developer": "system",
}  # fmt: skip
_CSV_FIELDS = ("prompt", "system", "chosen", "rejected", "completion", "label")
_TRUE = frozenset({"true", "1", "yes", "up", "good", "+1"})
_FALSE = frozenset({"false", "0", "no", "down", "bad", "-1"})


@dataclass(frozen=True)
class Said:
    """One row. `rejected` is set for a preference, `label` for a verdict; neither for a demonstration."""

    messages: list[dict[str, str]]
    reply: str
    rejected: str | None = None
    label: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)


Reader = Callable[[Mapping[str, Any], Mapping[str, str]], Said]


def read_sharegpt(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """ShareGPT as LLaMA-Factory reads it: `conversations` (or `messages`), `chosen`/`rejected`, `kto_tag`."""
    used = {"conversations", "messages", "chosen", "rejected", "kto_tag", "label", "system"}
    messages = _turns(row.get("conversations", row.get("messages")), "conversations")
    messages = _with_system(row.get("system"), messages)
    if "chosen" in row or "rejected" in row:
        return _preference(messages, *_both(row), row, used)
    label = row.get("kto_tag", row.get("label"))
    return _finished(messages, None if label is None else _label(label), row, used)


def read_alpaca(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """Alpaca as LLaMA-Factory reads it: `instruction`, `input`, `output`, `system`, `history`."""
    used = {"instruction", "input", "output", "system", "history", "chosen", "rejected", "kto_tag"}
    question = "\n".join(part for part in (_text(row, "instruction"), _text(row, "input", "")) if part)
    messages: list[dict[str, str]] = []
    for turn in row.get("history") or []:
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise RowError("history is not a list of [question, answer]")
        messages += [{"role": "user", "content": str(turn[0])}, {"role": "assistant", "content": str(turn[1])}]
    messages = _with_system(row.get("system"), [*messages, {"role": "user", "content": question}])
    if "chosen" in row or "rejected" in row:
        return _preference(messages, *_both(row), row, used)
    label = row.get("kto_tag")
    return Said(messages, _text(row, "output"), label=None if label is None else _label(label), extra=_extra(row, used))


def read_trl(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """TRL's preference (explicit or implicit prompt), unpaired preference, prompt-completion, conversational."""
    used = {"prompt", "chosen", "rejected", "completion", "label", "messages"}
    if "chosen" in row or "rejected" in row:
        if "prompt" not in row:
            return _implicit(row, used)
        return _preference(_prompt(row["prompt"]), *_both(row), row, used)
    if "completion" in row:
        label = row.get("label")
        reply = _one(row["completion"], "completion")
        messages = _prompt(row.get("prompt"))
        return Said(messages, reply, label=None if label is None else _label(label), extra=_extra(row, used))
    return _finished(_turns(row.get("messages"), "messages"), None, row, used)


def read_openai(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """OpenAI's chat and preference fine-tuning lines."""
    if "preferred_output" in row or "non_preferred_output" in row:
        used = {"input", "preferred_output", "non_preferred_output"}
        given = row.get("input")
        if not isinstance(given, dict):
            raise RowError("input is not an object with messages")
        if given.get("tools"):
            raise RowError("tools cannot be imported")
        chosen = _one(row.get("preferred_output"), "preferred_output")
        rejected = _one(row.get("non_preferred_output"), "non_preferred_output")
        return _preference(_turns(given.get("messages"), "input.messages"), chosen, rejected, row, used)
    if row.get("tools"):
        raise RowError("tools cannot be imported")
    return _finished(_turns(row.get("messages"), "messages"), None, row, {"messages"})


def read_csv(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """CSV with a mapping from prompt, system, chosen, rejected, completion, label to columns."""
    names = {name: mapping.get(name, name) for name in _CSV_FIELDS}
    for name, column in mapping.items():
        if column not in row:
            raise RowError(f"there is no column {column!r} for {name}")
    cell = {name: row.get(column) or None for name, column in names.items()}
    if cell["prompt"] is None:
        raise RowError(f"column {names['prompt']!r} is empty")
    messages = _with_system(cell["system"], _prompt(cell["prompt"]))
    used = set(names.values())
    if cell["chosen"] or cell["rejected"]:
        return _preference(messages, cell["chosen"] or "", cell["rejected"] or "", row, used)
    label = None if cell["label"] is None else _label(cell["label"])
    return Said(messages, cell["completion"] or "", label=label, extra=_extra(row, used))


READERS: dict[str, Reader] = {
    "sharegpt": read_sharegpt, "trl": read_trl, "alpaca": read_alpaca, "openai": read_openai, "csv": read_csv,
}  # fmt: skip


def _preference(
    messages: list[dict[str, str]], chosen: str, rejected: str, row: Mapping[str, Any], used: set[str]
) -> Said:
    return Said(messages, chosen, rejected, extra=_extra(row, used))


def _finished(messages: list[dict[str, str]], label: bool | None, row: Mapping[str, Any], used: set[str]) -> Said:
    """Read a dialogue that ends with the reply."""
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise RowError("the dialogue does not end with a reply")
    return Said(messages[:-1], messages[-1]["content"], label=label, extra=_extra(row, used))


def _implicit(row: Mapping[str, Any], used: set[str]) -> Said:
    chosen, rejected = _turns(row.get("chosen"), "chosen"), _turns(row.get("rejected"), "rejected")
    if len(chosen) < 2 or len(chosen) != len(rejected) or chosen[:-1] != rejected[:-1]:
        raise RowError("chosen and rejected do not share a prompt that only their last message differs from")
    if chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        raise RowError("chosen or rejected does not end with a reply")
    return _preference(chosen[:-1], chosen[-1]["content"], rejected[-1]["content"], row, used)


def _prompt(value: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": value}] if isinstance(value, str) else _turns(value, "prompt")


def _turns(value: Any, name: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise RowError(f"{name} is not a list of messages")
    return [_turn(turn, name) for turn in value]


def _turn(turn: Any, name: str) -> dict[str, str]:
    if not isinstance(turn, dict):
        raise RowError(f"{name} holds something that is not a message")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role not in _ROLES or turn.get("tool_calls"):
        raise RowError(f"{name}: role {str(role)[:64]!r} cannot be imported")
    if not isinstance(content, str):
        raise RowError(f"{name}: a message is not plain text")
    return {"role": _ROLES[role], "content": content}


def _one(value: Any, name: str) -> str:
    """Return a reply given as text, as one message, or as a list of one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if len(value) != 1:
            raise RowError(f"{name} has {len(value)} messages, one can be imported")
        value = value[0]
    turn = _turn(value, name)
    if turn["role"] != "assistant":
        raise RowError(f"{name} is not a reply of the assistant")
    return turn["content"]


def _both(row: Mapping[str, Any]) -> tuple[str, str]:
    return _one(row.get("chosen"), "chosen"), _one(row.get("rejected"), "rejected")


def _with_system(system: Any, messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, *messages] if isinstance(system, str) and system else messages


def _label(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise RowError(f"label {value!r} is neither true nor false")


def _text(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if not isinstance(value, str):
        raise RowError(f"{name} is not text")
    return value


def _extra(row: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in used}
