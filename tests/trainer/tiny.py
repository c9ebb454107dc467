"""Tiny random models of three families with a tokenizer trained here, and dataset folders in the processor's layout."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# GLM writes no end after an assistant turn: its model stops by opening the next one.
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
FAMILIES = ("llama", "qwen", "glm")
SPOKEN = (
    "the parcel is late and my order has not come yet please send a refund today thank you we are sorry "
    "for this it will arrive soon on monday tuesday by post how can I change address password plan"
)
WORDS = SPOKEN.split()
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with the family's special tokens and chat template."""
    special = {
        "llama": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "glm": ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"],
    }[family]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        [" ".join(WORDS)] * 20,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    # SmolLM2 and many others ship with the end token as padding; the trap has to be in the fixture.
    end = "<|endoftext|>" if family == "glm" else "<|im_end|>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=end, pad_token=end, additional_special_tokens=special
    )
    tokenizer.chat_template = GLM if family == "glm" else CHATML
    return tokenizer


def make_model(family: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Return a tiny random model of the family."""
    torch.manual_seed(7)
    common = {**SIZES, "vocab_size": len(tokenizer), "num_key_value_heads": 2, "max_position_embeddings": 512}
    common["pad_token_id"] = tokenizer.pad_token_id
    common["eos_token_id"] = tokenizer.eos_token_id
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**common))
    if family == "qwen":
        return Qwen2ForCausalLM(Qwen2Config(**common))
    ids = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|user|>", "<|observation|>"])
    return GlmForCausalLM(GlmConfig(**{**common, "eos_token_id": ids, "head_dim": 8}))


def save_base(family: str, folder: Path) -> Path:
    """Write a base model folder."""
    tokenizer = make_tokenizer(family)
    model = make_model(family, tokenizer)
    if family == "glm":
        model.generation_config.eos_token_id = model.config.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def text(rng: random.Random, least: int = 4, most: int = 10) -> str:
    """Return a random sentence of known words."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def user(content: str) -> list[dict[str, str]]:
    """Return a prompt of one user message."""
    return [{"role": "user", "content": content}]


def assistant(content: str) -> list[dict[str, str]]:
    """Return a reply."""
    return [{"role": "assistant", "content": content}]


def preference_row(i: int, rng: random.Random, prompt: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a preference row in the dataset's columns."""
    row = {
        "id": f"pair-{i}", "prompt": user(prompt or text(rng)), "chosen": assistant(text(rng)),
        "rejected": assistant(text(rng)), "weight": 1.0, "chosen_model": "base", "rejected_model": "base",
        "event_id": f"event-{i}", "interaction_id": f"int-{i}", "conversation_id": None, "kind": "pick",
        "truncated_chosen": False, "truncated_rejected": False, "replay": False,
    }  # fmt: skip
    return {**row, **changes}


def unpaired_row(i: int, rng: random.Random, label: bool, prompt: str | None = None) -> dict[str, Any]:
    """Return a thumb row in the dataset's columns."""
    return {
        "id": f"thumb-{i}", "prompt": user(prompt or text(rng)), "completion": assistant(text(rng)), "label": label,
        "weight": 1.0, "model": "base", "event_id": f"event-{i}", "interaction_id": f"int-{i}", "conversation_id": None,
    }  # fmt: skip


def demonstration_row(i: int, rng: random.Random) -> dict[str, Any]:
    """Return a demonstration row in the dataset's columns."""
    return {
        "id": f"demo-{i}", "prompt": user(text(rng)), "completion": assistant(text(rng)), "weight": 1.0,
        "event_id": f"event-{i}", "interaction_id": f"int-{i}", "conversation_id": None,
    }  # fmt: skip


def write_dataset(
    folder: Path, rows: dict[str, dict[str, list[dict[str, Any]]]], dataset_id: str = "ds-0123456789ab"
) -> Path:
    """Write a dataset folder; `rows` by config and split."""
    counts: dict[str, dict[str, int]] = {}
    for config, splits in rows.items():
        for split, split_rows in splits.items():
            target = folder / "data" / config
            target.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(split_rows), target / f"{split}-00000-of-00001.parquet")
            counts.setdefault(config, {})[split] = len(split_rows)
    manifest = {"dataset_id": dataset_id, "digest": "0" * 64, "counts": counts, "parent": None, "prompt_groups": []}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def mixed_dataset(folder: Path, pairs: int = 12, thumbs: int = 12, demonstrations: int = 8) -> Path:
    """Write a dataset folder with rows of every kind."""
    rng = random.Random(3)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    if pairs:
        made = [preference_row(i, rng) for i in range(pairs + 4)]
        rows["preference"] = {"train": made[:pairs], "validation": made[pairs:]}
    if thumbs:
        rows["unpaired"] = {"train": [unpaired_row(i, rng, i % 2 == 0) for i in range(thumbs)]}
    if demonstrations:
        rows["demonstration"] = {"train": [demonstration_row(i, rng) for i in range(demonstrations)]}
    return write_dataset(folder, rows)
