"""POST /v1/candidates: k replies in random order, half baseline, half challenger, nothing that tells them apart."""

from __future__ import annotations

import random
import re
import unicodedata
from dataclasses import dataclass, replace

from contract.errors import ThumbwheelError
from gateway.aliases import Aliases, Models
from gateway.wire import CandidatesRequest, Compare, for_template
from inference.replies import Generation, Generator, Reply, Sampling

MAX_REDRAWS = 3
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Drawn:
    """One reply with the model that wrote it; `duplicate` when its text stayed equal to an earlier one."""

    reply: Reply
    model: str
    duplicate: bool = False


@dataclass(frozen=True)
class Sides:
    """Who is compared with whom; challenger None: all replies are the champion's."""

    baseline: str
    challenger: str | None
    counted: bool

    def models(self, k: int) -> list[str]:
        """Return the model of each of k replies; the extra one of an odd k is the baseline's."""
        if self.challenger is None:
            return [self.baseline] * k
        return [self.baseline] * (k - k // 2) + [self.challenger] * (k // 2)


def sides(models: Models, project: str, k: int, compare: Compare | None) -> Sides:
    """Return the two sides of this request."""
    if compare is not None:
        baseline = models.resolve(project, compare.baseline)
        return Sides(baseline, models.resolve(project, compare.challenger), counted=False)
    aliases: Aliases = models.aliases(project)
    if aliases.challenger is None:
        return Sides(aliases.champion, None, counted=False)
    return Sides(aliases.baseline, aliases.challenger, counted=k % 2 == 0)


def champion_only(models: Models, project: str) -> Sides:
    """Return the side that answers while the log is away: nothing may be tested that is not recorded."""
    return Sides(models.aliases(project).champion, None, counted=False)


def normalised(text: str) -> str:
    """Return the text as compared: NFKC, case folded, spaces collapsed."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def draw_candidates(
    generator: Generator, request: CandidatesRequest, chosen: Sides, thinking: bool | None = None
) -> list[Drawn]:
    """Return k replies in random order.

    A text equal to an earlier one is drawn again by its own model, at most three times, then kept and marked.
    Raises ThumbwheelError for temperature 0: k replies would be one.
    """
    sampling = request.sampling(thinking)
    if sampling.temperature == 0:
        raise ThumbwheelError(
            "invalid_request",
            "Temperature 0 gives the same reply k times.",
            "Use a temperature above 0.",
            "temperature",
        )
    messages = for_template(request.messages)
    models = chosen.models(request.k)
    # Shuffled before anything is drawn: were the challenger's always the later ones, only they would be drawn again.
    random.SystemRandom().shuffle(models)
    replies = generator.generate(Generation(messages, models, sampling))
    drawn = [Drawn(reply, model) for reply, model in zip(replies, models, strict=True)]
    for attempt in range(1, MAX_REDRAWS + 1):
        again = _duplicates(drawn)
        if not again:
            break
        fresh = generator.generate(Generation(messages, [models[i] for i in again], _reseeded(sampling, attempt)))
        for index, reply in zip(again, fresh, strict=True):
            drawn[index] = Drawn(reply, models[index])
    for index in _duplicates(drawn):
        drawn[index] = replace(drawn[index], duplicate=True)
    return drawn


def _reseeded(sampling: Sampling, attempt: int) -> Sampling:
    """Return the settings with another seed: the same one would draw the same text."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + 1000 * attempt)


def _duplicates(drawn: list[Drawn]) -> list[int]:
    seen: set[str] = set()
    doubled = []
    for index, one in enumerate(drawn):
        text = normalised(one.reply.text)
        if text in seen:
            doubled.append(index)
        seen.add(text)
    return doubled
