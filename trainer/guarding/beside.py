"""A tuned model beside its base, where the two share no weights: what the guards compare then.

A PEFT model is its base with the adapter turned off; a model whose own weights were tuned is not, and comparing it with
itself would pass every guard.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from inference.base_model import load_model
from inference.tuned import bits_of


class Beside(torch.nn.Module):  # type: ignore[misc]
    """Answers as the tuned model, and as the base inside `disable_adapter()`."""

    def __init__(self, tuned: Any, base: Any) -> None:
        super().__init__()
        self.tuned, self.base = tuned, base
        self.config, self.generation_config = tuned.config, tuned.generation_config
        self._off = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the one that is on."""
        return (self.base if self._off else self.tuned)(*args, **kwargs)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Answer as the base."""
        self._off = True
        try:
            yield
        finally:
            self._off = False


def with_base(tuned: Any, base: Path) -> Any:
    """Return a model with a `disable_adapter`: the tuned one, or it beside a freshly loaded base."""
    if hasattr(tuned, "disable_adapter"):
        return tuned
    return Beside(tuned, load_model(base, tuned.dtype).to(tuned.device)).eval()


def cache_of(cache: Path | None, folder: Path) -> Path | None:
    """Return where the base's side is kept for the tuned model in `folder`: a quantised base is another base."""
    bits = bits_of(folder)
    return cache / f"{bits}-bit" if cache and bits else cache
