"""The rows being written at once: one key-value cache, one token for every row per step.

Rows join and leave between steps. A row that joins is padded on the left to the others' length; positions are kept
per row, so padding changes nothing. The adapter is chosen per row: a LoRA by mixing.py, virtual tokens as the columns
that the row's cache begins with (prefix.py).
Only the engine's thread calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from inference.mixing import Mixing
from inference.prefix import Prefix, beginning
from inference.replies import HALF, Sampling
from inference.sampling import RowRandom, draw
from inference.thoughts import decoded, hidden_marks, opens_thought, spoken

BASE = "__base__"


@dataclass
class Row:
    """One reply being written."""

    prompt: list[int]
    adapter: str
    sampling: Sampling
    random: RowRandom
    on_text: Callable[[str], None] | None = None
    tokens: list[int] = field(default_factory=list)
    sent: int = 0
    finish_reason: str | None = None
    text: str = ""
    # Whether the prompt ends within a thought.
    opened: bool = False

    def cancel(self) -> None:
        """End a row nobody waits for; it leaves its batch at the next step."""
        self.finish_reason = self.finish_reason or "cancelled"


@dataclass
class Model:
    """What a step needs: the (PEFT) model, its tokenizer and the tokens that end a reply.

    `prefixes` holds the virtual tokens of the adapters that are such.
    """

    model: Any
    tokenizer: Any
    end_tokens: frozenset[int]
    mixing: Mixing
    device: torch.device
    prefixes: Mapping[str, Prefix] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._marks = hidden_marks(self.tokenizer)

    def spoken(self, row: Row, *, ended: bool) -> str:
        """Return a row's text without thoughts; `ended` false: more of it may come."""
        text = decoded(self.tokenizer, row.tokens, self._marks)
        return spoken(text, opened=row.opened, streamed=row.on_text is not None, ended=ended)

    def forward(self, adapters: Sequence[str], **inputs: Any) -> Any:
        """Run the model over rows, each with its own adapter (BASE for none)."""
        with torch.inference_mode():
            self.mixing.choose(adapters)
            return self.model(use_cache=True, logits_to_keep=1, **inputs)


