"""Prompt and reply as token ids, the same way for every trainer and guard.

A reply ends with one stop token, so that the model learns to stop, whatever the chat template writes after an
assistant turn: SmolLM2 and Qwen close it with `<|im_end|>` and a newline, GLM writes nothing (its model stops by
opening the next turn). A reply that was cut at the token limit has no end, so it gets no stop token: the model must
not learn to stop in the middle of a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError
from inference.chat_template import ChatTemplate
from inference.messages import Messages


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with the tokens its model stops at. `stop_ids` holds every one, `stop_id` the one to train."""

    tokenizer: Any
    template: ChatTemplate
    stop_ids: frozenset[int]
    stop_id: int
    pad_id: int

    def prompt(self, messages: Messages) -> list[int]:
        """Return the ids of the prompt up to where the reply begins; raises TemplateRefusal."""
        return self.template.prompt(messages)

    def pair(self, messages: Messages, reply: Messages, cut: bool = False) -> tuple[list[int], list[int]]:
        """Return (prompt ids, reply ids); `cut` leaves out the stop token.

        Where a template renders the prompt differently once a reply follows, the reply begins where the two part.
        Raises TemplateRefusal.
        """
        prompt = self.prompt(messages)
        whole = self.template.whole(messages, reply)
        same = 0
        for left, right in zip(prompt, whole, strict=False):
            if left != right:
                break
            same += 1
        return prompt[:same], self._end(whole[same:], cut)

    def _end(self, reply: list[int], cut: bool) -> list[int]:
        last = next((i for i in range(len(reply) - 1, -1, -1) if reply[i] in self.stop_ids), None)
        body = reply if last is None else reply[:last]
        if cut:
            return body
        return [*body, self.stop_id if last is None else reply[last]]


def make_encoder(tokenizer: Any, model: Any, kwargs: Mapping[str, Any] | None = None) -> Encoder:
    """Return the encoder of a model, whose tokenizer then pads with a token that ends nothing.

    `kwargs` are the template's `chat_template_kwargs`. TRL mirrors that pad token onto the model. Raises
    ThumbwheelError `no_stop_token` when nothing would end a reply.
    """
    stops: list[int] = []
    for source in (
        tokenizer.eos_token_id,
        getattr(model.generation_config, "eos_token_id", None),
        model.config.eos_token_id,
    ):
        stops.extend(source if isinstance(source, list) else [source] if source is not None else [])
    if not stops:
        raise ThumbwheelError("no_stop_token", "The base model has no end token.", "Set eos_token_id in its config.")
    known = frozenset(stops)
    pad_id = _pad_id(tokenizer, known)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_id)
    template = ChatTemplate(tokenizer, kwargs)
    first = _template_stop(template, known)
    return Encoder(tokenizer, template, known, stops[0] if first is None else first, pad_id)


def _template_stop(template: ChatTemplate, stops: frozenset[int]) -> int | None:
    """Return the stop token the template itself writes after an assistant turn, or at the next user turn."""
    asked: Messages = [{"role": "user", "content": "a"}]
    turn: Messages = [{"role": "assistant", "content": "b"}]
    opening = template.prompt(asked)
    for said in (turn, [*turn, *asked]):
        found = next((token for token in template.whole(asked, said)[len(opening) :] if token in stops), None)
        if found is not None:
            return found
    return None


def _pad_id(tokenizer: Any, stops: frozenset[int]) -> int:
    """Return a padding token that ends nothing; any will do, since masks and not ids say what is padding."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id not in stops:
        return int(tokenizer.pad_token_id)
    special = sorted(set(tokenizer.all_special_ids) - stops)
    return special[0] if special else next(i for i in range(len(tokenizer)) if i not in stops)
