"""Rows of the base and of several LoRA adapters in one forward pass: all adapters' matrices side by side, masked.

    y = W x + up (mask * (down x))

`down` stacks the A matrices of the adapters in use, `up` their scaled B matrices, and the mask keeps, per row, the
columns of its own adapter: two small products a layer, whatever the number of adapters. PEFT's own mixing splits the
batch and copies rows for every adapter and layer, which on a CPU costs more than the arithmetic; its files, loading
and checks stay. Called by the engine's thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch.nn.functional import linear


def all_mixable(model: Any) -> bool:
    """Say whether every adapter layer of the model is what `Mixing` computes: a linear layer, no variant of LoRA."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    return all(isinstance(layer, Linear) and not layer.lora_variant for layer in layers)


class Mixing:
    """Which adapter each row of the next forward pass uses."""

    def __init__(self) -> None:
        self._layers: list[MixedLayer] = []
        self._names: tuple[str, ...] = ()
        self._rows: tuple[str, ...] = ()

    def install(self, model: Any) -> None:
        """Take over the adapter layers PEFT has put into the model; forgets the stacks, call after every change."""
        for module in model.modules():
            if isinstance(module, Linear) and not isinstance(getattr(module, "forward", None), MixedLayer):
                layer = MixedLayer(module)
                module.forward = layer
                self._layers.append(layer)
        self._names, self._rows = (), ()
        for layer in self._layers:
            layer.down = None

    def choose(self, rows: Sequence[str]) -> None:
        """Set the adapter of each row; a name no layer knows (the base's) adds nothing."""
        if (wanted := tuple(rows)) == self._rows:
            return
        names = tuple(sorted(set(wanted)))
        masks: dict[tuple[int, ...], torch.Tensor] = {}
        for layer in self._layers:
            if names != self._names:
                layer.stack(names)
            if layer.down is None:
                continue
            if layer.ranks not in masks:
                masks[layer.ranks] = _mask(wanted, names, layer.ranks).to(layer.down)
            layer.mask = masks[layer.ranks]
        self._names, self._rows = names, wanted


class MixedLayer:
    """Stands in for the `forward` of one LoRA layer."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer
        self._base = layer.get_base_layer()
        self.ranks: tuple[int, ...] = ()
        self.down: torch.Tensor | None = None
        self.up: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None

    def stack(self, names: Sequence[str]) -> None:
        """Put the matrices of the named adapters side by side, in the type of the base's weights."""
        layer = self._layer
        known = [name in layer.lora_A for name in names]
        self.ranks = tuple(layer.r[name] if there else 0 for name, there in zip(names, known, strict=True))
        used = [name for name, there in zip(names, known, strict=True) if there]
        self.down = self.up = None
        if used:
            dtype = self._base.weight.dtype
            down = [layer.lora_A[name].weight for name in used]
            up = [layer.lora_B[name].weight * layer.scaling[name] for name in used]
            self.down, self.up = torch.cat(down).to(dtype), torch.cat(up, dim=1).to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output (rows, length, features)."""
        y: torch.Tensor = self._base(x)
        if self.down is None or self.up is None:
            return y
        return y.add_(linear(linear(x, self.down).mul_(self.mask), self.up))


def _mask(rows: Sequence[str], names: Sequence[str], ranks: Sequence[int]) -> torch.Tensor:
    """Return (rows, 1, sum of ranks): ones in the columns of each row's adapter."""
    columns = [name for name, rank in zip(names, ranks, strict=True) for _ in range(rank)]
    return torch.tensor([[[float(row == column) for column in columns]] for row in rows])
