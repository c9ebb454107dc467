"""What a trained adapter is measured by: held-out preference accuracy, likelihoods, and whether it does anything.

Everything is a forward pass of the model in hand with the adapter on, off (`base`) or swapped; nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from inference.generation import adapter_off
from inference.tokens import Encoder
from trainer.fitting import fit
from trainer.guarding.chance import Accuracy, of_pairs, of_thumbs
from trainer.rows import Pair, Rated

# Positions in one forward pass: the logits of 1024 take 0.5 GB with a vocabulary of 49152, 1.5 GB with one of 150000.
POSITIONS = 1024
# Tokens of a prompt with its reply that are looked at; a longer prompt loses its oldest turns, as in training.
MAX_LENGTH = 1024


@dataclass(frozen=True)
class Likelihood:
    """Sum of log-probabilities (nats) of a reply and its number of tokens."""

    logp: float
    tokens: int


def likelihoods(
    model: Any, encoder: Encoder, rows: Sequence[tuple[Sequence[int], Sequence[int]]], base: bool = False,
    max_length: int = MAX_LENGTH,
) -> list[Likelihood]:  # fmt: skip
    """Return the likelihood of each (prompt ids, reply ids), in order; `base` turns the adapter off.

    Rows are batched by length, so that little is padding, and by positions, so that the logits fit into memory.
    """
    found: dict[int, Likelihood] = {}
    was_training = model.training
    model.eval()
    with torch.inference_mode(), adapter_off(model, base):
        for picked in _batches([min(max_length, len(prompt) + len(reply)) for prompt, reply in rows]):
            found.update(zip(picked, _batch(model, encoder, [rows[i] for i in picked], max_length), strict=True))
    model.train(was_training)
    return [found[i] for i in range(len(rows))]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield row numbers in batches of similar length, each of at most POSITIONS positions, at least one row."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[i] > POSITIONS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _batch(
    model: Any, encoder: Encoder, rows: Sequence[tuple[Sequence[int], Sequence[int]]], max_length: int
) -> Iterator[Likelihood]:
    device = next(model.parameters()).device
    whole = [[*prompt, *reply][:max_length] for prompt, reply in rows]
    width = max(len(row) for row in whole)
    tokens = torch.tensor([row + [encoder.pad_id] * (width - len(row)) for row in whole], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in whole], device=device)
    reply_mask = torch.zeros_like(mask, dtype=torch.bool)
    for i, (prompt, _) in enumerate(rows):
        reply_mask[i, max(1, len(prompt)) : len(whole[i])] = True
    # Virtual tokens stand before the real ones and have logits too.
    logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[:, -width:-1]
    wanted = reply_mask[:, 1:]
    picked = -F.cross_entropy(logits[wanted].float(), tokens[:, 1:][wanted], reduction="none")
    sums = torch.zeros(wanted.shape, device=device).masked_scatter(wanted, picked).sum(dim=1).tolist()
    counts = wanted.sum(dim=1).tolist()
    return (Likelihood(logp, int(n)) for logp, n in zip(sums, counts, strict=True))


def meanings(model: Any, encoder: Encoder, texts: Sequence[str]) -> torch.Tensor:
    """Return a vector per text (texts, hidden): the base's hidden states at three quarters of its depth, averaged.

    The first token is left out: it collects attention and looks alike in every text.
    """
    rows = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"] or [encoder.pad_id] for text in texts]
    device = next(model.parameters()).device
    found: dict[int, torch.Tensor] = {}
    was_training = model.training
    model.eval()
    with torch.inference_mode(), adapter_off(model, True):
        for picked in _batches([len(row) for row in rows]):
            width = max(len(rows[i]) for i in picked)
            ids = torch.tensor([rows[i] + [encoder.pad_id] * (width - len(rows[i])) for i in picked], device=device)
            mask = torch.tensor([[1] * len(rows[i]) + [0] * (width - len(rows[i])) for i in picked], device=device)
            states = model(
                input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True, logits_to_keep=1
            ).hidden_states
            layer = states[round((len(states) - 1) * 0.75)].float().cpu()
            for place, i in enumerate(picked):
                found[i] = layer[place, min(1, len(rows[i]) - 1) : len(rows[i])].mean(dim=0)
    model.train(was_training)
    return torch.stack([found[i] for i in range(len(rows))])


def closeness(prompts: torch.Tensor, replies: torch.Tensor) -> float:
    """Return how much closer replies lie to their own prompt than to the others, as a difference of mean cosines.

    Both are (texts, hidden). Each side is centred first: hidden states of one model all point much the same way.
    """
    if len(prompts) < 2:
        return 0.0
    asked = F.normalize(prompts - prompts.mean(dim=0), dim=1)
    told = F.normalize(replies - replies.mean(dim=0), dim=1)
    cosines = told @ asked.T
    own = cosines.diagonal().sum()
    n = len(cosines)
    return float(own / n - (cosines.sum() - own) / (n * n - n))


def side_tokens(row: Pair | Rated, encoder: Encoder) -> list[tuple[list[int], list[int]]]:
    """Return (prompt, reply) ids of a pair's chosen and rejected side, or of a rated reply; raises TemplateRefusal."""
    replies = (
        [(row.completion, row.cut)] if isinstance(row, Rated)
        else [(row.chosen, row.chosen_cut), (row.rejected, row.rejected_cut)]
    )  # fmt: skip
    fitted = fit(encoder, row.prompt, replies, MAX_LENGTH)
    return [(fitted.prompt, reply) for reply in fitted.replies]


def preference_accuracy(pairs: Sequence[Pair], after: Sequence[Likelihood], before: Sequence[Likelihood]) -> Accuracy:
    """Return how often the log-ratio after / before is higher on the chosen side (DPO's implicit reward).

    Both lists hold the chosen sides, then the rejected sides.
    """
    gains = [new.logp - old.logp for new, old in zip(after, before, strict=True)]
    sides = list(zip(gains[: len(pairs)], gains[len(pairs) :], strict=True))
    return of_pairs(sides, [pair.group for pair in pairs])


def thumb_accuracy(rated: Sequence[Rated], after: Sequence[Likelihood], before: Sequence[Likelihood]) -> Accuracy:
    """Return how often a reply with a thumb up gained more likelihood per token than one with a thumb down."""
    gains = [(new.logp - old.logp) / max(1, new.tokens) for new, old in zip(after, before, strict=True)]
    up = [gain for gain, row in zip(gains, rated, strict=True) if row.label]
    return of_thumbs(up, [gain for gain, row in zip(gains, rated, strict=True) if not row.label])


def nll_per_token(likelihood: Sequence[Likelihood]) -> float:
    """Return nats per token over all rows; 0.0 without tokens."""
    tokens = sum(one.tokens for one in likelihood)
    return -sum(one.logp for one in likelihood) / tokens if tokens else 0.0


def probe_logits(model: Any, encoder: Encoder, base: bool = False) -> torch.Tensor:
    """Return next-token logits (1, length, vocabulary) on one fixed prompt, for the no-op check."""
    ids = encoder.prompt([{"role": "user", "content": "My parcel has not arrived. What can I do?"}])
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.inference_mode(), adapter_off(model, base):
        logits: torch.Tensor = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits.float().cpu()
    model.train(was_training)
    return logits[:, -len(ids) :]
