"""Replies from the model in hand, many rows at once through the gateway's loop: a row that is done costs no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from inference.batch import BASE, Batch, Model, Row
from inference.messages import Messages
from inference.mixing import Mixing
from inference.prefix import Prefix, has_virtual_tokens, prefix_of
from inference.replies import Sampling as RowSampling
from inference.sampling import RowRandom
from inference.tokens import Encoder

ROWS = 32


@dataclass(frozen=True)
class Reply:
    """One reply: its text, its token ids without the stop token, and whether it ended by itself."""

    text: str
    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True)
class Sampling:
    """How replies are drawn; the seed, plus the prompt's number, makes two models' draws comparable."""

    max_tokens: int = 256
    temperature: float = 0.8
    top_p: float = 0.95
    seed: int = 20


def adapter_off(model: Any, off: bool) -> AbstractContextManager[Any]:
    """Return a context in which a PeftModel is its base when `off`; a plain model is left alone."""
    return model.disable_adapter() if off and hasattr(model, "disable_adapter") else nullcontext()


def generate(
    model: Any, encoder: Encoder, prompts: Sequence[Messages], sampling: Sampling, rows: int = ROWS, base: bool = False
) -> list[Reply]:
    """Return one reply per prompt, in order; `base` turns the adapter off."""
    replies: list[Reply] = []
    was_training = model.training
    model.eval()
    writer, prefixes = model, dict[str, Prefix]()
    if has_virtual_tokens(model):
        writer, prefixes = model.get_base_model(), {} if base else {BASE: prefix_of(model)}
    try:
        with torch.inference_mode(), adapter_off(model, base):
            for begin in range(0, len(prompts), rows):
                replies.extend(_batch(writer, prefixes, encoder, prompts[begin : begin + rows], sampling, begin))
    finally:
        model.train(was_training)
    return replies


def _batch(
    model: Any, prefixes: Mapping[str, Prefix], encoder: Encoder, prompts: Sequence[Messages], sampling: Sampling,
    first: int,
) -> list[Reply]:  # fmt: skip
    settings = RowSampling(sampling.temperature, sampling.top_p, sampling.max_tokens)
    rows = [
        Row(encoder.prompt(prompt), BASE, settings, RowRandom(sampling.seed + first + i))
        for i, prompt in enumerate(prompts)
    ]
    device = next(model.parameters()).device
    # The adapter in hand is on or off for the whole model: there is nothing to mix.
    batch = Batch(Model(model, encoder.tokenizer, frozenset(encoder.stop_ids), Mixing(), device, prefixes))
    batch.join(rows)
    while batch.rows:
        batch.step()
    return [Reply(row.text.strip(), tuple(row.tokens), row.finish_reason == "stop") for row in rows]
