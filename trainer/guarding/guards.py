"""Guards: what an adapter must pass before any person sees its replies, all against the original base.

In: the trained model (adapter on and off) and its saved folder, or replies alone. Out: one line per guard with value,
limit and verdict. Winning the preference while losing the language is the failure to catch, so most guards look at the
language. `GUARDS` is the one table; each guard belongs to a tier: `replies` needs text only, `weights` needs the model
in this process. Of a model elsewhere, `judge_replies` judges the first tier and names the second as not measured.

Replies are drawn for 32 frozen prompts with one seed; the base's side is computed once per base model and cached.

`bench/guards.py` prints every guard for three recipes; the limits hold back the one that ruins the text and pass the
default one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import torch

from inference.generation import Sampling, generate
from inference.messages import Messages
from inference.tokens import Encoder
from runtime.files import write_whole
from trainer.guarding.chance import Accuracy, highest_gain
from trainer.guarding.evaluate import closeness, likelihoods, meanings, nll_per_token
from trainer.guarding.replies import ReplyMeasures, Written, mean, measure_replies

# Raised whenever what is measured changes, so that a cached base side is not compared with something else.
VERSION = 2
SAMPLING = Sampling(max_tokens=256, temperature=0.8, top_p=0.95, seed=20)

# The base finds the adapter's replies this much more surprising than its own: broken language, not another style.
MAX_NLL_RATIO = 1.5
# Perplexity on text that has nothing to do with the feedback: what the adapter forgot.
MAX_PERPLEXITY_RATIO = 1.15
# Points (0..1) of 4-grams that repeat within a reply.
MAX_REPEAT_GAIN = 0.05
# Points of replies that end by themselves within 256 tokens: an adapter that cannot stop. Of 32 replies 0.05 are 1.6:
# the adapter fails when even the upper end of the 95 % interval of the difference lies below.
MAX_END_LOSS = 0.05
# How much closer a reply lies to its own prompt than to the other prompts, in the base's hidden states: replies that
# drift off topic lie anywhere. bench.guards: 0.91 x for the recipe that keeps the text, 0.59 x for the one that ruins
# it.
MIN_TOPIC_RATIO = 0.8
# The same in shared words, where no model can be looked into. Coarse on purpose: of replies to other prompts next to
# nothing is left (tests/trainer/test_reply_guards.py); it has not been measured on trained models.
MIN_LIKENESS_RATIO = 0.5
# Mean words a reply. Of replies up to 256 tokens the base leaves four in ten unfinished, so one that learnt to finish
# is much shorter: bench.guards measures 0.51 x for the recipe that keeps the text, 0.13 x for the one that ruins it.
LENGTH_RANGE = (0.25, 1.5)
# Points of replies written in the script of their prompt.
MAX_LANGUAGE_LOSS = 0.10
# Replies without any word; one in 32 may happen by chance.
MAX_EMPTY = 1 / 32
# Held-out rows ordered as people did: the adapter fails when an adapter that learnt nothing would be so wrong in less
# than one of 40 runs; fewer rows say nothing.
MIN_ACCURACY_ROWS = 20
MAX_P_BELOW = 0.025
CHANCE = 0.5
# Largest difference of a next-token logit from the model the run started from; less is a training that did nothing.
MIN_LOGIT_CHANGE = 1e-3
# Largest difference between the trained model and its saved copy, relative to the largest logit: bfloat16 rounding.
MAX_RELOAD_DIFFERENCE = 0.02


REPLIES, WEIGHTS = "replies", "weights"


@dataclass(frozen=True)
class Guard:
    """One verdict. `value` and `base` are what was measured, `limit` says what would have passed.

    `passed` is None, and nothing was measured, where the guard's tier was out of reach.
    """

    name: str
    passed: bool | None
    value: float | None
    base: float | None
    limit: str
    tier: str = WEIGHTS


class Replies(Protocol):
    """What the first tier reads of one side: shares in 0..1, length in words."""

    @property
    def repeats(self) -> float: ...
    @property
    def ended(self) -> float: ...
    @property
    def words(self) -> float: ...
    @property
    def language(self) -> float: ...
    @property
    def empty(self) -> float: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True)
class Side:
    """What is measured on one model's replies; NLLs in nats per token, shares in 0..1, length in words."""

    nll: float
    topic: float
    repeats: float
    ended: float
    words: float
    language: float
    empty: float
    text_nll: tuple[float, ...]
    replies: tuple[str, ...]

    @property
    def count(self) -> int:
        """Return the number of replies."""
        return len(self.replies)


@dataclass(frozen=True)
class Training:
    """What a run says about itself: share of changed weights, logit change from the start, reload difference."""

    changed_share: float
    logit_change: float
    reload_difference: float
    accuracy: Accuracy


@cache
def frozen_prompts() -> tuple[str, ...]:
    """Return the 32 prompts that ship with the trainer; 28 are English, 4 Chinese."""
    return tuple(json.loads((files("trainer.guarding") / "frozen" / "prompts.json").read_text("utf-8")))


