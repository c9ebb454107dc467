"""Thoughts of a model that thinks before it replies: switched on or off, and never part of the reply.

In: a project's choice, or a text with `<think>` ... `</think>` in it. Out: what chat templates are told, or the text
without its thoughts. Raters judge replies, so nobody is shown a thought, and none is logged. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

OPEN, CLOSE = "<think>", "</think>"
# A template that opens a thought for the model ends its prompt with the mark and some white space.
_TAIL_TOKENS = 16


def template_kwargs(thinking: bool | None) -> dict[str, bool]:
    """Return `chat_template_kwargs` for a choice; None leaves it to the template. Qwen and GLM read this name."""
    return {} if thinking is None else {"enable_thinking": thinking}


def opens_thought(tokenizer: Any, prompt: Sequence[int]) -> bool:
    """Say whether a prompt ends within a thought: what follows is one until it is closed."""
    tail = str(tokenizer.decode(list(prompt[-_TAIL_TOKENS:]), skip_special_tokens=False))
    return tail.rstrip().endswith(OPEN)


def spoken(text: str, *, opened: bool = False, streamed: bool = False, ended: bool = True) -> str:
    """Return a reply without its thoughts; one that is not closed reaches to the end.

    `opened`: the prompt opened one. `streamed`: it is shown as it comes, so what stood before a lone closing mark
    cannot be taken back. `ended` false: more will come, so what may be the beginning of a mark is kept back.
    """
    rest = text
    if opened or (not streamed and _is_lone_close(rest)):
        rest = rest.partition(CLOSE)[2].lstrip()
    said = ""
    while OPEN in rest:
        before, _, after = rest.partition(OPEN)
        said += before
        _, closed, rest = after.partition(CLOSE)
        if not said.strip():
            said, rest = "", rest.lstrip()
        if not closed:
            return said
    said += rest.replace(CLOSE, "")
    if ended:
        return said
    sure = said[: len(said) - _begun(said)]
    # Space before a thought goes with it.
    return sure if sure.strip() else ""


def _is_lone_close(text: str) -> bool:
    closing, opening = text.find(CLOSE), text.find(OPEN)
    return closing >= 0 and not 0 <= opening < closing


def _begun(text: str) -> int:
    """Return how many letters at the end may be the beginning of a mark."""
    return max((n for mark in (OPEN, CLOSE) for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)


def hidden_marks(tokenizer: Any) -> dict[int, str]:
    """Return the marks that the tokenizer leaves out of decoded texts, being special tokens to it, by id."""
    known = tokenizer.get_vocab()
    found = {int(known[mark]): mark for mark in (OPEN, CLOSE) if mark in known}
    return {token: mark for token, mark in found.items() if token in tokenizer.all_special_ids}


def decoded(tokenizer: Any, tokens: Sequence[int], marks: dict[int, str]) -> str:
    """Return tokens as text in which the marks stand, also where they are special tokens."""
    if not marks or not any(token in marks for token in tokens):
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True))
    pieces: list[str] = []
    begin = 0
    for place, token in enumerate([*tokens, -1]):
        if token in marks or place == len(tokens):
            pieces.append(str(tokenizer.decode(list(tokens[begin:place]), skip_special_tokens=True)))
            pieces.append(marks.get(token, ""))
            begin = place + 1
    return "".join(pieces)
