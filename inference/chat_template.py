"""A model's chat template: prompts and whole conversations as token ids, for the gateway and the trainer alike.

In: messages as they were sent or stored. Out: ids. The form that the family's template takes is looked for once per
sequence of roles (`inference/messages.py`), on words of ours, so that what a message says does not decide it. A
template may also drop a message without a word: a form counts only where every message is in what it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from inference.control_tokens import ControlTokens
from inference.messages import Messages, TemplateRefusal, forms, plain, with_parsed_calls

# Sequences of roles whose form is remembered; one takes some milliseconds to find.
_REMEMBERED = 4096


class Shape(NamedTuple):
    """What of a message decides the form its template takes: its role, how many tools it calls, whether it has text."""

    role: str
    calls: int = 0
    has_text: bool = True


class ChatTemplate:
    """The chat template of a tokenizer."""

    def __init__(self, tokenizer: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        """Use a tokenizer's template; `kwargs` are its `chat_template_kwargs`."""
        self._tokenizer = tokenizer
        self.kwargs = dict(kwargs or {})
        self._control = ControlTokens(tokenizer)
        self._form = lru_cache(_REMEMBERED)(self._find_form)

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids up to where the reply begins; raises TemplateRefusal."""
        return self._encode(self._formed(messages), opened=True)

    def whole(self, messages: Sequence[Mapping[str, Any]], reply: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of a prompt with its reply; raises TemplateRefusal."""
        said: Messages = plain(reply)
        prompt = self._formed(messages)
        if prompt and isinstance(prompt[0]["content"], list):
            said = [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in said]
        return self._encode([*prompt, *said], opened=False)

    def _formed(self, messages: Sequence[Mapping[str, Any]]) -> Messages:
        ready = with_parsed_calls(plain(messages))
        place = self._form(tuple(_shape(message) for message in ready))
        return next(islice(forms(ready), place, None))

    def _find_form(self, shapes: tuple[Shape, ...]) -> int:
        probe: Messages = []
        words: list[tuple[str, str]] = []
        for place, shape in enumerate(shapes):
            message, told = _probe(place, shape)
            probe.append(message)
            words += [(shape.role, word) for word in told]
        refusals = []
        for place, form in enumerate(forms(probe)):
            try:
                text = self._render(form, opened=True)
            except TemplateRefusal as refusal:
                refusals.append(refusal)
                continue
            lost = [role for role, word in words if word not in text]
            if not lost:
                return place
            refusals.append(TemplateRefusal(f"it leaves out what the {lost[0]} says."))
        raise refusals[0]

    def _encode(self, messages: Messages, opened: bool) -> list[int]:
        return self._control.encode(messages, lambda ready: self._render(ready, opened))

    def _render(self, messages: Messages, opened: bool) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=opened, **self.kwargs
                )
            )
        except Exception as error:
            raise TemplateRefusal(str(error)) from error


def _shape(message: Mapping[str, Any]) -> Shape:
    calls = len(message.get("tool_calls", ()))
    return Shape(message["role"], calls, not calls or bool(message["content"].strip()))


def _probe(place: int, shape: Shape) -> tuple[dict[str, Any], list[str]]:
    """Return a message of that shape in words of ours, and the words that a template must write."""
    text = f"word{place}x" if shape.has_text else ""
    message: dict[str, Any] = {"role": shape.role, "content": text}
    words = [text] if text else []
    if shape.role == "tool":
        # Mistral's templates take ids of nine letters and digits only.
        message |= {"tool_call_id": "call00000", "name": "tool"}
    if shape.calls:
        names = [f"call{place}x{number}x" for number in range(shape.calls)]
        message["tool_calls"] = [
            {"type": "function", "id": "call00000", "function": {"name": name, "arguments": {"of": f"{name}y"}}}
            for name in names
        ]  # fmt: skip
        words += [f"{name}y" for name in names] + names
    return message, words
