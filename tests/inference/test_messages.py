"""Messages of every family's chat template: every word of them arrives, whatever roles the template refuses."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import ThumbwheelError
from inference.chat_template import ChatTemplate
from inference.messages import TemplateRefusal, folded, joined, plain
from tests.inference import families
from tests.trainer import tiny

ROLES = {"s": "system", "d": "developer", "u": "user", "a": "assistant"}
# What products send: a system message or OpenAI's developer message, before, between and after; two turns in a row.
SHAPES = ("u", "su", "du", "sdu", "uu", "suu", "uau", "suau", "uasu", "uuaau", "us", "s", "sd", "uausu", "suaduu")


def chat(shape: str) -> list[dict[str, Any]]:
    return [{"role": ROLES[letter], "content": f"parcel {place} late"} for place, letter in enumerate(shape)]


@pytest.mark.parametrize("family", families.TEMPLATES)
def test_every_word_reaches_the_prompt_in_its_order(family: str) -> None:
    tokenizer = families.tokenizer(family)
    template = ChatTemplate(tokenizer)
    for shape in SHAPES:
        text = tokenizer.decode(template.prompt(chat(shape)))
        places = [text.find(f"parcel {place} late") for place in range(len(shape))]
        assert min(places) >= 0, (shape, text)
        said = [place for place, letter in zip(places, shape, strict=True) if letter in "ua"]
        assert said == sorted(said), (shape, text)


@pytest.mark.parametrize("family", families.TEMPLATES)
def test_what_the_template_takes_is_tokenised_as_ever(family: str) -> None:
    tokenizer = families.tokenizer(family)
    template = ChatTemplate(tokenizer)
    said = [{"role": "assistant", "content": "it will arrive on monday, 谢谢 🙂"}]
    for shape in ("u", "uau", "su"):
        messages = [{**one, "content": f"  {one['content']} <b> | ［ 您好 \n\n"} for one in chat(shape)]
        try:
            wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
            whole = tokenizer.apply_chat_template([*messages, *said])["input_ids"]
        except Exception:  # noqa: BLE001  (the template refuses it; the other test says what is made of it)
            continue
        if "您好" not in tokenizer.decode(wanted) and not families._PIECES.match(family):
            continue  # A vision model's template, which takes texts as parts only.
        assert template.prompt(messages) == wanted
        assert template.whole(messages, said) == whole


def test_a_system_text_moves_into_the_user_turn_where_the_family_knows_none() -> None:
    tokenizer = families.tokenizer("gemma")
    asked = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}]
    wanted = [{"role": "user", "content": "Be brief.\n\nWhere is it?"}]
    assert (
        ChatTemplate(tokenizer).prompt(asked)
        == tokenizer.apply_chat_template(wanted, add_generation_prompt=True)["input_ids"]
    )


def test_two_user_turns_are_one_where_the_family_wants_them_to_alternate() -> None:
    tokenizer = families.tokenizer("mistral")
    asked = [*tiny.user("Where is it?"), *tiny.user("It is late.")]
    wanted = tiny.user("Where is it?\n\nIt is late.")
    assert ChatTemplate(tokenizer).prompt(asked) == tokenizer.apply_chat_template(wanted)["input_ids"]


def test_what_no_form_can_say_is_refused_with_the_templates_own_words() -> None:
    template = ChatTemplate(families.tokenizer("gemma"))
    with pytest.raises(TemplateRefusal, match="must alternate") as refused:
        template.prompt([*tiny.assistant("Hello."), *tiny.user("Where is it?")])
    assert (refused.value.code, refused.value.field) == ("invalid_messages", "messages")


def test_a_message_that_the_template_leaves_out_is_a_refusal() -> None:
    tool = {"role": "tool", "content": "12 degrees"}
    with pytest.raises(TemplateRefusal, match="leaves out what the tool says"):
        ChatTemplate(families.tokenizer("phi3")).prompt([*tiny.user("Weather?"), *tiny.assistant("a"), tool])


def test_messages_become_plain_one_way() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    given = [
        {"role": "developer", "content": parts, "name": "x"}, {"role": "function", "content": None},
        {"role": "user", "content": ""},
    ]  # fmt: skip
    made = plain(given)
    assert made == [
        {"role": "system", "content": "one\ntwo"}, {"role": "tool", "content": ""}, {"role": "user", "content": ""},
    ]  # fmt: skip
    assert plain(made) == made
    with pytest.raises(ThumbwheelError) as refused:
        plain([*tiny.user("hi"), {"role": "user", "content": [{"type": "image_url"}]}])
    assert (refused.value.code, refused.value.field) == ("unsupported_content", "messages[1].content")


def test_forms_keep_the_order_and_leave_empty_texts_out() -> None:
    messages = chat("ssuasu")
    assert [one["role"] for one in folded(messages, keep_first=True)] == ["system", "user", "assistant", "user"]
    assert [one["role"] for one in folded(messages, keep_first=False)] == ["user", "assistant", "user"]
    assert folded(messages, keep_first=False)[0]["content"] == "parcel 0 late\n\nparcel 1 late\n\nparcel 2 late"
    assert joined([*tiny.user(" "), *tiny.user("hi")]) == tiny.user("hi")
    answers = [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]
    assert joined(answers) == answers
