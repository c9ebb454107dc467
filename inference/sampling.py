"""Draw one next token per row: temperature, then nucleus (Holtzman et al. 2020, "The Curious Case of Neural Text
Degeneration"), each row with its own settings and its own random numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from inference.replies import Sampling

# Most nuclei lie within this many tokens; a row whose nucleus does not is drawn from the full vocabulary.
NUCLEUS_TOKENS = 512


@dataclass
class RowRandom:
    """One row's random numbers; repeatable where a seed is given."""

    seed: int | None
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator()
        if self.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(self.seed)

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        return float(torch.rand(1, generator=self.generator))


def draw(logits: torch.Tensor, rows: list[Sampling], randoms: list[RowRandom]) -> torch.Tensor:
    """Return one token id per row.

    logits: float (rows, vocabulary). Rows with temperature 0 take the arg max; the others the inverse of the
    cumulative distribution of their nucleus at a uniform number of their own.
    """
    chosen = logits.argmax(dim=-1)
    sampled = [index for index, row in enumerate(rows) if row.temperature > 0]
    if not sampled:
        return chosen
    picked = logits[sampled].float()
    temperatures = torch.tensor([rows[i].temperature for i in sampled], device=picked.device).unsqueeze(1)
    probabilities = torch.softmax(picked / temperatures, dim=-1)
    top_p = torch.tensor([rows[i].top_p for i in sampled], device=picked.device)
    uniform = torch.tensor([randoms[i].uniform() for i in sampled], device=picked.device)
    values, tokens = probabilities.topk(min(NUCLEUS_TOKENS, probabilities.shape[-1]), dim=-1)
    drawn = _from_sorted(values, tokens, top_p, uniform)
    for place in torch.nonzero(values.sum(dim=-1) < top_p).flatten().tolist():
        everything, order = probabilities[place : place + 1].sort(dim=-1, descending=True)
        drawn[place] = _from_sorted(everything, order, top_p[place : place + 1], uniform[place : place + 1])[0]
    chosen[sampled] = drawn
    return chosen


def _from_sorted(
    values: torch.Tensor, tokens: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    """Draw from the smallest set of likeliest tokens whose mass reaches top_p; (rows, k) sorted descending."""
    cumulative = values.cumsum(dim=-1)
    # A token stays while the mass before it is under top_p; the first always stays.
    kept = (cumulative - values) < top_p.unsqueeze(1)
    mass = torch.where(kept, values, torch.zeros_like(values)).cumsum(dim=-1)
    target = uniform.unsqueeze(1) * mass[:, -1:]
    place = torch.searchsorted(mass, target, right=True).clamp(max=values.shape[1] - 1)
    last_kept = kept.sum(dim=-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(place, last_kept)).squeeze(1)
