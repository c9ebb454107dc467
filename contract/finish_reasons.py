"""Why a reply ended, in the words of many servers: which of them mean that it is whole.

Whatever is not known to be a natural end is a cut: a reply that is cut trains no end and is never a demonstration. A
whole one loses little by that, while a cut one taken for whole teaches the model to stop in the middle of a sentence.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

# OpenAI, vLLM, Ollama, Gemini: stop. Anthropic, Bedrock: end_turn, stop_sequence. TGI: eos_token, stop_sequence.
# Cohere: COMPLETE, STOP_SEQUENCE. OpenAI's Responses: completed. Qianfan: normal. AI21: endoftext. Titan: FINISHED.
NATURAL_ENDS = frozenset({
    "stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed", "normal", "endoftext", "finished",
})  # fmt: skip
# The model asked for a tool: the reply goes on where no text is.
TOOL_CALLS = frozenset({"tool_calls", "tool_call", "function_call", "tool_use"})
# What we write ourselves: the limit of tokens; nobody waited; the server failed; it ended without a reason.
LENGTH, CANCELLED, ERROR, INCOMPLETE = "length", "cancelled", "error", "incomplete"
_WHOLE = NATURAL_ENDS | TOOL_CALLS
# OpenAI's own words, which clients may know as a closed list.
_OPENAI = frozenset({"stop", LENGTH, "content_filter", "tool_calls", "function_call"})


def is_cut(reason: str | UnsetType | None) -> bool:
    """Say whether a reply ended before its end; one about which nobody says anything (UNSET) is taken for whole."""
    if reason is UNSET or reason in _WHOLE:
        return False
    return reason is None or reason.casefold() not in _WHOLE


def calls_tool(reason: str | UnsetType | None) -> bool:
    """Say whether the reply ended in a call of a tool."""
    return isinstance(reason, str) and reason.casefold() in TOOL_CALLS


def for_openai(reason: str) -> str:
    """Return the reason in OpenAI's words: `stop` for another natural end, `length` for another cut."""
    if reason in _OPENAI:
        return reason
    if calls_tool(reason):
        return "tool_calls"
    return LENGTH if is_cut(reason) else "stop"
