"""A registered adapter, taken elsewhere: its id and a form in; files for vLLM, llama.cpp or Ollama out.

    thumbwheel models export ad-0123456789ab --format merged|gguf|ollama|card [--out PATH] [--dtype auto]

| form | what is written | for |
|---|---|---|
| `merged` | a folder: the base with the adapter in it | vLLM, SGLang, transformers |
| `gguf` | one file | llama.cpp |
| `ollama` | a folder: `model.gguf` and `Modelfile` | `ollama create` |
| `card` | a folder: the adapter's own files and its model card | a model hub; vLLM with `--lora-modules` |

Everything is written beside its place and moved there when it is whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from contract.errors import ThumbwheelError
from inference.base_model import ensure_base_model, load_model, load_tokenizer
from inference.tokens import Encoder, make_encoder
from runtime.settings import Settings
from trainer.exports.gguf_file import write_gguf
from trainer.exports.merged import Merged, merge
from trainer.exports.ollama import modelfile
from trainer.loop.registry import Registry

# What a folder with the adapter's card holds beside the card.
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
FORMS = ("merged", "gguf", "ollama", "card")
WEIGHTS = "model.gguf"


@dataclass(frozen=True)
class Exported:
    """What was written: where, how stored, and the share of the adapter's change that storing it so loses."""

    adapter_id: str
    form: str
    path: str
    dtype: str | None = None
    lost: float | None = None


def export_adapter(
    settings: Settings, project: str, adapter_id: str, *, form: str, out: Path | None = None, dtype: str = "auto"
) -> Exported:
    """Write a registered adapter in a form. Raises ThumbwheelError, and then has written nothing."""
    adapter = Registry(settings.home / "models" / project, project).weights(adapter_id)
    if (adapter / "config.json").exists():
        raise ThumbwheelError(
            "not_mergeable", f"{adapter_id} is a whole model: there is nothing to merge.",
            f"Its files are in {adapter}.",
        )  # fmt: skip
    if not (adapter / "adapter_config.json").exists():
        raise ThumbwheelError(
            "unknown_adapter", f"There is no adapter {adapter_id!r} in project {project!r}.",
            "thumbwheel models lists them.",
        )  # fmt: skip
    target = out or Path(f"{adapter_id}.gguf" if form == "gguf" else f"{adapter_id}-{form}")
    if target.exists():
        raise ThumbwheelError("file_exists", f"{target} is there already.", "Name another with --out.", "out")
    base = ensure_base_model(settings.base_model, settings.home)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-") as work:
        made = Path(work) / target.name
        merged = _write(adapter_id, adapter, base, made, Path(work), form, dtype)
        made.rename(target)
    if merged is None:
        return Exported(adapter_id, form, str(target))
    return Exported(adapter_id, form, str(target), merged.dtype, round(merged.lost, 6))


def _write(
    adapter_id: str, adapter: Path, base: Path, made: Path, work: Path, form: str, dtype: str
) -> Merged | None:  # fmt: skip
    if form == "card":
        _copy_adapter(adapter, base, made)
        return None
    if form == "merged":
        return merge(adapter, base, made, dtype)
    merged = merge(adapter, base, work / "merged", dtype)
    encoder = _encoder(merged.folder)
    if form == "ollama":
        made.mkdir()
        (made / "Modelfile").write_text(modelfile(encoder, WEIGHTS), "utf-8")
    file = made / WEIGHTS if form == "ollama" else made
    write_gguf(merged.folder, encoder, file, merged.dtype, adapter_id)
    return merged


def _encoder(folder: Path) -> Encoder:
    return make_encoder(load_tokenizer(folder), load_model(folder, torch.bfloat16))


def _copy_adapter(adapter: Path, base: Path, folder: Path) -> None:
    """Copy the adapter's files and its card; the base is named, not where it lies on this machine."""
    folder.mkdir()
    for name in (*ADAPTER_FILES, "README.md"):
        shutil.copyfile(adapter / name, folder / name)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text("utf-8"))
    config["base_model_name_or_path"] = base.name
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2), "utf-8")
