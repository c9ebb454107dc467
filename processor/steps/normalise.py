"""Texts made comparable: what counts as the same question, and as the same reply."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from contract.envelope import Message
from contract.ids import digest128

_ZERO_WIDTH = re.compile("[\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")


def normalise(text: str) -> str:
    """Return the text after NFKC, without zero-width characters, case-folded, whitespace collapsed."""
    if not text.isascii():
        text = _ZERO_WIDTH.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(text.casefold().split())


def same_text(one: str, other: str) -> bool:
    """Say whether two replies differ in nothing but whitespace."""
    if one == other:
        return True
    first, second = one[:1], other[:1]
    if first != second and not first.isspace() and not second.isspace():
        return False
    # Most replies part within their first words; only then is the whole worth splitting.
    return one.split(None, 4)[:4] == other.split(None, 4)[:4] and one.split() == other.split()


def text_of(content: str | list[dict[str, Any]] | None) -> str | None:
    """Return a content as plain text, or None where it is absent or holds more than text (an image)."""
    if content is None or isinstance(content, str):
        return content
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        return None
    return "\n".join(str(text) for text in texts)


def prompt_hash(messages: Sequence[Message]) -> bytes:
    """Return 16 bytes that are equal for prompts that ask the same, whatever the system message says.

    All turns count, since "yes, go on" asks nothing by itself. BLAKE2b-128 over the normalised turns.
    """
    turns = []
    for message in messages:
        if message.role not in ("system", "developer"):
            content = message.content
            if not isinstance(content, str):
                content = text_of(content) or repr(content)
            turns.append(f"{message.role}\x1f{normalise(content)}")
    return digest128("\x1e".join(turns).encode())


def last_user_text(messages: Sequence[Message]) -> str | None:
    """Return the text of the last user message."""
    for message in reversed(messages):
        if message.role == "user":
            return text_of(message.content)
    return None
