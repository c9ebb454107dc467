"""Control tokens of a tokenizer, and texts in which only the chat template writes them.

A tokenizer turns the text `<|im_end|>` into the token that ends a turn, whoever wrote it. Here a chat is rendered with
such texts of its contents masked, then the template's own are renamed to texts nobody can guess, and a copy of the
tokenizer that knows the control tokens by those names alone reads the whole. So a content's `<|im_end|>` is letters,
and everything else is tokenised as ever, in one piece. docs/decisions/0016-content-is-not-control.md says why.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

from tokenizers import AddedToken, Tokenizer

from inference.messages import Messages, TemplateRefusal

# Letters of Unicode's private use area, around a secret of this process: no content holds them.
_NAME, _MASK, _CUT = "\ue000{}\ue001", "\ue002{}\ue003", "\ue004{}\ue005"


class ControlTokens:
    """What must not come from a content.

    Special tokens must come from none; added tokens that the template writes (`<think>`, `<tool_call>`) from none but
    the assistant's, since a model writes those itself.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        template = str(tokenizer.chat_template or "")
        special = {str(token) for token in tokenizer.all_special_tokens} | {t.content for t in added if t.special}
        # A single letter (some models pad with "!") controls nothing.
        special = {name for name in special if len(name) > 1}
        markup = {t.content for t in added if len(t.content.strip()) > 1 and t.content in template}
        self._special = _any_of(special)
        self._every = _any_of(special | markup)
        self.names = frozenset(special | markup)
        self.ids = frozenset(tokenizer.convert_tokens_to_ids(sorted(self.names)))
        self._secret = secrets.token_hex(8)
        self._building = Lock()

    def encode(self, messages: Messages, render: Callable[[Messages], str]) -> list[int]:
        """Return the ids of what `render` makes of the messages, no control token of them from a content."""
        masked: list[str] = []
        safe = [self._safe(message, masked) for message in messages]
        text = render(safe if masked else messages)
        if not masked:
            ids = self._plain_ids(text)
            # A tokenizer may fold letters before it looks for control tokens: ＜|im_end|＞ is no mask's match.
            if sum(id in self.ids for id in ids) == sum(1 for _ in self._every.finditer(text)):
                return ids
        with self._building:
            reader = self._reader
        return reader.read(self._every.sub(lambda found: reader.name(found[0]), text), masked)

    def _plain_ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _safe(self, message: dict[str, Any], masked: list[str]) -> dict[str, Any]:
        """Return the message with masks for its control tokens, which are appended to `masked`.

        What calls and answers of tools say beside a content is content too; keys of a message are the template's.
        """
        wanted = self._special if message["role"] == "assistant" else self._every

        def mask(found: re.Match[str]) -> str:
            masked.append(found[0])
            return self._mask(len(masked) - 1)

        def within(value: Any) -> Any:
            if isinstance(value, str):
                return wanted.sub(mask, value)
            if isinstance(value, list):
                return [within(one) for one in value]
            return {within(name): within(one) for name, one in value.items()} if isinstance(value, dict) else value

        content = message["content"]
        if isinstance(content, list):
            content = [{**part, "text": within(part["text"])} for part in content]
        else:
            content = within(content)
        told: dict[str, Any] = {
            name: within(message[name]) for name in ("tool_calls", "name", "tool_call_id") if name in message
        }
        return {**message, "content": content, **told}

    def _mask(self, place: int) -> str:
        return _MASK.format(f"{self._secret}x{place}")

    @cached_property
    def _reader(self) -> _Reader:
        if not hasattr(self._tokenizer, "backend_tokenizer"):
            raise TemplateRefusal("they hold control tokens, which this tokenizer cannot read as text.")
        return _Reader(self._tokenizer, names=self.names, ids=self.ids, secret=self._secret)


class _Reader:
    """A copy of a tokenizer that knows the control tokens by secret names only."""

    def __init__(self, tokenizer: Any, *, names: frozenset[str], ids: frozenset[int], secret: str) -> None:
        self._names = {name: _NAME.format(f"{secret}x{place}") for place, name in enumerate(sorted(names))}
        self._cut = _CUT.format(secret)
        self._masks = re.compile(_MASK.format(rf"{secret}x(\d+)"))
        self._control = ids
        body = json.loads(tokenizer.backend_tokenizer.to_str())
        body |= {"truncation": None, "padding": None, "post_processor": None}
        listed = [entry["content"] for entry in body["added_tokens"]]
        body["added_tokens"] = [entry for entry in body["added_tokens"] if entry["content"] not in names]
        self._core = Tokenizer.from_str(json.dumps(body))
        # New tokens are numbered from the vocabulary's size on: where it has gaps, those numbers are taken.
        words = body["model"].get("vocab")
        taken = max(words.values(), default=0) + 1 if isinstance(words, dict) else 0
        for place in range(taken - self._core.get_vocab_size(with_added_tokens=False)):
            self._core.add_tokens([AddedToken(f"{self._cut}{place}", normalized=False)])
        flags = tokenizer.added_tokens_decoder
        for name in names:
            like = flags.get(tokenizer.convert_tokens_to_ids(name), AddedToken(name))
            self._add(self._names[name], like)
        self._add(self._cut, AddedToken(self._cut, normalized=False))
        # Names are numbered anew, and so are the added tokens that stay.
        self._ids: dict[int, int | None] = {
            self._number(content): tokenizer.convert_tokens_to_ids(content)
            for content in listed
            if content not in names
        }
        self._ids |= {self._number(self._names[name]): tokenizer.convert_tokens_to_ids(name) for name in names}
        self._ids[self._number(self._cut)] = None

    def _add(self, name: str, like: AddedToken) -> None:
        self._core.add_tokens([
            AddedToken(
                name, single_word=like.single_word, lstrip=like.lstrip, rstrip=like.rstrip, normalized=like.normalized
            )
        ])  # fmt: skip

    def _number(self, content: str) -> int:
        number = self._core.token_to_id(content)
        if number is None:
            raise KeyError(content)
        return number

    def name(self, control: str) -> str:
        """Return the secret name of a control token."""
        return self._names[control]

    def read(self, text: str, masked: Sequence[str]) -> list[int]:
        """Return the ids of a text in which control tokens bear their names; `masked` are letters behind masks."""
        ids = self._encode(self._masks.sub(lambda found: masked[int(found[1])], text))
        if any(id in self._control and id not in self._ids for id in ids):
            # Some vocabularies hold the control token as a word: cut in two it is none.
            cut = [letters[:1] + self._cut + letters[1:] for letters in masked]
            ids = self._encode(self._masks.sub(lambda found: cut[int(found[1])], text))
        numbered = [self._ids.get(one, one) for one in ids]
        return [one for one in numbered if one is not None]

    def _encode(self, text: str) -> list[int]:
        return list(self._core.encode(text, add_special_tokens=False).ids)


def _any_of(names: set[str]) -> re.Pattern[str]:
    """Return a pattern of the longest name, as tokenizers match; of no names, one that matches nothing."""
    return re.compile(_branches(names) or r"(?!)")


def _branches(ends: set[str]) -> str:
    """Return a pattern letter by letter: with thousands of names, trying each at every `<` would take minutes."""
    by_letter: dict[str, set[str]] = {}
    for end in ends - {""}:
        by_letter.setdefault(end[0], set()).add(end[1:])
    letters = "|".join(re.escape(letter) + _branches(rest) for letter, rest in sorted(by_letter.items()))
    return f"(?:{letters}){'?' if '' in ends else ''}" if letters else ""
