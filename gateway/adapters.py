"""What was tuned, in memory beside the base: loaded by name when first asked for, unloaded when many and unused.

Plain LoRA and virtual tokens share the base's weights and its batch. The rest is a model of its own with a batch of
its own (`inference/tuned.py` says which is which). Each takes as much memory as a base: a champion and a challenger may
both be such, more are never held at once, and one that does not fit beside what is there is refused before it is read.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel

from contract.errors import ThumbwheelError
from gateway.memory import free_bytes
from inference.mixing import Mixing, all_mixable
from inference.prefix import Prefix, load_prefix
from inference.tuned import OWN, SHARED, bytes_of, form_of, is_tuned, load_tuned

# Adapters of rank 16 on a small model take some 10 MB each; the champion, the challenger and a few earlier ones stay.
MAX_LOADED = 6
# Models of their own: champion and challenger.
MAX_OWN = 2
# Beside its weights a model needs room for the cache of the rows it writes.
ROOM = 1.2
log = logging.getLogger(__name__)


class Adapters:
    """The adapters in memory. Only the engine's thread calls this."""

    def __init__(self, base: Any, base_folder: Path) -> None:
        self.model = base
        self.mixing = Mixing()
        self.prefixes: dict[str, Prefix] = {}
        self.own: dict[str, Any] = {}
        self._base_folder = base_folder
        self._loaded: dict[str, int] = {}
        self._clock = 0

    def use(self, name: str, folder: Path, busy: set[str]) -> None:
        """Have the adapter in memory; raises ThumbwheelError when the folder holds none that fits this base.

        `busy` names adapters that rows in flight use: they are never unloaded.
        """
        self._clock += 1
        if name not in self._loaded:
            self._load(name, folder, busy)
        self._loaded[name] = self._clock
        if len(self._shared()) > MAX_LOADED:
            self._unload_some(busy | {name})

    def _shared(self) -> set[str]:
        return self._loaded.keys() - self.own.keys()

    def _load(self, name: str, folder: Path, busy: set[str]) -> None:
        if not is_tuned(folder):
            raise ThumbwheelError(
                "model_not_found", f"There is no adapter {name}.", "GET /v1/models lists them.", "model", 404
            )
        try:
            form = form_of(folder)
            if form == OWN:
                self._make_room(name, folder, busy)
                self.own[name] = load_tuned(self._base_folder, folder, self._dtype()).to(self._device())
            elif form == SHARED:
                self._load_lora(name, folder)
                self._settle(busy | {name})
            else:
                self.mixing.choose(())
                self.prefixes[name] = load_prefix(self._plain(), folder)
        except ThumbwheelError:
            raise
        except Exception as error:
            # Half of it may be in place: a later try must not find a name without weights.
            if isinstance(self.model, PeftModel) and name in self.model.peft_config:
                self._delete(name)
            log.exception("The adapter %s cannot be loaded.", name)
            raise _unusable(name, type(error).__name__) from error

    def _load_lora(self, name: str, folder: Path) -> None:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        if not isinstance(self.model, PeftModel):
            self.model = PeftModel(self.model, config, adapter_name=name)
        self.model.load_adapter(str(folder), adapter_name=name, is_trainable=False)
        self.model.eval()
        if not all_mixable(self.model):
            raise ValueError("only adapters of plain linear layers can share a batch with other adapters")

    def _plain(self) -> Any:
        """Return the base itself, whose linear layers may be LoRA layers by now."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self._plain().dtype
        return dtype

    def _device(self) -> torch.device:
        device: torch.device = self._plain().device
        return device

    def _make_room(self, name: str, folder: Path, busy: set[str]) -> None:
        """Let go of models of their own that nobody uses; raises ThumbwheelError where another does not fit."""
        idle = sorted((self._loaded.get(other, 0), other) for other in self.own.keys() - busy)
        while len(self.own) >= MAX_OWN and idle:
            self._forget(idle.pop(0)[1])
        if len(self.own) >= MAX_OWN:
            raise ThumbwheelError(
                "overloaded", f"{MAX_OWN} models of their own are answering.", "Try again in a moment.", status=503
            )
        needed = int(bytes_of(self._base_folder, folder, self._dtype()) * ROOM)
        while (free := free_bytes(self._device())) is not None and free < needed:
            if not idle:
                raise ThumbwheelError(
                    "no_memory",
                    f"{name} is a model of its own: it needs {_gb(needed)} GB, and {_gb(free)} GB are free.",
                    "Give the gateway more memory, or serve it with vLLM (THUMBWHEEL_MODEL_API).", "model", 503,
                )  # fmt: skip
            self._forget(idle.pop(0)[1])

    def _forget(self, name: str) -> None:
        del self.own[name]
        del self._loaded[name]

    def _settle(self, busy: set[str]) -> None:
        # PEFT keeps one adapter active even where every row names its own; the active one cannot be deleted quietly.
        known = [name for name in busy if name in self.model.peft_config]
        self.model.set_adapter(max(known, key=lambda name: self._loaded.get(name, self._clock)))
        self.mixing.install(self.model)

    def _unload_some(self, busy: set[str]) -> None:
        idle = sorted((self._loaded[name], name) for name in self._shared() - busy)
        for _, name in idle[: max(0, len(self._shared()) - MAX_LOADED)]:
            if name in self.prefixes:
                del self.prefixes[name]
            else:
                self._delete(name)
            del self._loaded[name]
        self.mixing.install(self.model)

    def _delete(self, name: str) -> None:
        # PEFT keeps one adapter active and warns when that one goes; rows name theirs, so any other will do.
        others = [other for other in self.model.peft_config if other != name]
        if others and name in self.model.active_adapters:
            self.model.set_adapter(others[0])
        self.model.delete_adapter(name)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f}"


def _unusable(name: str, reason: str) -> ThumbwheelError:
    return ThumbwheelError(
        "adapter_unusable", f"The adapter {name} cannot be loaded: {reason}.",
        "Was it trained from this base model? The gateway's log says more.", "model", 500,
    )  # fmt: skip
