"""Which files of a package are locked: those pip may choose on a machine we support."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / "deploy" / "setup" / "lock.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("filename", [
    "a-1.0.tar.gz", "a-1.0-py3-none-any.whl", "a-1.0-py2.py3-none-any.whl", "a-1.0-cp38-abi3-manylinux2014_x86_64.whl",
    "a-1.0-cp311-abi3-manylinux_2_34_aarch64.whl", "a-1.0-cp313-cp313-macosx_11_0_arm64.whl",
    "a-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "a-1.0-py3-none-manylinux_2_28_x86_64.whl",
    "a-1-cp311-cp311-linux_x86_64.whl",
])  # fmt: skip
def test_a_file_for_a_supported_machine_is_locked(lock: Any, filename: str) -> None:
    assert lock.fits(filename, Version("1.0"))


@pytest.mark.parametrize("filename", [
    "a-1.1.tar.gz", "a-1.0.1-py3-none-any.whl", "a-1.0-cp310-cp310-manylinux2014_x86_64.whl",
    "a-1.0-cp311-cp311-win_amd64.whl",
    "a-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl", "a-1.0-cp314-cp314-manylinux_2_28_x86_64.whl",
    "a-1.0-cp312-cp312-manylinux_2_17_s390x.whl", "a-1.0-cp314-abi3-manylinux_2_28_x86_64.whl", "a-1.0.exe", "nonsense",
])  # fmt: skip
def test_other_files_are_not(lock: Any, filename: str) -> None:
    assert not lock.fits(filename, Version("1.0"))
