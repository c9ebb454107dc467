"""Texts that are control tokens of some family of models: found to be marked, broken where they cannot be told apart.

Written by a person, `<|im_end|>` is text. A model server that is sent messages makes the token of it that ends a turn;
one that we tokenise for does not (docs/decisions/0016-content-is-not-control.md). Which texts are control tokens
depends on the model; this pattern knows the spellings of the families, and RE2 reads it as well.
"""

from __future__ import annotations

import re

CONTROL_TEXT = (
    # Llama 3, Qwen, GLM, Phi, Cohere, Granite, gpt-oss; DeepSeek with wide bars; Gemma 4 with one.
    r"<\|[^\s<>|]{1,64}\|>|<｜[^\s<>｜]{1,64}｜>|<\|[a-z_]{1,32}>|<[a-z_]{1,32}\|>"
    # Gemma; Idefics; Cohere; Llama 2 and Mistral; GLM.
    r"|<(?:start|end)_of_(?:turn|image)>|<end_of_utterance>|<(?:BOS|EOS)_TOKEN>|</?s>|<(?:bos|eos|pad|unk|mask|sop|eop)>"
    r"|\[/?INST\]|<</?SYS>>|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG)\]"
    r"|\[[gs]?MASK\]"
)
_control_text = re.compile(CONTROL_TEXT)
# Breaks the token and shows as nothing: a word joiner.
_JOINER = "\u2060"


def holds_control_text(text: str) -> bool:
    """Say whether a text holds what is a control token of some family."""
    return _control_text.search(text) is not None


def broken(text: str) -> str:
    """Return the text with a word joiner inside each control token, which no tokenizer then takes for one."""
    while holds_control_text(text):  # One may stand inside another.
        text = _control_text.sub(lambda found: found[0][0] + _JOINER + found[0][1:], text)
    return text
