"""Guards: what an adapter must pass before any person sees its replies, all against the original base.

Winning the preference while losing the language is the failure to catch, so most guards look at the language. In: the
trained model (adapter on and off) and its saved folder. Out: one line per guard with value, limit and verdict.
Replies are drawn for 32 frozen prompts with one seed; the base's side is computed once per base model and cached.

`bench/guards.py` prints every guard for three recipes; the limits hold back the one that ruins the text and pass the
default one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from inference.generation import Reply, Sampling, generate
from inference.tokens import Encoder, Messages
from trainer.guarding.evaluate import Accuracy, closeness, likelihoods, meanings, nll_per_token

# Raised whenever what is measured changes, so that a cached base side is not compared with something else.
VERSION = 2
SAMPLING = Sampling(max_tokens=256, temperature=0.8, top_p=0.95, seed=20)

# The base finds the adapter's replies this much more surprising than its own: broken language, not another style.
MAX_NLL_RATIO = 1.5
# Perplexity on text that has nothing to do with the feedback: what the adapter forgot.
MAX_PERPLEXITY_RATIO = 1.15
# Points (0..1) of 4-grams that repeat within a reply.
MAX_REPEAT_GAIN = 0.05
# Points of replies that end by themselves within 256 tokens: an adapter that cannot stop.
MAX_END_LOSS = 0.05
# How much closer a reply lies to its own prompt than to the other prompts, in the base's hidden states: replies that
# drift off topic lie anywhere. bench.guards: 0.91 x for the recipe that keeps the text, 0.59 x for the one that ruins
# it.
MIN_TOPIC_RATIO = 0.8
# Mean words a reply. Of replies up to 256 tokens the base leaves four in ten unfinished, so one that learnt to finish
# is much shorter: bench.guards measures 0.51 x for the recipe that keeps the text, 0.13 x for the one that ruins it.
LENGTH_RANGE = (0.25, 1.5)
# Points of replies written in the script of their prompt.
MAX_LANGUAGE_LOSS = 0.10
# Replies without any word; one in 32 may happen by chance.
MAX_EMPTY = 1 / 32
# Held-out rows ordered as people did: the adapter fails when even the upper end of the 95 % interval is below chance,
# with fewer rows the interval says nothing.
MIN_ACCURACY_ROWS = 20
CHANCE = 0.5
# Largest difference of a next-token logit from the model the run started from; less is a training that did nothing.
MIN_LOGIT_CHANGE = 1e-3
# Largest difference between the trained model and its saved copy, relative to the largest logit: bfloat16 rounding.
MAX_RELOAD_DIFFERENCE = 0.02

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’-][^\W_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Guard:
    """One verdict. `value` and `base` are what was measured, `limit` says what would have passed."""

    name: str
    passed: bool
    value: float | None
    base: float | None
    limit: str


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


def words(text: str) -> list[str]:
    """Return the words of a text, each Chinese character being one."""
    return _WORD.findall(text.lower())


def repeated_share(text: str) -> float:
    """Return the share of 4-grams of words that occurred before in the text."""
    tokens = words(text)
    grams = [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_chinese(text: str) -> bool:
    """Say whether at least a third of the letters are Chinese characters."""
    letters = len(_LETTER.findall(text))
    return bool(letters) and len(_CJK.findall(text)) / letters >= 1 / 3


def measure(model: Any, encoder: Encoder, prompts: Sequence[str], sampling: Sampling, base: bool) -> Side:
    """Return one side's measures; `base` turns the adapter off while it writes. The base always judges."""
    asked: list[Messages] = [[{"role": "user", "content": text}] for text in prompts]
    replies = generate(model, encoder, asked, sampling, base=base)
    written = [(encoder.prompt(prompt), list(reply.ids)) for prompt, reply in zip(asked, replies, strict=True)]
    judged = [i for i, (_, ids) in enumerate(written) if ids]
    own = likelihoods(model, encoder, [written[i] for i in judged], base=True)
    texts = [reply.text for reply in replies]
    return Side(
        nll=nll_per_token(own),
        topic=closeness(meanings(model, encoder, prompts), meanings(model, encoder, texts)),
        repeats=_mean([repeated_share(text) for text in texts]), ended=_mean([float(r.ended) for r in replies]),
        words=_mean([float(len(words(text))) for text in texts]), language=_language(prompts, replies),
        empty=_mean([float(not words(text)) for text in texts]), text_nll=_text_nll(model, encoder, base),
        replies=tuple(texts),
    )  # fmt: skip


def _language(prompts: Sequence[str], replies: Sequence[Reply]) -> float:
    told = [(prompt, reply.text) for prompt, reply in zip(prompts, replies, strict=True) if words(reply.text)]
    return _mean([float(is_chinese(prompt) == is_chinese(text)) for prompt, text in told])