class Batch:
    """The rows in flight and their cache."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.rows: list[Row] = []
        self._cache: Any = None
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=model.device)

    def join(self, rows: list[Row]) -> list[Row]:
        """Read the prompts of new rows, draw their first tokens, and add them; return rows that are done at once.

        Rows with the same prompt and adapter (the replies of one request) are read once.
        """
        for row in rows:
            row.opened = opens_thought(self.model.tokenizer, row.prompt)
        unique = list(dict.fromkeys((row.adapter, tuple(row.prompt)) for row in rows))
        longest = max(len(prompt) for _, prompt in unique)
        pad = self.model.tokenizer.pad_token_id or 0
        device = self.model.device
        ids = torch.full((len(unique), longest), pad, dtype=torch.long)
        mask = torch.zeros((len(unique), longest), dtype=torch.long)
        for index, (_, prompt) in enumerate(unique):
            ids[index, longest - len(prompt) :] = torch.tensor(prompt)
            mask[index, longest - len(prompt) :] = 1
        adapters = [adapter for adapter, _ in unique]
        cache, virtual = beginning([self.model.prefixes.get(adapter) for adapter in adapters], device)
        mask = torch.cat([virtual, mask.to(device)], dim=1)
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)[:, -longest:]
        output = self.model.forward(
            adapters, input_ids=ids.to(device), attention_mask=mask, position_ids=positions, past_key_values=cache
        )
        order = [unique.index((row.adapter, tuple(row.prompt))) for row in rows]
        places = torch.tensor(order, device=device)
        logits = output.logits[:, -1][places]
        cache.batch_select_indices(places)
        self._merge(rows, cache, mask[places])
        self._accept(rows, logits)
        return self._leave()

    def _merge(self, rows: list[Row], cache: Any, mask: torch.Tensor) -> None:
        """Put the new rows' cache under the others', the shorter one padded on the left."""
        if not self.rows:
            self.rows, self._cache, self._mask = list(rows), cache, mask
            return
        width = max(self._mask.shape[1], mask.shape[1])
        for mine, theirs in zip(self._cache.layers, cache.layers, strict=True):
            mine.keys = torch.cat([_widen(mine.keys, width), _widen(theirs.keys, width)])
            mine.values = torch.cat([_widen(mine.values, width), _widen(theirs.values, width)])
        self._mask = torch.cat([_widen_mask(self._mask, width), _widen_mask(mask, width)])
        self.rows.extend(rows)

    def step(self) -> list[Row]:
        """Write one token for every row; return the rows that are done."""
        last = torch.tensor([[row.tokens[-1]] for row in self.rows], device=self.model.device)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        positions = self._mask.sum(dim=1, keepdim=True) - 1
        output = self.model.forward(
            [row.adapter for row in self.rows], input_ids=last, attention_mask=self._mask, position_ids=positions,
            past_key_values=self._cache,
        )  # fmt: skip
        self._accept(self.rows, output.logits[:, -1])
        return self._leave()

    def _accept(self, rows: list[Row], logits: torch.Tensor) -> None:
        """Draw a token for each row and note which rows are done."""
        tokens = draw(logits, [row.sampling for row in rows], [row.random for row in rows]).tolist()
        for row, token in zip(rows, tokens, strict=True):
            if token in self.model.end_tokens:
                self._finish(row, "stop")
                continue
            row.tokens.append(token)
            if row.sampling.stop or row.on_text:
                self._read_out(row)
            if row.finish_reason is None and len(row.tokens) >= row.sampling.max_tokens:
                self._finish(row, "length")

    def _read_out(self, row: Row) -> None:
        """Turn the row's tokens into text, cut at a stop text, and hand over what is new and final."""
        text = self.model.spoken(row, ended=False)
        cuts = [place for stop in row.sampling.stop if (place := text.find(stop)) >= 0]
        if cuts:
            text, row.finish_reason = text[: min(cuts)], "stop"
        row.text = text
        if row.on_text is None:
            return
        # Half a character or what may begin a stop text is held back.
        held = 0 if row.finish_reason else max((_overlap(text, stop) for stop in row.sampling.stop), default=0)
        ready = text[: len(text) - held]
        if not row.finish_reason:
            ready = ready.rstrip(HALF)
        if len(ready) > row.sent:
            row.on_text(ready[row.sent :])
            row.sent = len(ready)

    def _finish(self, row: Row, reason: str) -> None:
        row.finish_reason = reason
        row.text = self.model.spoken(row, ended=True).rstrip(HALF)
        if row.on_text and len(row.text) > row.sent:
            row.on_text(row.text[row.sent :])
            row.sent = len(row.text)

    def _leave(self) -> list[Row]:
        """Take the finished rows out, and the columns that only they used."""
        done = [row for row in self.rows if row.finish_reason]
        if not done:
            return []
        kept = [index for index, row in enumerate(self.rows) if not row.finish_reason]
        self.rows = [self.rows[index] for index in kept]
        if not kept:
            self._cache, self._mask = None, self._mask[:0, :0]
            return done
        places = torch.tensor(kept, device=self.model.device)
        self._mask = self._mask[places]
        first = int(self._mask.any(dim=0).nonzero()[0])
        self._mask = self._mask[:, first:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[places][:, :, first:].contiguous()
            layer.values = layer.values[places][:, :, first:].contiguous()
        return done


def _widen(states: torch.Tensor, width: int) -> torch.Tensor:
    """Pad keys or values (rows, heads, length, size) on the left to `width`."""
    missing = width - states.shape[2]
    return torch.nn.functional.pad(states, (0, 0, missing, 0)) if missing else states


def _widen_mask(mask: torch.Tensor, width: int) -> torch.Tensor:
    missing = width - mask.shape[1]
    return torch.nn.functional.pad(mask, (missing, 0)) if missing else mask


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` may begin `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
