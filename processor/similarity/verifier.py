"""Do two prompts with close embeddings ask the same? What turns a question into another one must agree.

"17*23" and "17*24" have a cosine of 0.93, "sort ascending" and "sort descending" 0.975, the same sentence with
another target language 0.96: no threshold tells them apart, these rules do.
"""

from __future__ import annotations

import re

from processor.steps.normalise import normalise

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_CODE = re.compile(r"```.*?```|`[^`\n]+`|[\w.]+\([^)\n]*\)|[+*/=<>{}\[\]^%$#@\\|&]", re.DOTALL)
_URL = re.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\S+")
_NEGATION = re.compile(r"\b(?:not|no|never|none|nothing|without|cannot|neither|nor)\b|n['’]t\b|[不没無无非未别勿]")
_WORD = re.compile(r"[^\W\d_]+")
# A capital inside a sentence names something: a city, a product, a person.
_NAME = re.compile(r"(?<![.!?:\n] )(?<!^)\b[A-Z][\w-]+")

LANGUAGES = frozenset(
    """
arabic chinese czech danish dutch english finnish french german greek hebrew hindi hungarian
indonesian italian japanese korean latin mandarin norwegian persian polish portuguese romanian
russian spanish swahili swedish thai turkish ukrainian urdu vietnamese
""".split()  # noqa: SIM905
)
# Pairs of opposites: a prompt with one is not a prompt with the other.
OPPOSITES = frozenset(
    """
ascending descending increase decrease increases decreases more less most least first last before
after above below add remove added removed enable disable enabled disabled open close opened closed
start stop buy sell send receive sent received upload download import export encode decode encrypt
decrypt minimum maximum smallest largest shortest longest fastest slowest highest lowest best worst
true false positive negative left right on off formal informal active passive
old new hot cold accept decline allow deny login logout sender recipient advantages disadvantages
pros cons male female
""".split()  # noqa: SIM905
)


def disagreement(one: str, other: str) -> str | None:
    """Return what tells two prompts apart (numbers, urls, code, negation, language, opposite, names), or None."""
    for name, pattern in (("urls", _URL), ("numbers", _NUMBER), ("code", _CODE)):
        if sorted(pattern.findall(one)) != sorted(pattern.findall(other)):
            return name
    left, right = normalise(one), normalise(other)
    if len(_NEGATION.findall(left)) != len(_NEGATION.findall(right)):
        return "negation"
    words, others = set(_WORD.findall(left)), set(_WORD.findall(right))
    if words & LANGUAGES != others & LANGUAGES:
        return "language"
    if words & OPPOSITES != others & OPPOSITES:
        return "opposite"
    # A name counts wherever it stands in the other text, even at the start of a sentence.
    if not _names(one) <= others or not _names(other) <= words:
        return "names"
    return None


def _names(text: str) -> set[str]:
    return {part for name in _NAME.findall(text.strip()) for part in _WORD.findall(name.casefold())}
