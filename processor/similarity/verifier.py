"""Two prompts in, out whether they ask the same, and if not what tells them apart, in words a person can read.

No threshold on embeddings does that: "17*23" and "17*24" have a cosine of 0.93, "sort ascending" and "sort
descending" 0.975, the same sentence with another target language 0.96. Here two prompts are the same question only if
every word that one has and the other lacks is filler, politeness or a synonym, and the words stand in an order that
means the same. A word this module does not know is decisive: it would rather miss a paraphrase than merge two
questions.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from processor.similarity.wording import Words, clauses_of
from processor.similarity.words import LANGUAGES, NEGATIONS, OPPOSITES

_CODE = re.compile(r"```.*?```|`[^`\n]+`|(?<![\w.])[\w.]+\([^()\n]*\)", re.DOTALL)
_URL = re.compile(
    r"https?://[^\s，。；！？、）]+|www\.[^\s，。；！？、）]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w", re.ASCII
)
_NUMBER = re.compile(r"\d")
_NOT_IN = re.compile("[不没無无未别勿]")
# A capital inside a sentence names something: a city, a product, a person.
_NAME = re.compile(r"(?<![.!?:\n] )(?<!^)\b[A-Z][\w-]+")
_AND = frozenset({"and", "or", "和", "或者"})
# What may come after a symmetric "X and Y".
_COMPARED = frozenset({"区别", "关系", "哪个", "difference"})
_PERSONS = frozenset("我 你 他 她 它 谁 我们 你们 他们 她们 大家 自己 别人".split())  # noqa: SIM905
_WHEN_AND_WHY = frozenset({"为什么", "何时"})
_KNOWING = frozenset("知道 说 问 想 告诉 解释 猜 看 介绍 总结 记得 明白 发现 不 是".split())  # noqa: SIM905
_SLOTS = frozenset({"from", "to", "into"})
_QUESTION = frozenset(
    """
    how what when where who why which can 如何 什么 何时 哪里 谁 为什么 哪些 多少 几 怎办 可以 怎回事 何如
    多久
    """.split()  # noqa: SIM905
)
SENTENCES = {
    "urls": "They name other addresses",
    "code": "They hold other code",
    "numbers": "They hold other numbers",
    "negation": "One denies what the other does not",
    "language": "They name other languages",
    "opposite": "They ask for opposites",
    "names": "They name other people, places or products",
    "words": "They differ in words that are no synonyms",
    "order": "The same words stand in an order that means something else",
}


@dataclass(frozen=True)
class Difference:
    """What tells two prompts apart: a key of SENTENCES, and the words only one or the other has."""

    reason: str
    one: Words
    other: Words

    def line(self) -> str:
        """Return it as a sentence, such as 'They ask for opposites: "ascending" against "descending".'"""
        sides = [", ".join(f'"{word}"' for word in words) or "nothing" for words in (self.one, self.other)]
        return f"{SENTENCES[self.reason]}: {sides[0]} against {sides[1]}."


def disagreement(one: str, other: str) -> str | None:
    """Return what tells two prompts apart (a key of SENTENCES), or None where they ask the same."""
    found = explain(one, other)
    return found.reason if found else None


def explain(one: str, other: str) -> Difference | None:
    """Return why two prompts are two questions, or None where they ask the same."""
    for reason, pattern in (("urls", _URL), ("code", _CODE)):
        left, right = Counter(pattern.findall(one)), Counter(pattern.findall(other))
        if left != right:
            return Difference(reason, tuple((left - right).elements()), tuple((right - left).elements()))
    ours, theirs = clauses_of(one), clauses_of(other)
    first, second = _flat(ours), _flat(theirs)
    only, others = _beyond(first, second), _beyond(second, first)
    if only or others:
        return Difference(_reason(only, others, one, other), only, others)
    if _ordered(ours).isdisjoint(_ordered(theirs)):
        return Difference("order", first, second)
    return None


def _flat(clauses: tuple[Words, ...]) -> Words:
    return tuple(word for clause in clauses for word in clause)


def _beyond(words: Words, others: Words) -> Words:
    """Return the words that the others lack, in their order."""
    lacking = Counter(words) - Counter(others)
    found = []
    for word in words:
        if lacking[word] > 0:
            lacking[word] -= 1
            found.append(word)
    return tuple(found)


def _reason(only: Words, others: Words, one: str, other: str) -> str:
    """Name the kind of the difference: the most telling one where there are several."""
    both = (*only, *others)
    if any(map(_NUMBER.search, both)):
        return "numbers"
    if _denials(only) != _denials(others):
        return "negation"
    if any(word in LANGUAGES for word in both):
        return "language"
    if any(OPPOSITES.get(word, set()) & set(others) for word in only):
        return "opposite"
    names = _names(one) | _names(other)
    return "names" if any(word in names for word in both) else "words"


def _denials(words: Words) -> int:
    return sum(word in NEGATIONS or bool(_NOT_IN.match(word)) for word in words)


def _names(text: str) -> set[str]:
    return {part for name in _NAME.findall(text.strip()) for part in re.findall(r"[^\W\d_]+", name.casefold())}


def _ordered(clauses: tuple[Words, ...]) -> set[Words]:
    """Return the orders of the words that mean the same, each in one form.

    "X and Y" is "Y and X", "to Y from X" is "from X to Y"; of two clauses the one that asks may come last or first.
    """
    said = tuple(_slots(_symmetric(_asking_first(clause))) for clause in clauses)
    orders = {_flat(said)}
    if len(said) == 2 and any(_QUESTION & set(clause) for clause in clauses):
        orders.add(_flat(said[::-1]))
    return orders


def _asking_first(clause: Words) -> Words:
    """Return "照片如何删除" as "如何删除照片", and "订单为什么没发货" as "为什么订单没发货".

    A person before 如何 may do it or have it done to them, and a verb before 为什么 asks something else.
    """
    if len(clause) > 2 and clause[-2] == "如何" and not _PERSONS & set(clause):
        return (*clause[-2:], *clause[:-2])
    if len(clause) > 2 and clause[1] in _WHEN_AND_WHY and clause[0] not in _KNOWING:
        return (clause[1], clause[0], *clause[2:])
    return clause


def _symmetric(clause: Words) -> Words:
    words = list(clause)
    for place in range(1, len(words) - 1):
        last = place + 2 == len(words) or words[place + 2] in _COMPARED or words[max(0, place - 2)] == "between"
        if words[place] in _AND and last and words[place - 1] > words[place + 1]:
            words[place - 1], words[place + 1] = words[place + 1], words[place - 1]
    return tuple(words)


def _slots(clause: Words) -> Words:
    """Return the clause with "from X" before "to Y" where it ends with both."""
    ends = [place for place, word in enumerate(clause) if word in _SLOTS][-2:]
    if len(ends) == 2 and clause[ends[0]] != "from" and clause[ends[1]] == "from":
        return (*clause[: ends[0]], *clause[ends[1] :], *clause[ends[0] : ends[1]])
    return clause
