"""Mutants that mutmut makes (BSD-3-Clause, https://mutmut.readthedocs.io): a file in; changed texts of it out.

Only its operators are used, not its runner, which keeps every mutant of a file in one module behind trampolines and so
changes signatures that our tests look at. What is changed is in pyproject.toml, `[tool.mutmut]`. Wording is left out:
strings, and what is raised.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """One change: the line it begins at, that line before and after, and the file's whole text."""

    file: str
    line: int
    before: str
    after: str
    text: str


def source_files(root: Path) -> list[str]:
    """Return the files that are changed."""
    config = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    found: list[str] = []
    for place in config["source_paths"]:
        path = root / place
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        found.extend(str(file.relative_to(root)) for file in files)
    return found


def mutants(root: Path, file: str, share: float) -> Iterator[Mutant]:
    """Yield the mutants of a file; of fewer than all (`share` below 1) the same ones each time."""
    import libcst
    from mutmut.mutation.file_mutation import create_mutations

    code = (root / file).read_text("utf-8")
    module, changes, *_ = create_mutations(file, code)
    changes = [change for change in changes if not isinstance(change.original_node, libcst.BaseString)]
    seen = {code}
    for place, change in enumerate(changes):
        if _draw(file, place) >= share:
            continue
        text = module.deep_replace(change.original_node, change.mutated_node).code
        if text not in seen:
            seen.add(text)
            yield Mutant(file, *_difference(code, text), text)


def _draw(file: str, place: int) -> float:
    digest = blake2b(f"{file} {place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _difference(code: str, text: str) -> tuple[int, str, str]:
    """Return the first line that differs, counted from 1, and both versions of it."""
    old, new = code.splitlines(), text.splitlines()
    at = next(
        (n for n, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )
    return at + 1, old[at].strip() if at < len(old) else "", new[at].strip() if at < len(new) else ""
