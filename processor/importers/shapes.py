"""What a row of each format says, in one shape: a prompt, and a preference, a verdict or a demonstration."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from processor.importers.reading import RowError
from processor.steps.normalise import same_text

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
    "developer": "system",
}  # fmt: skip
_CSV_FIELDS = ("prompt", "system", "chosen", "rejected", "completion", "label", "annotator")
_TRUE = frozenset({"true", "1", "yes", "up", "good", "+1", "1.0"})
_FALSE = frozenset({"false", "0", "no", "down", "bad", "-1", "0.0", "-1.0"})
# Columns that say who judged, the first that has something; a row without one is nobody's in particular.
ANNOTATORS = ("annotator", "annotator_id", "rater", "rater_id", "worker_id", "labeler", "labeler_id", "actor")
# What a row may hold beside its texts, and what would be another question without it.
_MORE_THAN_TEXT = ("tools", "functions", "images", "image", "videos", "video", "audios", "audio")
# How transcripts of one text mark their turns (Anthropic's HH-RLHF).
_TURN = re.compile(r"\n\n(Human|Assistant):[ \t]?")
_TURNS = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class Said:
    """One row. `rejected` is set for a preference, `label` for a verdict; neither for a demonstration.

    `annotator` is who judged, where the row says so.
    """

    messages: list[dict[str, str]]
    reply: str
    rejected: str | None = None
    label: bool | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    annotator: str | None = None


Reader = Callable[[Mapping[str, Any], Mapping[str, str]], Said]


def read_sharegpt(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """ShareGPT as LLaMA-Factory reads it: `conversations` (or `messages`), `chosen`/`rejected`, `kto_tag`."""
    used = {"conversations", "messages", "chosen", "rejected", "kto_tag", "label", "system"}
    _text_only(row)
    turns = row.get("conversations", row.get("messages"))
    if "chosen" in row or "rejected" in row:
        messages = _with_system(row.get("system"), _turns(turns, "conversations"))
        return _preference(messages, *_both(row), row, used)
    label = row.get("kto_tag", row.get("label"))
    return _finished(turns, "conversations", None if label is None else _label(label), row, used)


def read_alpaca(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """Alpaca as LLaMA-Factory reads it: `instruction`, `input`, `output`, `system`, `history`."""
    used = {"instruction", "input", "output", "system", "history", "chosen", "rejected", "kto_tag"}
    _text_only(row)
    question = "\n".join(part for part in (_text(row, "instruction"), _text(row, "input", "")) if part)
    messages = _with_system(row.get("system"), [*_history(row.get("history")), {"role": "user", "content": question}])
    if "chosen" in row or "rejected" in row:
        return _preference(messages, *_both(row), row, used)
    label = row.get("kto_tag")
    return _said(messages, _text(row, "output"), None if label is None else _label(label), row, used)


def read_trl(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """TRL's preference (explicit or implicit prompt), unpaired preference, prompt-completion, conversational.

    A preference may repeat its prompt: in both sides as whole dialogues (UltraFeedback binarized), or as texts that
    begin alike (HH-RLHF), where the prompt is what they share.
    """
    used = {"prompt", "chosen", "rejected", "completion", "label", "messages"}
    _text_only(row)
    if "chosen" in row or "rejected" in row:
        prompt = row.get("prompt")
        if prompt is None and isinstance(row.get("chosen"), str) and isinstance(row.get("rejected"), str):
            return _begin_alike(row["chosen"], row["rejected"], row, used)
        if prompt is None or _is_dialogue(row.get("chosen")) or _is_dialogue(row.get("rejected")):
            return _implicit(row, prompt, used)
        return _preference(_prompt(prompt), *_both(row), row, used)
    if "completion" in row:
        label = row.get("label")
        reply = _one(row["completion"], "completion")
        return _said(_prompt(row.get("prompt")), reply, None if label is None else _label(label), row, used)
    return _finished(row.get("messages"), "messages", None, row, used)


def read_openai(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """OpenAI's chat and preference fine-tuning lines."""
    _text_only(row)
    if "preferred_output" in row or "non_preferred_output" in row:
        used = {"input", "preferred_output", "non_preferred_output"}
        given = row.get("input")
        if not isinstance(given, dict):
            raise RowError("input is not an object with messages")
        _text_only(given)
        chosen = _one(row.get("preferred_output"), "preferred_output")
        rejected = _one(row.get("non_preferred_output"), "non_preferred_output")
        return _preference(_turns(given.get("messages"), "input.messages"), chosen, rejected, row, used)
    return _finished(row.get("messages"), "messages", None, row, {"messages"})


