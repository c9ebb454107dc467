"""Adapters beside the base in one PEFT model: loaded by name when first asked for, unloaded when many and unused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventlog.errors import ThumbwheelError

# Adapters of rank 16 on a small model take some 10 MB each; the champion, the challenger and a few earlier ones stay.
MAX_LOADED = 6


class Adapters:
    """The adapters in memory. Only the engine's thread calls this."""

    def __init__(self, base: Any) -> None:
        self.model = base
        self._loaded: dict[str, int] = {}
        self._clock = 0

    def any_loaded(self) -> bool:
        """Say whether the model is a PEFT model by now."""
        return bool(self._loaded)

    def use(self, name: str, folder: Path, busy: set[str]) -> None:
        """Have the adapter in memory; raises ThumbwheelError `unknown_model` when the folder holds none.

        `busy` names adapters that rows in flight use: they are never unloaded.
        """
        self._clock += 1
        if name not in self._loaded:
            self._load(name, folder)
            self._unload_some(busy | {name})
        self._loaded[name] = self._clock

    def _load(self, name: str, folder: Path) -> None:
        if not (folder / "adapter_config.json").exists():
            raise ThumbwheelError(
                "unknown_model", f"There is no adapter {name}.", "GET /v1/models lists them.", "model", 404
            )
        if self._loaded:
            self.model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        else:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(folder), adapter_name=name, is_trainable=False)
        self.model.eval()

    def _unload_some(self, busy: set[str]) -> None:
        idle = sorted((used, name) for name, used in self._loaded.items() if name not in busy)
        for _, name in idle[: max(0, len(self._loaded) + 1 - MAX_LOADED)]:
            self.model.delete_adapter(name)
            del self._loaded[name]
