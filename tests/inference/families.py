"""Tokenizers for the chat templates that TRL ships, and Mistral's: each with the control tokens its template writes."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.trainer import tiny

# The template of Mistral-7B-Instruct-v0.1.
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
# How the families spell their control tokens.
_SPELLED = re.compile(
    r"<\|[^|<>\s]+\|>|<｜[^｜<>]+｜>|<\|[a-z_]+>|<[a-z_]+\|>|<[A-Z_]+>|</?[a-z]+(?:_[a-z]+)+>|</?think>|\[gMASK\]|<sop>|\[/?[A-Z_]+\]"
)
# What a model writes itself: added tokens that are not special.
_MARKUP = re.compile(r"</?(think|tool_call|tool_response|tools|arg_key|arg_value)>")
TEMPLATES = {
    **{
        file.name.removesuffix(".jinja"): file.read_text("utf-8")
        for file in sorted((files("trl") / "chat_templates").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".jinja")
    },
    "mistral": MISTRAL,
}
# Families whose tokenizer comes from SentencePiece: spaces become ▁, and one stands before the first word.
_PIECES = re.compile(r"gemma|mistral|llava|phi3")
_TEXT = [" ".join(tiny.WORDS), "Where is my parcel?<| a|> b<|im < > [ ] / im end start of turn user assistant"] * 20


def spelled(family: str) -> list[str]:
    """Return the control tokens that a family's template writes, and those that begin and end its texts."""
    found = {match[0] for match in _SPELLED.finditer(TEMPLATES[family])}
    return sorted(found | {"<s>", "</s>", "<pad>"})


@cache
def tokenizer(family: str, own: bool = True) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained here that knows the family's control tokens; `own` puts them into its vocabulary."""
    names = spelled(family)
    core = Tokenizer(models.BPE(byte_fallback=False))
    pieces = bool(_PIECES.match(family))
    if pieces:
        core.normalizer = normalizers.NFC()
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        core.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
    alphabet = [*pre_tokenizers.ByteLevel.alphabet(), *(chr(i) for i in range(32, 127)), "\n", "▁", "｜"]
    core.train_from_iterator(
        _TEXT,
        trainers.BpeTrainer(
            vocab_size=700, initial_alphabet=alphabet, show_progress=False,
            special_tokens=[name for name in names if not _MARKUP.fullmatch(name)] if own else [],
        ),
    )  # fmt: skip
    for name in names:
        like = {"rstrip": family.startswith("phi3") and name.startswith("<|"), "normalized": False}
        if _MARKUP.fullmatch(name):
            core.add_tokens([AddedToken(name, special=False, **like)])
        else:
            core.add_special_tokens([AddedToken(name, special=True, **like)])
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    made.chat_template = TEMPLATES[family]
    return made
