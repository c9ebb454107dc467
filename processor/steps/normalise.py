"""Texts made comparable: what counts as the same question, and as the same reply."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from contract.envelope import Message, text_of
from contract.ids import digest128

# What no screen shows: default-ignorable code points (Unicode, DerivedCoreProperties.txt) and other format characters,
# those apart that stand before digits and are seen (U+0600 to U+0605 and the like).
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ZERO_WIDTH = re.compile(f"[{_INVISIBLE}]")
# Control characters, and the blank pattern of Braille, show nothing either.
_NOTHING_SEEN = re.compile(f"[\\s\\x00-\\x1f\\x7f-\\x9f\u2800{_INVISIBLE}]*+")


def normalise(text: str) -> str:
    """Return the text after NFKC, without zero-width characters, case-folded, whitespace collapsed."""
    if not text.isascii():
        text = _ZERO_WIDTH.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(text.casefold().split())


def blank(text: str) -> bool:
    """Say whether a text shows nothing: it is empty, or whitespace and characters without width."""
    return not text or (not "\x20" < text[0] < "\x7f" and _NOTHING_SEEN.fullmatch(text) is not None)


def composed(text: str) -> str:
    """Return the one spelling (NFC) of a text whose accents may be written in two ways."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def same_text(one: str, other: str) -> bool:
    """Say whether two replies differ in nothing but whitespace, or the way in which accents are written."""
    if one == other:
        return True
    if not (one.isascii() and other.isascii()):
        one, other = composed(one), composed(other)
    first, second = one[:1], other[:1]
    if first != second and not first.isspace() and not second.isspace():
        return False
    # Most replies part within their first words; only then is the whole worth splitting.
    return one.split(None, 4)[:4] == other.split(None, 4)[:4] and one.split() == other.split()


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
