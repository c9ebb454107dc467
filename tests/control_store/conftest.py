"""Closes every control store that a test of this folder opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from control_store.control import Control


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[Control] = []
    make: Any = Control.__init__

    def remembered(self: Control, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        opened.append(self)

    monkeypatch.setattr(Control, "__init__", remembered)
    yield
    for control in opened:
        control.close()
