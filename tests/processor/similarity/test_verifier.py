"""Pairs of prompts in, one question or two out: what looks alike and asks otherwise is never merged."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from processor.similarity.verifier import SENTENCES, disagreement, explain
from processor.similarity.wording import numeral_of, numeral_value

PAIRS = Path(__file__).parent / "verifier_pairs"


def pairs(name: str) -> list[tuple[str, str]]:
    """Return the pairs of prompts in one of the files."""
    found = []
    for line in (PAIRS / name).read_text("utf-8").splitlines():
        one, other = line.split("\t")
        found.append((one, other))
    return found


@pytest.mark.parametrize("name", sorted(file.name for file in PAIRS.glob("*-different*.tsv")))
def test_prompts_that_ask_otherwise_are_told_apart_with_a_reason(name: str) -> None:
    merged = []
    for one, other in pairs(name):
        found, back = explain(one, other), explain(other, one)
        if found is None or back is None:
            merged.append((one, other))
            continue
        assert found.reason in SENTENCES and found.line().startswith(SENTENCES[found.reason])
        assert (back.one, back.other) == (found.other, found.one)
    assert merged == []


@pytest.mark.parametrize("name", sorted(file.name for file in PAIRS.glob("*-same*.tsv")))
def test_a_prompt_is_itself_and_paraphrases_agree_both_ways(name: str) -> None:
    for one, other in pairs(name):
        assert disagreement(one, one) is None and disagreement(other, other) is None
        assert disagreement(one, other) == disagreement(other, one)


@pytest.mark.parametrize(
    ("one", "other", "line"),
    [
        ("升序排列这个列表", "降序排列这个列表", 'They ask for opposites: "升序" against "降序".'),
        ("翻译成英文", "翻译成法语", 'They name other languages: "英文" against "法文".'),
        ("三天后到", "5天后到", 'They hold other numbers: "3" against "5".'),
        ("为什么能退货", "为什么不能退货", 'One denies what the other does not: "可以" against "不能".'),
        ("Meet Ann", "Meet Bob", 'They name other people, places or products: "ann" against "bob".'),
        ("Where is it?", "When is it?", 'They differ in words that are no synonyms: "where" against "when".'),
        (
            "Paris to Rome", "Rome to Paris",
            "The same words stand in an order that means something else: "
            '"paris", "to", "rome" against "rome", "to", "paris".',
        ),
    ],
)  # fmt: skip
def test_the_reason_can_be_read(one: str, other: str, line: str) -> None:
    found = explain(one, other)
    assert found is not None and found.line() == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("三", 3), ("十", 10), ("二十三", 23), ("一百零五", 105), ("一万零五", 10005), ("二〇二六", 2026),
        ("两千", 2000), ("三亿", 300_000_000),
    ],
)  # fmt: skip
def test_chinese_numerals_are_numbers(text: str, value: int) -> None:
    assert numeral_value(text) == value


def test_numerals_are_written_as_they_are_read() -> None:
    assert [numeral_value(numeral_of(number)) for number in range(1, 100)] == list(range(1, 100))


@pytest.mark.parametrize("unit", ["a", "a.", "f(", "a@", "`", "how much is ", "从", "我怎么", "the x, "])
def test_a_long_prompt_is_read_in_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.monotonic()
    assert explain(text, text + "7") is not None
    assert time.monotonic() - started < 5