def read_csv(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Said:
    """CSV with a mapping from prompt, system, chosen, rejected, completion, label, annotator to columns."""
    _text_only(row)
    names = {name: mapping.get(name, name) for name in _CSV_FIELDS}
    for name, column in mapping.items():
        if column not in row:
            raise RowError(f"there is no column {column!r} for {name}")
    cell = {name: row.get(column) or None for name, column in names.items()}
    if cell["prompt"] is None:
        raise RowError(f"column {names['prompt']!r} is empty")
    messages = _with_system(cell["system"], _prompt(cell["prompt"]))
    used = set(names.values())
    row = {**row, "annotator": cell["annotator"]} if cell["annotator"] else row
    if cell["chosen"] or cell["rejected"]:
        return _preference(messages, cell["chosen"] or "", cell["rejected"] or "", row, used)
    label = None if cell["label"] is None else _label(cell["label"])
    return _said(messages, cell["completion"] or "", label, row, used)


READERS: dict[str, Reader] = {
    "sharegpt": read_sharegpt, "trl": read_trl, "alpaca": read_alpaca, "openai": read_openai, "csv": read_csv,
}  # fmt: skip


def _said(
    messages: list[dict[str, str]], reply: str, label: bool | None, row: Mapping[str, Any], used: set[str]
) -> Said:
    return Said(messages, reply, label=label, extra=_extra(row, used), annotator=_annotator(row))


def _preference(
    messages: list[dict[str, str]], chosen: str, rejected: str, row: Mapping[str, Any], used: set[str]
) -> Said:
    return Said(messages, chosen, rejected, extra=_extra(row, used), annotator=_annotator(row))


def _annotator_column(row: Mapping[str, Any]) -> str | None:
    for name in ANNOTATORS:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return name
    return None


def _annotator(row: Mapping[str, Any]) -> str | None:
    column = _annotator_column(row)
    return None if column is None else str(row[column]).strip()


def _text_only(row: Mapping[str, Any]) -> None:
    """Refuse a row whose question is more than its texts: without tools or images it is another question."""
    for name in _MORE_THAN_TEXT:
        value = row.get(name)
        if value and str(value).strip() not in ("", "[]", "{}", "null"):
            raise RowError(f"{name} cannot be imported, and without them it is another question")


def _finished(value: Any, name: str, label: bool | None, row: Mapping[str, Any], used: set[str]) -> Said:
    """Read a dialogue that ends with the reply: the last one that counts, where some have weight 0 (OpenAI)."""
    turns = _turns(value, name)
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise RowError("the dialogue does not end with a reply")
    counted = [
        at for at, (turn, given) in enumerate(zip(turns, value, strict=True))
        if turn["role"] == "assistant" and given.get("weight", 1) not in (0, False)
    ]  # fmt: skip
    if not counted:
        raise RowError("each reply has weight 0: none is to be learnt")
    messages = _with_system(row.get("system") if "system" in used else None, turns[: counted[-1]])
    return _said(messages, turns[counted[-1]]["content"], label, row, used)


def _is_dialogue(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1


def _implicit(row: Mapping[str, Any], prompt: Any, used: set[str]) -> Said:
    """Read two whole dialogues; `prompt`, where the row has one, is their question, or all before the replies."""
    chosen, rejected = _turns(row.get("chosen"), "chosen"), _turns(row.get("rejected"), "rejected")
    if len(chosen) < 2 or len(chosen) != len(rejected) or chosen[:-1] != rejected[:-1]:
        raise RowError("chosen and rejected do not share a prompt that only their last message differs from")
    if chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        raise RowError("chosen or rejected does not end with a reply")
    asked = chosen[:-1]
    if prompt is not None:
        given = _prompt(prompt)
        if given not in (asked, asked[-1:]) and not (
            len(given) == 1 and asked[-1]["role"] == "user" and same_text(given[0]["content"], asked[-1]["content"])
        ):
            raise RowError("prompt is not what chosen and rejected answer")
    return _preference(asked, chosen[-1]["content"], rejected[-1]["content"], row, used)


def _begin_alike(chosen: str, rejected: str, row: Mapping[str, Any], used: set[str]) -> Said:
    """Read two texts that begin with their prompt, as TRL does (`extract_prompt`), but never cut a word in two."""
    shared = next(
        (at for at, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
        min(len(chosen), len(rejected)),
    )
    if chosen.startswith(("\n\nHuman:", "\n\nAssistant:")):
        return _transcript(chosen, rejected, shared, row, used)
    while 0 < shared < max(len(chosen), len(rejected)) and _within_word(chosen, rejected, shared):
        shared -= 1
    prompt = chosen[:shared].strip()
    if not prompt:
        raise RowError("chosen and rejected are not a list of messages, nor texts that begin with the same prompt")
    return _preference(_prompt(prompt), chosen[shared:].strip(), rejected[shared:].strip(), row, used)


def _transcript(chosen: str, rejected: str, shared: int, row: Mapping[str, Any], used: set[str]) -> Said:
    """Read two transcripts that are the same up to their last reply."""
    turns = [found for found in _TURN.finditer(chosen) if found.end() <= shared]
    if not turns or turns[-1][1] != "Assistant":
        raise RowError("chosen and rejected part before a reply begins")
    replies = [text[turns[-1].end() :] for text in (chosen, rejected)]
    if any(_TURN.search(reply) for reply in replies):
        raise RowError("chosen or rejected goes on after its reply")
    messages = [
        {"role": _TURNS[found[1]], "content": chosen[found.end() : following.start()].strip()}
        for found, following in itertools.pairwise(turns)
    ]
    return _preference(messages, replies[0].strip(), replies[1].strip(), row, used)


def _within_word(chosen: str, rejected: str, at: int) -> bool:
    """Say whether a cut here parts letters that are written without spaces between words only in a word."""
    before = chosen[at - 1]
    return any(_spelled(before) and _spelled(text[at : at + 1]) for text in (chosen, rejected))


def _spelled(character: str) -> bool:
    return character.isalnum() and character < "\u2e80"


def _history(value: Any) -> list[dict[str, str]]:
    """Return the turns before the question."""
    messages: list[dict[str, str]] = []
    for turn in value or []:
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise RowError("history is not a list of [question, answer]")
        if not all(isinstance(text, str) for text in turn):
            raise RowError("history holds something that is not text")
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    return messages


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
    value = row.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise RowError(f"{name} is not text")
    return value


def _extra(row: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    column = _annotator_column(row)
    return {name: value for name, value in row.items() if name not in used and name != column}
