"""Ollama's Modelfile: a model's chat template in; the same template in Ollama's language, and where a reply stops, out.

Ollama does not run a model's own template. What is written here is found by rendering: what stands before and after a
system, a user and an assistant message. It is compared with the model's own template on conversations of several
shapes, and refused where the two differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError
from inference.tokens import Encoder

ROLES = ("system", "user", "assistant")
# The shapes of conversations on which the two templates are compared.
SHAPES = (
    ("user",), ("system", "user"), ("user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)  # fmt: skip


@dataclass(frozen=True)
class Pieces:
    """What stands round a message of each role, before a conversation without a system message, and before a reply."""

    around: Mapping[str, tuple[str, str]]
    opening: str
    reply: str

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the prompt for a reply to these messages."""
        opening = "" if any(message["role"] == "system" for message in messages) else self.opening
        said = (self.around[m["role"]][0] + m["content"] + self.around[m["role"]][1] for m in messages)
        return opening + "".join(said) + self.reply

    def template(self) -> str:
        """Return the template in Ollama's language, which is Go's."""
        cases = [
            f'if eq .Role "{role}" }}}}{self.around[role][0]}{{{{ .Content }}}}{self.around[role][1]}' for role in ROLES
        ]
        roles = "{{ " + "{{ else ".join(cases) + "{{ end }}"
        opening = f"{{{{ if not .System }}}}{self.opening}{{{{ end }}}}" if self.opening else ""
        return f"{opening}{{{{ range .Messages }}}}{roles}{{{{ end }}}}{self.reply}"


def modelfile(encoder: Encoder, weights: str) -> str:
    """Return the Modelfile for a GGUF file that lies beside it. Raises ThumbwheelError `no_modelfile`."""
    pieces = pieces_of(encoder.tokenizer)
    stop = encoder.tokenizer.convert_ids_to_tokens(encoder.stop_id)
    return f'FROM ./{weights}\nTEMPLATE """{pieces.template()}"""\nPARAMETER stop "{stop}"\n'


def pieces_of(tokenizer: Any) -> Pieces:
    """Return a tokenizer's chat template in pieces; raises ThumbwheelError `no_modelfile` where none render alike."""
    try:
        pieces = _taken_apart(tokenizer)
        same = all(pieces.render(talk) == _prompt(tokenizer, talk) for talk in map(_talk, SHAPES))
    except Exception as error:  # A chat template may raise whatever it likes.
        raise _refusal() from error
    parts = [pieces.opening, pieces.reply, *(part for pair in pieces.around.values() for part in pair)]
    if not same or any("{{" in part or '"""' in part for part in parts):
        raise _refusal()
    return pieces


def _taken_apart(tokenizer: Any) -> Pieces:
    """Cut two conversations at their words: what ends a message and what begins the next stand in one gap."""
    plain = _talk(("user", "assistant", "user"))
    head, answered, asked, tail = _gaps(_prompt(tokenizer, plain), plain)
    told = _talk(("system", "user"))
    system, after_system, _ = _gaps(_prompt(tokenizer, told), told)
    begins = _same_beginning([text[::-1] for text in (head, asked, after_system)])[::-1]
    ends = _same_beginning([answered, tail])
    around = {
        "system": (system, after_system.removesuffix(begins)),
        "user": (begins, ends),
        "assistant": (answered.removeprefix(ends), asked.removesuffix(begins)),
    }
    return Pieces(around, head.removesuffix(begins), tail.removeprefix(ends))


def _same_beginning(texts: Sequence[str]) -> str:
    length = 0
    while all(len(text) > length and text[length] == texts[0][length] for text in texts):
        length += 1
    return texts[0][:length]


def _gaps(text: str, talk: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what stands before the first message, between each two, and after the last."""
    gaps = []
    for message in talk:
        before, found, text = text.partition(message["content"])
        if not found:
            raise ValueError("the template leaves a message out")
        gaps.append(before)
    return [*gaps, text]


def _talk(roles: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": f"word{place}x"} for place, role in enumerate(roles)]


def _prompt(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
    text = str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))
    # A begin token that the server adds by itself would stand there twice.
    added = tokenizer.bos_token is not None and tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    return text.removeprefix(tokenizer.bos_token) if added else text


def _refusal() -> ThumbwheelError:
    return ThumbwheelError(
        "no_modelfile", "The model's chat template cannot be said in a Modelfile.",
        "Take --format gguf: llama.cpp's server runs the template inside that file.", "format",
    )  # fmt: skip
