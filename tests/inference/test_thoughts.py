"""Thinking models: switched on and off by the template's own switch, and no letter of a thought is said."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest

from inference.chat_template import ChatTemplate
from inference.replies import Sampling
from inference.thoughts import CLOSE, OPEN, decoded, hidden_marks, opens_thought, spoken, template_kwargs
from tests.inference import families
from tests.trainer import tiny

ASKED = [{"role": "user", "content": "where is my order"}]


@pytest.mark.parametrize(
    ("text", "opened", "said"),
    [
        ("it will arrive", False, "it will arrive"),
        ("<think>\nhm\n</think>\n\nit will arrive", False, "it will arrive"),
        ("<think>hm", False, ""),
        ("hm\n</think>\n\nit will arrive", True, "it will arrive"),
        ("hm, a long one", True, ""),
        ("hm</think>it will arrive", False, "it will arrive"),
        ("first <think>hm</think> then", False, "first  then"),
        ("<think>a</think><think>b</think>it", False, "it"),
        ("a </thin b < c <th", False, "a </thin b < c <th"),
        ("<think></think>", False, ""),
        ("", True, ""),
    ],
)
def test_a_reply_is_what_is_left_without_its_thoughts(text: str, opened: bool, said: str) -> None:
    assert spoken(text, opened=opened) == said


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ("<think>\nsecret\n</think>\n\nit will <b> arrive < today", False), ("secret</think>it will arrive", True),
        ("  <think>secret</think> it <think>secret</think> is </think> late <", False), ("secret, secret", True),
        ("it will arrive <think>secret", False), ("secret\n</think>\n\n<think>secret</think> it is </", True),
    ],
)  # fmt: skip
def test_a_stream_shows_no_letter_of_a_thought_and_takes_nothing_back(text: str, opened: bool) -> None:
    shown = [spoken(so_far, opened=opened, streamed=True, ended=False) for so_far in accumulate(text)]
    shown.append(spoken(text, opened=opened, streamed=True))
    for before, after in pairwise(shown):
        assert after.startswith(before)
    assert not any("s" in piece.replace("is", "") or OPEN in piece or CLOSE in piece for piece in shown)
    assert shown[-1].endswith(text[-1:] if "late" in text or "is </" in text else "")


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_think", "glm4moe"])
def test_the_switch_changes_the_prompt_as_the_family_writes_it(family: str) -> None:
    tokenizer = families.tokenizer(family)
    prompts = {choice: ChatTemplate(tokenizer, template_kwargs(choice)).prompt(ASKED) for choice in (None, True, False)}
    for choice, prompt in prompts.items():
        wanted = tokenizer.apply_chat_template(
            ASKED, add_generation_prompt=True, **({} if choice is None else {"enable_thinking": choice})
        )["input_ids"]
        assert prompt == wanted
    assert prompts[True] != prompts[False]


def test_a_prompt_that_opens_a_thought_is_known_and_a_users_word_opens_none() -> None:
    tokenizer = families.tokenizer("qwen3_5_think")
    on, off = (ChatTemplate(tokenizer, template_kwargs(choice)).prompt(ASKED) for choice in (True, False))
    assert opens_thought(tokenizer, on) and not opens_thought(tokenizer, off)
    plain = ChatTemplate(families.tokenizer("qwen3"))
    assert not opens_thought(families.tokenizer("qwen3"), plain.prompt([{"role": "user", "content": OPEN}]))


def test_marks_that_are_special_tokens_are_seen_all_the_same() -> None:
    tokenizer = tiny.make_tokenizer("qwen")
    assert hidden_marks(tokenizer) == {}
    tokenizer.add_special_tokens({"additional_special_tokens": [OPEN, CLOSE]})
    marks = hidden_marks(tokenizer)
    ids = {text: tokenizer(text)["input_ids"] for text in (f"{OPEN}the parcel{CLOSE}is late", f"{OPEN}the", "is late")}
    assert tokenizer.decode(ids[f"{OPEN}the"], skip_special_tokens=True) == "the"
    assert [spoken(decoded(tokenizer, tokens, marks)) for tokens in ids.values()] == ["is late", "", "is late"]


def test_thinking_is_among_the_settings_that_both_sides_of_a_test_share() -> None:
    assert "thinking" not in Sampling().recorded()
    assert Sampling(thinking=False).recorded()["thinking"] is False