def _text_nll(model: Any, encoder: Encoder, base: bool) -> tuple[float, ...]:
    rows = [encoder.tokenizer(text, add_special_tokens=False)["input_ids"] for text in frozen_text()]
    found = likelihoods(model, encoder, [(ids[:1], ids[1:]) for ids in rows], base=base)
    return tuple(-one.logp / max(1, one.tokens) for one in found)


def base_side(model: Any, encoder: Encoder, base_folder: Path, cache_folder: Path | None, sampling: Sampling) -> Side:
    """Return the base's side, from the cache where this base was measured before."""
    if cache_folder is None:
        return measure(model, encoder, frozen_prompts(), sampling, base=True)
    file = cache_folder / f"{base_key(base_folder, sampling)}.json"
    if file.exists():
        body = json.loads(file.read_text("utf-8"))
        return Side(**{**body, "text_nll": tuple(body["text_nll"]), "replies": tuple(body["replies"])})
    side = measure(model, encoder, frozen_prompts(), sampling, base=True)
    cache_folder.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(".tmp")
    made.write_text(json.dumps(asdict(side), ensure_ascii=False), "utf-8")
    made.replace(file)
    return side


def base_key(folder: Path, sampling: Sampling) -> str:
    """Return what names a base side: the model's files by name, size and time, the prompts, and what is measured."""
    hashed = hashlib.sha256(f"{VERSION}|{sampling}|{frozen_prompts()}|{frozen_text()}|{folder.resolve()}".encode())
    for file in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.json")):
        stat = file.stat()
        hashed.update(f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}".encode())
    return hashed.hexdigest()[:16]


def judge(adapter: Side, base: Side, training: Training) -> list[Guard]:
    """Return the verdict of every guard."""
    perplexity = math.exp(_mean([a - b for a, b in zip(adapter.text_nll, base.text_nll, strict=True)]))
    low, high = LENGTH_RANGE
    topic = adapter.topic / base.topic if base.topic > 0 else 1.0
    length = adapter.words / base.words if base.words else 1.0
    nll = adapter.nll / base.nll if base.nll else 1.0
    accuracy = training.accuracy
    enough = accuracy.total >= MIN_ACCURACY_ROWS
    return [
        Guard("reply_nll", nll <= MAX_NLL_RATIO, adapter.nll, base.nll, f"at most {MAX_NLL_RATIO} x base"),
        Guard("perplexity", perplexity <= MAX_PERPLEXITY_RATIO, perplexity, 1.0,
              f"at most {MAX_PERPLEXITY_RATIO} x base"),
        Guard("repeats", adapter.repeats <= base.repeats + MAX_REPEAT_GAIN, adapter.repeats, base.repeats,
              f"at most base + {MAX_REPEAT_GAIN}"),
        Guard("ends", adapter.ended >= base.ended - MAX_END_LOSS, adapter.ended, base.ended,
              f"at least base - {MAX_END_LOSS}"),
        Guard("topic", topic >= MIN_TOPIC_RATIO, adapter.topic, base.topic, f"at least {MIN_TOPIC_RATIO} x base"),
        Guard("length", low <= length <= high, adapter.words, base.words, f"{low} to {high} x base"),
        Guard("language", adapter.language >= base.language - MAX_LANGUAGE_LOSS, adapter.language, base.language,
              f"at least base - {MAX_LANGUAGE_LOSS}"),
        Guard("not_empty", adapter.empty <= max(MAX_EMPTY, base.empty), adapter.empty, base.empty,
              f"at most {MAX_EMPTY:.3f}"),
        Guard("held_out", not enough or accuracy.upper() >= CHANCE, accuracy.rate, CHANCE,
              f"not clearly below chance, on {accuracy.total} held-out comparisons"),
        Guard("not_a_no_op", training.changed_share > 0 and training.logit_change >= MIN_LOGIT_CHANGE,
              training.logit_change, 0.0, f"a logit moved by at least {MIN_LOGIT_CHANGE}"),
        Guard("loads", training.reload_difference <= MAX_RELOAD_DIFFERENCE, training.reload_difference, 0.0,
              f"saved copy within {MAX_RELOAD_DIFFERENCE} of the trained model"),
    ]  # fmt: skip


def reasons(guards: Sequence[Guard]) -> list[str]:
    """Return one line per guard that failed."""
    return [
        f"{g.name}: {_number(g.value)} against {_number(g.base)} of the base (limit: {g.limit})"
        for g in guards
        if not g.passed
    ]


def reload_difference(trained: torch.Tensor, reloaded: torch.Tensor) -> float:
    """Return the largest logit difference of the trained model and its saved copy, relative to the largest logit."""
    return float((trained - reloaded).abs().max() / trained.abs().max().clamp(min=1e-9))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"
