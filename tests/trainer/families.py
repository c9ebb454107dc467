"""Tiny random models of the families people use, each with its real chat template and a tokenizer trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Glm4Config,
    Glm4ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.inference import families as templates

# Name of the family: its template, classes, the tokens that end a reply, and what its configuration needs beside sizes.
FAMILIES: dict[str, tuple[str, Any, Any, tuple[str, ...], dict[str, Any]]] = {
    "llama": ("llama3_2", LlamaConfig, LlamaForCausalLM, ("<|eot_id|>",), {}),
    "qwen2.5": ("qwen2_5", Qwen2Config, Qwen2ForCausalLM, ("<|im_end|>",), {}),
    "qwen3": ("qwen3", Qwen3Config, Qwen3ForCausalLM, ("<|im_end|>",), {"head_dim": 16}),
    "glm4": ("glm4moe", Glm4Config, Glm4ForCausalLM, ("<|user|>", "<|observation|>"), {"head_dim": 8}),
    "gemma": ("gemma3", Gemma3TextConfig, Gemma3ForCausalLM, ("<end_of_turn>",), {"head_dim": 16}),
    "mistral": ("mistral", MistralConfig, MistralForCausalLM, ("</s>",), {"sliding_window": None}),
}
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024,
}  # fmt: skip


def save_family(family: str, folder: Path) -> Path:
    """Write a base model folder of the family."""
    template, configuration, kind, ends, more = FAMILIES[family]
    tokenizer = templates.tokenizer(template)
    stops = [tokenizer.convert_tokens_to_ids(token) for token in ends]
    known = {
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": stops,
        "vocab_size": len(tokenizer),
    }  # fmt: skip
    torch.manual_seed(7)
    model = kind(configuration(**SIZES, **known, **more))
    model.generation_config.eos_token_id = stops
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
