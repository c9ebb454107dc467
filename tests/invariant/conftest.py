"""The tiny base that the trainer's tests use, and the recorded rows, made once."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import torch

from tests.invariant.trajectories import write_rows
from tests.trainer import tiny

datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny random Llama."""
    torch.set_num_threads(1)
    return tiny.save_base("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset folder of the recorded runs."""
    return write_rows(tmp_path_factory.mktemp("rows") / "data")
