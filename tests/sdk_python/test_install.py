"""Installing the Python SDK from a checkout. In: what git holds of it. Out: nothing more that git sees."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_an_install_from_the_checkout_leaves_nothing_that_git_sees(tmp_path: Path) -> None:
    # Asked without importing it: in a process that has the standard library's distutils, setuptools refuses to load.
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("needs setuptools 77")
    checkout = tmp_path / "checkout"
    for name in (".gitignore", "sdk/python"):
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@t"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "as it is"]):
        subprocess.run([*git, *arguments], check=True)
    # What setuptools does for pip, without the build environment that pip would fetch.
    build = "from setuptools import build_meta; build_meta.build_wheel(__import__('sys').argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=checkout / "sdk/python", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (checkout / "sdk/python/build").is_dir()
    assert subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True).stdout == ""