@cache
def frozen_text() -> tuple[str, ...]:
    """Return the paragraphs that perplexity is measured on, our own words."""
    return tuple(json.loads((files("trainer.guarding") / "frozen" / "text.json").read_text("utf-8")))


def measure(model: Any, encoder: Encoder, prompts: Sequence[str], sampling: Sampling, base: bool) -> Side:
    """Return one side's measures; `base` turns the adapter off while it writes. The base always judges."""
    asked: list[Messages] = [[{"role": "user", "content": text}] for text in prompts]
    replies = generate(model, encoder, asked, sampling, base=base)
    written = [(encoder.prompt(prompt), list(reply.ids)) for prompt, reply in zip(asked, replies, strict=True)]
    judged = [i for i, (_, ids) in enumerate(written) if ids]
    own = likelihoods(model, encoder, [written[i] for i in judged], base=True)
    texts = [reply.text for reply in replies]
    told = measure_replies(prompts, [Written(reply.text, reply.ended) for reply in replies])
    return Side(
        nll=nll_per_token(own),
        topic=closeness(meanings(model, encoder, prompts), meanings(model, encoder, texts)),
        repeats=told.repeats, ended=told.ended, words=told.words, language=told.language, empty=told.empty,
        text_nll=_text_nll(model, encoder, base), replies=tuple(texts),
    )  # fmt: skip


def _text_nll(model: Any, encoder: Encoder, base: bool) -> tuple[float, ...]:
    rows = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"] for text in frozen_text()]
    found = likelihoods(model, encoder, [(ids[:1], ids[1:]) for ids in rows], base=base)
    return tuple(-one.logp / max(1, one.tokens) for one in found)


def base_side(model: Any, encoder: Encoder, base_folder: Path, cache_folder: Path | None, sampling: Sampling) -> Side:
    """Return the base's side, from the cache where this base was measured before."""
    if cache_folder is None:
        return measure(model, encoder, frozen_prompts(), sampling, base=True)
    file = cache_folder / f"{base_key(base_folder, sampling, encoder.template.kwargs)}.json"
    if file.exists():
        body = json.loads(file.read_text("utf-8"))
        return Side(**{**body, "text_nll": tuple(body["text_nll"]), "replies": tuple(body["replies"])})
    side = measure(model, encoder, frozen_prompts(), sampling, base=True)
    cache_folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(asdict(side), ensure_ascii=False).encode())
    return side


def base_key(folder: Path, sampling: Sampling, kwargs: Mapping[str, Any] | None = None) -> str:
    """Return what names a base side: the model's files by name, size and time, the prompts, and what is measured."""
    told = f"|{sorted(kwargs.items())}" if kwargs else ""
    measured = f"{VERSION}|{sampling}|{frozen_prompts()}|{frozen_text()}|{folder.resolve()}{told}"
    hashed = hashlib.sha256(measured.encode())
    for file in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.json")):
        stat = file.stat()
        hashed.update(f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}".encode())
    return hashed.hexdigest()[:16]


Verdict = tuple[bool, float | None, float | None]


@dataclass(frozen=True)
class RepliesGuard:
    """A guard of the first tier; `check(adapter, base)` returns passed, value, base.

    One that `stands_in` is a coarser measure of what a guard of the other tier sees; it is left out where that one is.
    """

    name: str
    limit: str
    check: Callable[[Any, Any], Verdict]
    stands_in: bool = False
    tier: str = REPLIES


@dataclass(frozen=True)
class WeightsGuard:
    """A guard of the second tier; `check(adapter, base, training)` returns passed, value, base."""

    name: str
    limit: str
    check: Callable[[Side, Side, Training], Verdict]
    tier: str = WEIGHTS


def _reply_nll(adapter: Side, base: Side, _: Training) -> Verdict:
    ratio = adapter.nll / base.nll if base.nll else 1.0
    return ratio <= MAX_NLL_RATIO, adapter.nll, base.nll


def _perplexity(adapter: Side, base: Side, _: Training) -> Verdict:
    ratio = math.exp(mean([a - b for a, b in zip(adapter.text_nll, base.text_nll, strict=True)]))
    return ratio <= MAX_PERPLEXITY_RATIO, ratio, 1.0


def _repeats(adapter: Replies, base: Replies) -> Verdict:
    return adapter.repeats <= base.repeats + MAX_REPEAT_GAIN, adapter.repeats, base.repeats


def _ends(adapter: Replies, base: Replies) -> Verdict:
    passed = highest_gain(adapter.ended, base.ended, adapter.count) >= -MAX_END_LOSS
    return passed, adapter.ended, base.ended


def _topic(adapter: Side, base: Side, _: Training) -> Verdict:
    ratio = adapter.topic / base.topic if base.topic > 0 else 1.0
    return ratio >= MIN_TOPIC_RATIO, adapter.topic, base.topic


