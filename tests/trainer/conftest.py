"""Base model folders of the three families, made once, and a home."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch

from inference.base_model import load_model, load_tokenizer
from inference.hardware import Hardware
from inference.tokens import Encoder, make_encoder
from tests.trainer import tiny

datasets.disable_progress_bars()


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny random base model per family."""
    folder = tmp_path_factory.mktemp("bases")
    return {family: tiny.save_base(family, folder / family) for family in tiny.FAMILIES}


@pytest.fixture
def cpu() -> Hardware:
    """Plain float32 on the CPU, so that comparisons are exact."""
    return Hardware("cpu", torch.float32, False, False)


def loaded(base: Path) -> tuple[object, Encoder]:
    """Return (model, encoder) of a base folder."""
    model = load_model(base, torch.float32)
    return model, make_encoder(load_tokenizer(base), model)
