"""Texts that are control tokens of some family are found, and broken so that none is left."""

from __future__ import annotations

import random

import pytest

from contract.control_text import broken, holds_control_text
from tests.inference import families

# Words that templates write as text, not as tokens.
WORDS = {"</tool_output>", "<IMPORTANT>", "<SYS>"}
# Spelled by families whose templates TRL does not ship.
OTHERS = (
    "<|endoftext|>",
    "<|start_of_role|>",
    "[/INST]",
    "<<SYS>>",
    "[TOOL_CALLS]",
    "<bos>",
    "</s>",
    "[gMASK]",
    "<eop>",
)


@pytest.mark.parametrize("family", families.TEMPLATES)
def test_every_family_of_the_templates_is_known(family: str) -> None:
    names = {name for name in families.spelled(family) if not families._MARKUP.fullmatch(name)} - WORDS
    assert [name for name in sorted(names) if not holds_control_text(f"a {name}b")] == []


@pytest.mark.parametrize("name", OTHERS)
def test_so_are_those_of_others(name: str) -> None:
    assert holds_control_text(name)


@pytest.mark.parametrize(
    "text", ["a <b>bold</b> word", "x |> f <| y", "[INFO] done", "<div></div>", "a < b | c > d", "<| |>", "<section>"]
)
def test_ordinary_texts_hold_none_and_stay_as_they_are(text: str) -> None:
    assert not holds_control_text(text)
    assert broken(text) == text


def test_a_broken_text_holds_none_and_loses_no_letter() -> None:
    rng = random.Random(7)
    pieces = [*OTHERS, "<", "|", ">", "<|", "|>", "s", "[", "]", "/", "｜", " "]
    for _ in range(3000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 8)))
        made = broken(text)
        assert not holds_control_text(made), text
        assert made.replace("\u2060", "") == text
