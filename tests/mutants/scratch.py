"""A copy of the working tree to change, and a process in it that runs tests on each change.

The process (`forked.py`) imports the libraries once and forks for every mutant, so that a mutant costs its tests and
not ten seconds of imports. The working tree itself is never changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: `noticed` is None where its tests could not be asked; `why` is what pytest said."""

    noticed: bool | None
    seconds: float
    why: str = ""


def copy_tree(target: Path) -> None:
    """Copy what git tracks, and what it does not ignore, to an empty folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def environment(tree: Path) -> dict[str, str]:
    """Return the environment of tests in a copy: its code comes first, and no compiled file is mistaken for a mutant's.

    Python takes a compiled file for current by second and size, which a mutant may share with what it came from.
    """
    paths = [str(tree), str(tree / "sdk" / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


class Scratch:
    """One copy with its process; `try_out` one mutant after the other."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        copy_tree(self.tree)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forked", str(folder / "tests.log")], cwd=self.tree, text=True,
            env=environment(self.tree), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def try_out(self, file: str, text: str, tests: Sequence[str], limit_s: float) -> Outcome:
        """Run the tests with `file` changed to `text`; the file is as before afterwards."""
        before = (self.tree / file).read_text("utf-8")
        (self.tree / file).write_text(text, "utf-8")
        try:
            answer = self._ask({"tests": list(tests), "limit_s": limit_s})
        finally:
            (self.tree / file).write_text(before, "utf-8")
        # 0: all passed. 1: a test failed; 2: the module could not be imported. 4 and 5: there are no such tests.
        noticed = {0: False, 1: True, 2: True, None: True}.get(answer["code"])
        return Outcome(noticed, answer["seconds"], answer["said"])

    def unchanged(self, file: str, tests: Sequence[str], limit_s: float) -> Outcome:
        """Run the tests on the code as it is."""
        return self.try_out(file, (self.tree / file).read_text("utf-8"), tests, limit_s)

    def _ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process that runs the tests ended with {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
