"""What replies alone show: prompts and replies as text in; repeats, lengths, language and likeness out. Needs no model.

These are all that can be measured of a model whose weights are elsewhere.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’-][^\W_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")
# Letters of a word that are compared: "refund" and "refunded", "parcel" and "parcels" are one.
_STEM = 5


@dataclass(frozen=True)
class Written:
    """One reply as text; `ended` is false where it was cut at the token limit."""

    text: str
    ended: bool


@dataclass(frozen=True)
class ReplyMeasures:
    """Measures of one side's replies: shares in 0..1, length in words, likeness to the prompts in -1..1.

    `count` is the number of replies.
    """

    repeats: float
    ended: float
    words: float
    language: float
    empty: float
    likeness: float
    count: int


def measure_replies(prompts: Sequence[str], replies: Sequence[Written]) -> ReplyMeasures:
    """Return the measures of these replies, one to each prompt, in order."""
    texts = [reply.text for reply in replies]
    return ReplyMeasures(
        repeats=mean([repeated_share(text) for text in texts]), ended=mean([float(reply.ended) for reply in replies]),
        words=mean([float(len(words(text))) for text in texts]), language=kept_language(prompts, texts),
        empty=mean([float(not words(text)) for text in texts]), likeness=likeness(prompts, texts),
        count=len(texts),
    )  # fmt: skip


def words(text: str) -> list[str]:
    """Return the words of a text, each Chinese character being one."""
    return _WORD.findall(text.lower())


def repeated_share(text: str) -> float:
    """Return the share of 4-grams of words that occurred before in the text."""
    tokens = words(text)
    grams = [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_chinese(text: str) -> bool:
    """Say whether at least a third of the letters are Chinese characters."""
    letters = len(_LETTER.findall(text))
    return bool(letters) and len(_CJK.findall(text)) / letters >= 1 / 3


def kept_language(prompts: Sequence[str], replies: Sequence[str]) -> float:
    """Return the share of replies with any word that are written in the script of their prompt."""
    told = [(prompt, text) for prompt, text in zip(prompts, replies, strict=True) if words(text)]
    return mean([float(is_chinese(prompt) == is_chinese(text)) for prompt, text in told])


def likeness(prompts: Sequence[str], replies: Sequence[str]) -> float:
    """Return how much more words a reply shares with its own prompt than with the others, as mean cosines.

    Words are cut to their first letters and weighed by how few prompts have them.
    """
    if len(prompts) < 2:
        return 0.0
    asked = [Counter(word[:_STEM] for word in words(text)) for text in prompts]
    told = [Counter(word[:_STEM] for word in words(text)) for text in replies]
    seen = Counter(word for one in asked for word in one)
    rare = {word: math.log((1 + len(prompts)) / count) for word, count in seen.items()}
    own = [_cosine(reply, prompt, rare) for reply, prompt in zip(told, asked, strict=True)]
    others = [
        _cosine(reply, prompt, rare) for i, reply in enumerate(told) for j, prompt in enumerate(asked) if i != j
    ]  # fmt: skip
    return mean(own) - mean(others)


def _cosine(left: Mapping[str, int], right: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Return the cosine of two bags of words; words that no prompt has count for nothing."""
    shared = sum(left[word] * right[word] * weights[word] ** 2 for word in left if word in right)
    lengths = [
        math.sqrt(sum((n * weights.get(word, 0.0)) ** 2 for word, n in bag.items())) for bag in (left, right)
    ]  # fmt: skip
    return shared / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0.0 of nothing."""
    return sum(values) / len(values) if values else 0.0
