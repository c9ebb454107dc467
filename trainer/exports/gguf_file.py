"""A GGUF file for llama.cpp and Ollama: a merged model folder in, one file out.

For the families whose layout is known here, byte-level BPE and plain rotary positions; anything else is refused with
a sentence, since a file that loads and speaks nonsense is worse than none. Names and layout are those of the `gguf`
package; llama.cpp stores Llama's query and key rows of each head interleaved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, get_tensor_name_map, quants
from gguf.constants import MODEL_ARCH
from safetensors import safe_open

from contract.errors import ThumbwheelError
from inference.base_model import load_tokenizer
from inference.tokens import Encoder

FAMILIES = {"llama": MODEL_ARCH.LLAMA, "qwen2": MODEL_ARCH.QWEN2, "qwen3": MODEL_ARCH.QWEN3}
TYPES = {
    "float32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "bfloat16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "float16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
}
# How text is cut before BPE, as tokenizer.json spells it, and llama.cpp's name for it.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {_CONTRACTIONS + r"\p{N}" + _REST: "qwen2", _CONTRACTIONS + r"\p{N}{1,3}" + _REST: "llama-bpe"}
HINT = "Take --format merged, and convert that folder with llama.cpp's own converter."


@dataclass(frozen=True)
class Model:
    """A model folder: its configuration, its tokenizer's description, and where its weights are."""

    folder: Path
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Model:
        """Read a folder; raises ThumbwheelError `no_gguf` for what is not written here."""
        file = folder / "tokenizer.json"
        if not file.exists():
            raise _refusal("its tokenizer is no tokenizer.json")
        made = cls(folder, _read(folder / "config.json"), _read(file))
        made.check()
        return made

    def check(self) -> None:
        """Raise ThumbwheelError `no_gguf` unless family, positions and tokenizer are known here."""
        family = self.config.get("model_type")
        if family not in FAMILIES:
            raise _refusal(f"its family is {family}, and {', '.join(FAMILIES)} are written here")
        positions = self.config.get("rope_parameters") or self.config.get("rope_scaling") or {}
        if positions.get("rope_type", "default") != "default":
            raise _refusal(f"its rotary positions are scaled ({positions['rope_type']})")
        if self.tokenizer["model"].get("type") != "BPE" or self.tokenizer["model"].get("byte_fallback"):
            raise _refusal("its tokenizer is no byte-level BPE")
        pre_tokenizer_of(self.tokenizer)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the weights one at a time."""
        for file in sorted(self.folder.glob("*.safetensors")):
            with safe_open(str(file), "pt") as weights:
                for name in weights.keys():  # noqa: SIM118 -- not a dictionary
                    yield name, weights.get_tensor(name)


def write_gguf(folder: Path, encoder: Encoder, file: Path, dtype: str, name: str) -> None:
    """Write the model folder as one GGUF file. Raises ThumbwheelError `no_gguf`."""
    model = Model.open(folder)
    arch = FAMILIES[model.config["model_type"]]
    writer = GGUFWriter(file, str(model.config["model_type"]))
    try:
        writer.add_type("model")
        writer.add_name(name)
        _add_shape(writer, model.config, TYPES[dtype][1])
        _add_tokens(writer, model, encoder)
        names = get_tensor_name_map(arch, int(model.config["num_hidden_layers"]))
        for weight, tensor in model.tensors():
            found = names.get_name(weight, try_suffixes=(".weight", ".bias"))
            if found is None:
                raise _refusal(f"the weight {weight} has no place in it")
            _add_tensor(writer, found, _ordered(weight, tensor.float().numpy(), model.config), TYPES[dtype][0])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def pre_tokenizer_of(tokenizer: Mapping[str, Any]) -> str:
    """Return llama.cpp's name for how a tokenizer cuts text before BPE. Raises ThumbwheelError `no_gguf`."""
    described = tokenizer.get("pre_tokenizer") or {}
    parts = described.get("pretokenizers") or [described]
    kinds = [part.get("type") for part in parts]
    if kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits") and parts[1].get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        pattern = (parts[0].get("pattern") or {}).get("Regex")
        if pattern in SPLITS:
            return SPLITS[pattern]
    raise _refusal(f"its tokenizer cuts text in a way that is not known here ({'+'.join(map(str, kinds))})")


def _add_shape(writer: GGUFWriter, config: Mapping[str, Any], kind: LlamaFileType) -> None:
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    positions = config.get("rope_parameters") or {}
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(float(positions.get("rope_theta") or config.get("rope_theta") or 10000.0))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_file_type(kind)


def _add_tokens(writer: GGUFWriter, model: Model, encoder: Encoder) -> None:
    """Add the vocabulary, and the end token that training used: where the reply has to stop."""
    size = int(model.config["vocab_size"])
    texts = [f"[PAD{i}]" for i in range(size)]
    kinds = [TokenType.UNUSED] * size
    for text, place in model.tokenizer["model"]["vocab"].items():
        texts[place], kinds[place] = text, TokenType.NORMAL
    for added in model.tokenizer.get("added_tokens", []):
        texts[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    merges = model.tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer_of(model.tokenizer))
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_eos_token_id(encoder.stop_id)
    writer.add_eot_token_id(encoder.stop_id)
    writer.add_pad_token_id(encoder.pad_id)
    tokenizer = load_tokenizer(model.folder)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_add_bos_token(tokenizer("a").input_ids[0] == tokenizer.bos_token_id)
    writer.add_chat_template(str(tokenizer.chat_template))


def _ordered(name: str, values: np.ndarray[Any, Any], config: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return a weight in llama.cpp's order: of Llama's queries and keys the two halves of a head alternate."""
    if config["model_type"] != "llama" or not ("q_proj" in name or "k_proj" in name):
        return values
    heads = config["num_attention_heads"] if "q_proj" in name else config["num_key_value_heads"]
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _add_tensor(writer: GGUFWriter, name: str, values: np.ndarray[Any, Any], kind: GGMLQuantizationType) -> None:
    # Norms and biases are few, and llama.cpp computes with them in float32.
    chosen = kind if values.ndim > 1 else GGMLQuantizationType.F32
    writer.add_tensor(name, quants.quantize(np.ascontiguousarray(values), chosen), raw_dtype=chosen)


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def _refusal(why: str) -> ThumbwheelError:
    return ThumbwheelError("no_gguf", f"No GGUF file is written for this model: {why}.", HINT, "format")
