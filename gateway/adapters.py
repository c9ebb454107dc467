"""Adapters beside the base in one PEFT model: loaded by name when first asked for, unloaded when many and unused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel, PeftType

from contract.errors import ThumbwheelError
from inference.mixing import Mixing, all_mixable

# Adapters of rank 16 on a small model take some 10 MB each; the champion, the challenger and a few earlier ones stay.
MAX_LOADED = 6
log = logging.getLogger(__name__)


class Adapters:
    """The adapters in memory. Only the engine's thread calls this."""

    def __init__(self, base: Any) -> None:
        self.model = base
        self.mixing = Mixing()
        self._loaded: dict[str, int] = {}
        self._clock = 0

    def use(self, name: str, folder: Path, busy: set[str]) -> None:
        """Have the adapter in memory; raises ThumbwheelError when the folder holds none that fits this base.

        `busy` names adapters that rows in flight use: they are never unloaded.
        """
        self._clock += 1
        changed = name not in self._loaded
        if changed:
            self._load(name, folder)
        self._loaded[name] = self._clock
        if changed or len(self._loaded) > MAX_LOADED:
            self._unload_some(busy | {name})
            self.mixing.install(self.model)

    def _load(self, name: str, folder: Path) -> None:
        if not (folder / "adapter_config.json").exists():
            raise ThumbwheelError(
                "model_not_found", f"There is no adapter {name}.", "GET /v1/models lists them.", "model", 404
            )
        try:
            self._load_weights(name, folder)
        except Exception as error:
            # Half of it may be in place: a later try must not find a name without weights.
            if isinstance(self.model, PeftModel) and name in self.model.peft_config:
                self._delete(name)
            log.exception("The adapter %s cannot be loaded.", name)
            raise _unusable(name, type(error).__name__) from error

    def _load_weights(self, name: str, folder: Path) -> None:
        config = PeftConfig.from_pretrained(str(folder))
        if not _is_plain_lora(config):
            raise ValueError("only plain LoRA on linear layers can share a batch with other adapters")
        config.inference_mode = True
        if not isinstance(self.model, PeftModel):
            self.model = PeftModel(self.model, config, adapter_name=name)
        self.model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        self.model.eval()
        if not all_mixable(self.model):
            raise ValueError("only adapters of plain linear layers can share a batch with other adapters")

    def _unload_some(self, busy: set[str]) -> None:
        # PEFT keeps one adapter active even where every row names its own; the active one cannot be deleted quietly.
        self.model.set_adapter(max(self._loaded.keys() & busy or busy, key=lambda name: self._loaded.get(name, 0)))
        idle = sorted((used, name) for name, used in self._loaded.items() if name not in busy)
        for _, name in idle[: max(0, len(self._loaded) - MAX_LOADED)]:
            self._delete(name)
            del self._loaded[name]

    def _delete(self, name: str) -> None:
        # PEFT keeps one adapter active and warns when that one goes; rows name theirs, so any other will do.
        others = [other for other in self.model.peft_config if other != name]
        if others and name in self.model.active_adapters:
            self.model.set_adapter(others[0])
        self.model.delete_adapter(name)


def _is_plain_lora(config: Any) -> bool:
    """Say whether two matrices a linear layer are all there is: no DoRA, biases, embeddings or copied modules."""
    return config.peft_type == PeftType.LORA and not (
        config.use_dora or config.lora_bias or config.bias != "none" or config.modules_to_save
        or config.trainable_token_indices
    )  # fmt: skip


def _unusable(name: str, reason: str) -> ThumbwheelError:
    return ThumbwheelError(
        "adapter_unusable", f"The adapter {name} cannot be loaded: {reason}.",
        "Was it trained from this base model, as LoRA? The gateway's log says more.", "model", 500,
    )  # fmt: skip