def _likeness(adapter: ReplyMeasures, base: ReplyMeasures) -> Verdict:
    ratio = adapter.likeness / base.likeness if base.likeness > 0 else 1.0
    return ratio >= MIN_LIKENESS_RATIO, adapter.likeness, base.likeness


def _length(adapter: Replies, base: Replies) -> Verdict:
    low, high = LENGTH_RANGE
    ratio = adapter.words / base.words if base.words else 1.0
    return low <= ratio <= high, adapter.words, base.words


def _language(adapter: Replies, base: Replies) -> Verdict:
    return adapter.language >= base.language - MAX_LANGUAGE_LOSS, adapter.language, base.language


def _not_empty(adapter: Replies, base: Replies) -> Verdict:
    return adapter.empty <= max(MAX_EMPTY, base.empty), adapter.empty, base.empty


def _held_out(_: Side, __: Side, training: Training) -> Verdict:
    accuracy = training.accuracy
    enough = accuracy.rows >= MIN_ACCURACY_ROWS
    return not enough or accuracy.p_below >= MAX_P_BELOW, accuracy.rate, CHANCE


def _not_a_no_op(_: Side, __: Side, training: Training) -> Verdict:
    moved = training.changed_share > 0 and training.logit_change >= MIN_LOGIT_CHANGE
    return moved, training.logit_change, 0.0


def _loads(_: Side, __: Side, training: Training) -> Verdict:
    return training.reload_difference <= MAX_RELOAD_DIFFERENCE, training.reload_difference, 0.0


# Every guard, in the order in which they are shown.
GUARDS: tuple[RepliesGuard | WeightsGuard, ...] = (
    WeightsGuard("reply_nll", f"at most {MAX_NLL_RATIO} x base", _reply_nll),
    WeightsGuard("perplexity", f"at most {MAX_PERPLEXITY_RATIO} x base", _perplexity),
    RepliesGuard("repeats", f"at most base + {MAX_REPEAT_GAIN}", _repeats),
    RepliesGuard("ends", f"not clearly below base - {MAX_END_LOSS}", _ends),
    WeightsGuard("topic", f"at least {MIN_TOPIC_RATIO} x base", _topic),
    RepliesGuard("likeness", f"at least {MIN_LIKENESS_RATIO} x base", _likeness, stands_in=True),
    RepliesGuard("length", f"{LENGTH_RANGE[0]} to {LENGTH_RANGE[1]} x base", _length),
    RepliesGuard("language", f"at least base - {MAX_LANGUAGE_LOSS}", _language),
    RepliesGuard("not_empty", f"at most {MAX_EMPTY:.3f}", _not_empty),
    WeightsGuard("held_out", "not clearly below chance, on {held_out} held-out comparisons", _held_out),
    WeightsGuard("not_a_no_op", f"a logit moved by at least {MIN_LOGIT_CHANGE}", _not_a_no_op),
    WeightsGuard("loads", f"saved copy within {MAX_RELOAD_DIFFERENCE} of the trained model", _loads),
)


def judge(adapter: Side, base: Side, training: Training) -> list[Guard]:
    """Return the verdict of every guard, measured with the model in this process."""
    verdicts = []
    for guard in GUARDS:
        limit = guard.limit.format(held_out=training.accuracy.total)
        if isinstance(guard, WeightsGuard):
            verdicts.append(Guard(guard.name, *guard.check(adapter, base, training), limit, guard.tier))
        elif not guard.stands_in:
            verdicts.append(Guard(guard.name, *guard.check(adapter, base), limit, guard.tier))
    return verdicts


def judge_replies(adapter: ReplyMeasures, base: ReplyMeasures) -> list[Guard]:
    """Return the verdicts that replies alone allow; the guards that need weights stand there as not measured."""
    return [
        Guard(guard.name, *guard.check(adapter, base), guard.limit, guard.tier)
        if isinstance(guard, RepliesGuard)
        else Guard(guard.name, None, None, None, "not measured: it needs the model's weights", guard.tier)
        for guard in GUARDS
    ]


def all_passed(guards: Sequence[Guard]) -> bool:
    """Say whether no guard failed; one that was not measured says nothing."""
    return all(guard.passed is not False for guard in guards)


def not_measured(guards: Sequence[Guard]) -> list[str]:
    """Return the names of the guards that were not measured."""
    return [guard.name for guard in guards if guard.passed is None]


def reasons(guards: Sequence[Guard]) -> list[str]:
    """Return one line per guard that failed."""
    return [
        f"{g.name}: {_number(g.value)} against {_number(g.base)} of the base (limit: {g.limit})"
        for g in guards
        if g.passed is False
    ]


def reload_difference(trained: torch.Tensor, reloaded: torch.Tensor) -> float:
    """Return the largest logit difference of the trained model and its saved copy, relative to the largest logit."""
    return float((trained - reloaded).abs().max() / trained.abs().max().clamp(min=1e-9))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
